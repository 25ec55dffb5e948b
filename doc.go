// Package metricsbuffer counts and times on hot paths, and delivers what it recorded to metrics backends, exactly once.
//
// Code records updates of counters, timers, histograms and gauges in a [Buffer], at a few nanoseconds each, from any
// number of goroutines. At an interval, the buffer's flusher collects them and gives every [Sink] one aggregated
// [Batch]: to a StatsD server (sink/statsdsink), a terminal (sink/consolesink), or a function of one's own
// ([SinkFunc]).
//
// # Promises
//
//  1. Every recorded update is in exactly one batch. For each sink, what was recorded is what it acknowledged, plus
//     what is pending, plus what is counted as dropped ([Stats]); whatever fails, and whenever the buffer is closed.
//  2. A batch is consistent: a timer's count, sum, minimum, maximum and buckets describe the same observations. It is
//     no photograph of several series: shards are collected one after the other, so of two updates on different Ps
//     the later one may be a batch ahead. What belongs together goes through [Local.Commit], which stays together.
//  3. What was recorded before [Buffer.Flush] was called is in what it delivers, or was delivered before.
//  4. Writers never wait: not for a flush, not for a sink, not for one another. There is no mutex. After the first use
//     of a series (on each P), recording allocates nothing.
//  5. A batch leaves the buffer only when its sink acknowledges it, by returning nil. A batch that failed is merged
//     into the next one, which keeps the earlier start, so failures need no memory however long they last.
//  6. A sink that is slow, hangs, fails or panics affects itself only.
//  7. The number of series is limited ([WithMaxSeries]); beyond it, totals per name stay right. Series that are no
//     longer used can be forgotten ([WithIdleExpiry]), without an update being lost.
//  8. [Buffer.Close] flushes. A buffer that is dropped instead leaves no goroutine, and still tries to.
//  9. A nil *[Buffer] and nil instruments do nothing, so that a library can be instrumented unconditionally.
//
// # How it works
//
//	writer                        shard, one per P               flusher                       sink
//	Counter.Add ──pin──▶ bank[slot] += d ──flip by CAS──▶ drained bank ──▶ pending, ──▶ Write(ctx, batch)
//	Timer.Observe       (plain, owner-only)  + one fence    zeroed, reused     per sink      nil: acknowledged
//
// A writer pins itself to its P, the scheduler's notion of a processor, and from then on owns that P's shard: it adds
// with plain instructions, to memory that no other P writes to. The flusher replaces each shard's bank by an empty one,
// with one compare-and-swap, makes every running thread execute a memory barrier, with one system call for all shards,
// and waits for the writers still inside. The old banks then are its own, to be read and zeroed without further ado.
// Snapshot, reset and grace period are thus one step. What it read goes into one accumulator per sink, and from there
// into batches.
//
// The files are in the order of the data: buffer.go and instruments.go (what users call), shard.go (how a writer
// records, and why that is safe; what it writes to is in column.go and cell.go), flush.go (how it is collected),
// deliver.go and pending.go (how it gets to the sinks or stays), sink.go (what a sink sees). Off that path are
// series.go, registry.go and expiry.go (how series come and go), named.go (recording by name), vec.go (by typed
// labels) and local.go (privately).
//
// Owner-only words need amd64 or arm64. On other processors, under the race detector, and with the build tag purego,
// all words are atomic and everything else is the same.
package metricsbuffer
