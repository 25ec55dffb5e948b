// Package openmetricssink serves a buffer on a page that Prometheus scrapes, by the standard library alone.
//
//	sink, err := openmetricssink.New()
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
//	…
//	http.Handle("/metrics", sink)
//
// A request flushes the buffer's updates into totals, and is answered with the totals. Any number of scrapers may come,
// at any time. If a program has a registry of client_golang already, use package promsink instead. It serves the same
// series under the same names.
//
// # Kinds
//
//	counter jobs.done            jobs_done_total, a counter; a fraction has all its digits in text
//	gauge queue.depth            queue_depth, a gauge; NaN and infinities are carried
//	timer rpc.latency            rpc_latency_seconds, a histogram
//	histogram size, in bytes     size_bytes, a histogram
//
// A new series is on the next page with the value 0, or with what was recorded in it: rate and increase need a counter
// that is seen before it counts. A gauge is on the page once it is set. A series stays on the page, with its last
// total, until the buffer forgets it ([metricsbuffer.WithIdleExpiry]). One that comes back begins at zero. So does a
// total whose count or sum would exceed an int64, and all totals if the program starts again. Prometheus recognizes
// that by the lower value.
//
// # Formats
//
// The header Accept of the request chooses the format, and the most wanted one of these is sent. Without the header it
// is the classic text.
//
//	                             buckets of histograms    HELP, TYPE   UNIT   time of creation    exemplars
//	text/plain; version=0.0.4    classic                  yes          no     no                  no
//	OpenMetrics text 1.0.0       classic                  yes          yes    yes, as _created    yes
//	protobuf, delimited          classic and native       yes          yes    yes                 yes
//
// Prometheus asks for OpenMetrics. It asks for protobuf if its native histograms are enabled. A Prometheus that does
// not know _created stores it as another series: [WithoutCreated] leaves it out. The page is compressed by gzip if
// the header Accept-Encoding asks for that.
//
// Exemplars ([metricsbuffer.Timer.ObserveExemplar]) have the labels trace_id and span_id, in hexadecimal digits. A
// bucket is served with its latest one, until there is a later one or the total begins anew. Prometheus stores them
// with --enable-feature=exemplar-storage.
//
// # Buckets
//
// The bounds of classic buckets are powers of two, in nanoseconds for timers (1.024e-06 is 2^10 of them): all from 1
// µs to 69 s for a timer, and every other one from 1 to 10^12 for a histogram. They are bounds of the buffer, so
// every count is exact. [WithBuckets] sets other bounds for a unit.
//
// OpenMetrics writes a whole number with a fraction, so that the label le="4" of the classic text is le="4.0" there.
// Prometheus before version 3 takes the two for different series. This also happens with the pages of client_golang.
//
// Buckets are most of the cost of a histogram: each bound is a line of some 60 bytes in every scrape, and a series in
// Prometheus. A timer with the 27 default bounds is 30 series, and one with 5 bounds is 8. Count and sum are exact in
// any case. Native histograms have all of the buffer's buckets, which are those of schema 4, and are one series. A
// second is not a whole number of nanosecond buckets, so a timer's native bounds are 1.6 % too high (they are shifted
// by 478 buckets instead of 478.36).
//
// # Names and labels
//
// In names and in keys of tags, each character that is not a letter of ASCII, a digit or an underscore becomes an
// underscore. A suffix that a name has already (_total, _seconds, the unit) is not added. A name or key that begins
// with a digit gets an underscore in front. Keys that begin with two underscores are Prometheus' own: such a key loses
// one until it begins with one. The key le of a histogram's tag becomes exported_le. A tag without a value is left out,
// because to Prometheus an empty label is no label. HELP is the description of the name
// ([metricsbuffer.Buffer.Describe]), or else has the name as it was recorded. The unit of a described counter or gauge
// is served if its name ends with it.
//
// So two series can get the same name and labels. Then the first one is served, and the other one is dropped. A name
// belongs to one metric: if a.b and a-b are recorded, all series of the second one are dropped. The names of a
// histogram's and a counter's samples, with _bucket, _count, _sum and _created, belong to the metric as well. So does
// a counter's name without _total: a gauge queue and a counter queue collide. Once the buffer has forgotten the first
// one, a dropped series is served from its next update on, and begins at zero.
//
// Points without an equivalent in Prometheus are dropped, too: series without a name; a tag without a key; series with
// a key twice, or with two keys that become one; values of tags that are not UTF-8; counters whose sum since the last
// scrape is negative. All other series are served.
//
// [metricsbuffer.SinkStats] counts dropped points by reason. An error reports each pair of names that collide, once for
// all their series (see [metricsbuffer.WithErrorHandler]). There are at most 100 such errors; the last one says so.
package openmetricssink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// A Sink keeps the totals of one buffer. It is a [metricsbuffer.Attacher] and an [http.Handler].
//
// [http.Handler]: https://pkg.go.dev/net/http#Handler
type Sink struct {
	config
	flush atomic.Pointer[func(context.Context) error] // the buffer's; nil before Attach

	spare atomic.Pointer[[]byte] // a page that was sent; the next one uses its memory

	mu       sync.Mutex // guards the fields below
	totals   cumulative.Totals[entry]
	space    prom.Space
	families map[*prom.Family]*family
	sorted   []*family   // the families by name; nil if that must be done again
	latest   stamp       // that was formatted
	native   prom.Native // scratch of the protobuf page
}

// New returns a sink without any totals. Give it to one buffer, with [metricsbuffer.WithSink].
func New(opts ...Option) (*Sink, error) {
	s := &Sink{families: make(map[*prom.Family]*family)}
	if err := option.Apply("openmetricssink: New", &s.config, opts); err != nil {
		return nil, err
	}
	s.space = prom.NewSpace("openmetricssink", s.labels)
	s.totals = cumulative.Totals[entry]{Admit: s.admit, Release: s.release, Redescribe: s.redescribe}
	return s, nil
}

// String returns "openmetrics".
func (s *Sink) String() string { return "openmetrics" }

// Attach gives the sink its buffer. [metricsbuffer.New] calls it. It returns an error if the sink has a buffer already.
func (s *Sink) Attach(flush func(context.Context) error) error {
	if !s.flush.CompareAndSwap(nil, &flush) {
		return errors.New("openmetricssink: the sink has been given to another buffer; " +
			"make a sink for each with openmetricssink.New")
	}
	return nil
}

// Write adds the batch to the totals, and acknowledges it. Its error reports each name whose series are dropped from
// now on, because another one has it.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals.Add(batch)
}
