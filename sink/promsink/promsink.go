// Package promsink serves a buffer to Prometheus. A scrape flushes the buffer's updates into totals, and Prometheus
// reads the totals. Any number of scrapers may come, at any time.
//
//	sink, err := promsink.New()
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
//	…
//	prometheus.MustRegister(sink)
//
// # Kinds
//
//	counter jobs.done            jobs_done_total, a counter; a fraction is the nearest float64
//	gauge queue.depth            queue_depth, a gauge; NaN and infinities are carried
//	timer rpc.latency            rpc_latency_seconds, a histogram
//	histogram size, in bytes     size_bytes, a histogram
//
// Every histogram is served as a classic one and as a native one; Prometheus takes the one it was told to. Count and
// sum are exact in both. A native histogram has the buffer's own buckets, which are those of schema 4. A second is not
// a whole number of nanosecond buckets, so a timer's bounds are 1.6 % too high (they are shifted by 478 buckets instead
// of 478.36). The bounds of a classic histogram are powers of two, in nanoseconds for timers (1.024e-06 is 2^10 of
// them). They are bounds of the buffer's, so every count is exact: timers have all of them from 1 µs to 69 s,
// histograms every other one from 1 to 10^12.
//
// [WithBuckets] sets other classic bounds for a unit. They are most of the cost of a histogram: each bound is a series
// in a Prometheus that stores classic histograms. A timer with the 27 default bounds is 30 series, and one with 5
// bounds is 8. A Prometheus that stores native histograms ignores them: WithBuckets without bounds saves them.
//
// Exemplars ([metricsbuffer.Timer.ObserveExemplar]) have the labels trace_id and span_id, in hexadecimal digits. A
// bucket is served with its latest one, until there is a later one or the total begins anew. promhttp serves them if
// [promhttp.HandlerOpts] has EnableOpenMetrics, or if Prometheus asks for protobuf. Prometheus stores them with
// --enable-feature=exemplar-storage.
//
// A new series is in the next scrape with the value 0, or with what was recorded in it: rate and increase need a
// counter that is seen before it counts. A series is served, with its last total, until the buffer forgets it
// ([metricsbuffer.WithIdleExpiry]). One that comes back begins at zero.
//
// Counters and histograms tell when they were created: at the start of the first batch with the series. A total whose
// count or sum would exceed an int64 begins at zero, with a new creation time. Prometheus takes that for a restart.
//
// # Names and labels
//
// In names and in keys of tags, each character that is not a letter of ASCII, a digit or an underscore becomes an
// underscore. A suffix that a name has already (_total, _seconds, the unit) is not added. A name or key that begins
// with a digit gets an underscore in front. Keys that begin with two underscores are Prometheus' own: such a key loses
// one until it begins with one. The key le of a histogram's tag becomes exported_le. A tag without a value is left out,
// because to Prometheus an empty label is no label. HELP is the description of the name
// ([metricsbuffer.Buffer.Describe]), or else has the name as it was recorded.
//
// So two series can get the same name and labels. Then the first one is served, and the other one is dropped. A name
// belongs to one metric: if a.b and a-b are recorded, all series of the second one are dropped. The names of a
// histogram's and a counter's samples, with _bucket, _count, _sum and _created, belong to the metric as well. So does
// a counter's name without _total: a gauge queue and a counter queue collide. Once the buffer has forgotten the first
// one, a dropped series is served from its next update on, and begins at zero.
//
// Points without an equivalent in Prometheus are dropped, too: series without a name; a tag without a key; series with
// a key twice, or with two keys that become one; values of tags that are not UTF-8; counters whose sum since the last
// scrape is negative.
//
// [metricsbuffer.SinkStats] counts dropped points by reason. An error reports each pair of names that collide, once for
// all their series (see [metricsbuffer.WithErrorHandler]). There are at most 100 such errors; the last one says so.
//
// # Other collectors
//
// A registry fails the whole scrape if two of its collectors serve the same series, and a collector cannot see the
// other ones. Where that can happen, give the registry to the sink instead of the sink to the registry:
//
//	sink, err := promsink.New(promsink.WithGatherer(prometheus.DefaultGatherer))
//	…
//	http.Handle("/metrics", promhttp.HandlerFor(sink, promhttp.HandlerOpts{}))
//
// The page then has the registry's metrics and the sink's. A series of the sink that collides with one of the registry
// is left out, counted as dropped and reported, as long as the registry has the other one. A metric that has the same
// type and description in both is one metric with the series of both; from then on its HELP is the registry's.
// [WithLabels] likewise adds constant labels without a risk: [prometheus.WrapRegistererWith] fails the scrape if a
// series has a tag of the same name.
//
// [promhttp.HandlerOpts]: https://pkg.go.dev/github.com/prometheus/client_golang/prometheus/promhttp#HandlerOpts
package promsink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// A Sink keeps the totals of one buffer. It is a [metricsbuffer.Attacher], a [prometheus.Collector] and a
// [prometheus.Gatherer].
type Sink struct {
	config
	flush atomic.Pointer[func(context.Context) error] // the buffer's; nil before Attach
	id    *prometheus.Desc                            // by which a registry knows the sink
	own   *prometheus.Registry                        // serves the sink alone

	mu       sync.Mutex // guards the fields below
	totals   cumulative.Totals[*entry]
	space    prom.Space
	served   map[string]*other // by others, under the names of metrics, and of their samples
	withdraw []error           // for Write to report: names that were refused since its last call

	serving sync.Mutex // others do not change between the two halves of a Gather
}

// New returns a sink without any totals. Give it to one buffer, with [metricsbuffer.WithSink].
func New(opts ...Option) (*Sink, error) {
	s := &Sink{id: newID(), own: prometheus.NewRegistry()}
	if err := option.Apply("promsink: New", &s.config, opts); err != nil {
		return nil, err
	}
	s.space = prom.NewSpace("promsink", s.labels)
	s.totals = cumulative.Totals[*entry]{Admit: s.admit, Release: s.release, Redescribe: s.redescribe}
	if err := s.own.Register(unchecked{s}); err != nil {
		return nil, err
	}
	return s, nil
}

// String returns "prometheus".
func (s *Sink) String() string { return "prometheus" }

// Attach gives the sink its buffer. [metricsbuffer.New] calls it. It returns an error if the sink has a buffer already.
func (s *Sink) Attach(flush func(context.Context) error) error {
	if !s.flush.CompareAndSwap(nil, &flush) {
		return errors.New("promsink: the sink has been given to another buffer; make a sink for each with promsink.New")
	}
	return nil
}

// Write adds the batch to the totals, and acknowledges it. Its error reports each name whose series are dropped from
// now on, because another one has it.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	withdrawn := s.withdraw
	s.withdraw = nil
	return errors.Join(append(withdrawn, s.totals.Add(batch))...)
}
