// Package metricsbuffer records counters, timers, histograms and gauges on hot paths, and puts every update into
// exactly one acknowledged batch for metrics backends.
//
//	sink, err := statsdsink.New("udp://127.0.0.1:8125")
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink)) // a batch every second
//	…
//	defer buffer.Close() // flushes
//	requests := buffer.Counter("http.requests", metricsbuffer.T("handler", "index"))
//	latency := buffer.Timer("http.latency")
//
//	stopwatch := latency.Start()
//	requests.Inc()
//	stopwatch.Stop()
//
// Any number of goroutines may record in a [Buffer]: through instruments, by name ([Buffer.IncrCounter]), by typed
// labels ([Vec]), several updates together ([Record]), or privately ([Local]). Counters may count fractions
// ([Buffer.FractionCounter]), and timers may keep traces of some observations ([Timer.ObserveExemplar]). A scope
// ([Buffer.With], [Buffer.WithPrefix]) adds tags and a prefix to all of that. The buffer can poll values that are kept
// elsewhere, such as the length of a queue ([Buffer.GaugeFunc]). [Buffer.Describe] tells sinks the meaning of a name.
//
// There are sinks for StatsD (sink/statsdsink), Prometheus (sink/promsink, or sink/openmetricssink without
// dependencies), OpenTelemetry (sink/otelsink), a terminal (sink/consolesink), log/slog (sink/slogsink), JSON lines
// (sink/jsonsink), a live page (sink/pagesink) and other clients (sink/backendsink). [SinkFunc] turns a function into a
// sink. Bridges record from OpenTelemetry's API (bridge/otelbridge), hashicorp/go-metrics (bridge/gometricsbridge),
// rcrowley/go-metrics (bridge/rcrowleybridge), franz-go (bridge/kgohook), net/http (bridge/httpmetrics), and the Go
// runtime and the process (bridge/runtimemetrics). Package metricstest is for tests of code that records, and package
// sinktest for tests of a sink of your own.
//
// # Terms
//
// A series is a kind (counter, timer, histogram or gauge) with a name and tags; see [Tag]. An instrument, such as a
// [Counter], records in one series. An update is an increment, an observation, or a new value of a gauge. The flusher
// is the buffer's goroutine. At each interval, or when the sink asks, it gives every [Sink] one [Batch], which has a
// [Point] for each series with updates. The sink acknowledges the points that it has delivered; until then their
// updates are pending. A point that the sink can never deliver is dropped, and counted. A P is the Go scheduler's
// notion of a processor; there are GOMAXPROCS of them.
//
// # Promises
//
//  1. Each sink gets every increment and every observation in exactly one acknowledged batch. For each sink, recorded =
//     acknowledged + pending + dropped ([Stats]). This also holds with concurrent flushes and failing sinks, and when
//     the buffer is closed. A gauge delivers its latest value.
//  2. A batch is consistent: a timer's count, sum, minimum, maximum and buckets describe the same observations.
//     Updates that were recorded together ([Record], [Local.Commit]) arrive together; a gauge may arrive with a value
//     that was set later. Two updates that are recorded separately, while a batch is collected, may change places: the
//     later one arrives in this batch, and the earlier one in the next. This happens only if they are recorded on
//     different Ps, or if one of them is a commit of more than 64 updates.
//  3. [Buffer.Flush] delivers every update that was recorded before it was called, unless it was delivered before.
//  4. Writers never wait: not for a flush, not for a sink, not for one another. There is no mutex on their way, with
//     one exception: [Vec.With] may meet a mutex of its map where labels are new. Recording allocates in five cases
//     only: the series is new; it was idle; an observation or an exemplar is outside of the range so far, or a bucket
//     is full; a P records for the first time; a P starts to use the series often, and gets memory of its own for it.
//     Calls that are larger than usual may allocate, too. Their documentation says when.
//  5. Until Close, a point leaves the buffer in two cases only: its sink acknowledges it, by returning nil or by
//     [Batch.Acknowledge], or its sink drops it, by [Batch.Drop]. A failed batch is merged into the next one. The
//     merged batch has the start time of the failed one. While a sink fails, the buffer keeps one value for each series
//     that was used. More failures add no memory.
//  6. A sink that is slow, hangs, fails or panics affects itself only.
//  7. Memory is bounded. The number of series is limited ([WithMaxSeries]). Above the limit, the total of each name
//     is still correct, but tags are lost. If there are more names than the limit, too, the names beyond it share their
//     totals. The memory of idle values is given back. Idle series can be forgotten ([WithIdleExpiry]); no update is
//     lost by that.
//  8. [Buffer.Close] flushes. Updates that are not acknowledged then are counted as dropped. A buffer that becomes
//     unreachable without Close leaves no goroutine, and still tries to flush.
//  9. A nil *[Buffer], nil instruments and zero values do nothing. So a library can always record, and needs no if.
//
// # How it works
//
//	writer                        shard, one per P                  flusher                     sink
//	Counter.Add ──pin──▶ own chunk: bank[slot] += d ──flip by CAS──▶ drained bank ──▶ pending ──▶ Write(ctx, batch)
//	Timer.Observe        common chunk: atomic add       one fence    zeroed, reused   per sink    nil: acknowledged
//
// A writer is a goroutine that records. Each P has a shard. During an update, the writer is pinned to its P and is the
// only user of that P's shard. The values of some series together are a chunk. If the P writes to a series often, the
// shard has a chunk of its own for it, and the writer adds with plain instructions to memory that no other P writes to.
// All other series are in chunks that all Ps share, and are added to atomically.
//
// Every chunk has two banks, each with one slot for each of its series. The flusher makes the other bank the active
// one, by a compare-and-swap at each shard's gate. It makes every running thread execute a memory barrier, with one
// system call, and waits for the writers that are still inside. Then it owns the old banks, and reads and zeroes them.
// This flip takes a snapshot, resets the counts, and makes sure that no writer uses the old bank any more, all in one
// step. The drained values go into one accumulator per sink, and from there into batches.
//
// The files, in the order of the data: buffer.go, scope.go, instruments.go, vec.go, record.go, local.go and poll.go
// have the calls of users. shard.go and bank.go have the writers' half of the protocol, flush.go the flusher's half,
// deliver.go and pending.go the way to the sinks, and sink.go the sinks' view. registry.go and expiry.go create and
// remove series.
//
// # Builds
//
// The default build on amd64 and arm64 writes own chunks with plain instructions. It uses two functions of Go's runtime
// that are not public, procPin and memhash, by go:linkname. On other processors, under the race detector, and with the
// build tag purego, all words are atomic, nothing is linked, and everything else is the same.
package metricsbuffer
