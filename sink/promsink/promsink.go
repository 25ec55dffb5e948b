// Package promsink serves a buffer to Prometheus. A scrape takes what was recorded since the last one out of the buffer
// and adds it to totals, which are what Prometheus sees; any number of scrapers may come, at any time.
//
//	sink := promsink.New()
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink, metricsbuffer.SinkInterval(0)))
//	…
//	prometheus.MustRegister(sink.Collector(buffer))
//
// # What becomes of each kind
//
//	counter jobs.done            jobs_done_total, a counter
//	gauge queue.depth            queue_depth, a gauge; NaN and infinities are carried
//	timer rpc.latency            rpc_latency_seconds, a histogram
//	histogram size, in bytes     size_bytes, a histogram
//
// Every histogram is served as a classic one and as a native one; Prometheus takes the one it was told to. Count and
// sum are exact in both. A native histogram has the buffer's own buckets, which are those of schema 4. As a second is
// not a whole number of nanosecond buckets, a timer's bounds are 1.6 % above where they should be (they are shifted by
// 478 buckets, instead of 478.36). The bounds of a classic histogram are powers of two, in nanoseconds for timers
// (1.024e-06 is 2^10 of them), because those are bounds of the buffer's, so that every count is exact: for timers all
// from 1 µs to 69 s, for histograms every other from 1 to 10^12.
//
// Counters and histograms tell when they were created: at the start of the first batch that had the series.
//
// # Names and labels
//
// In names and in keys of tags, what is neither a letter of ASCII, a digit nor an underscore becomes an underscore. A
// suffix that a name has already (_total, _seconds, the unit) is not added. A name or key that begins with a digit, or
// is empty, gets an underscore in front; a key that begins with two of them, which Prometheus keeps to itself, loses
// one until it does not; and the key le of a histogram's tag becomes exported_le. A tag without a value is left out:
// to Prometheus that is the same.
//
// So two series can become one. The first one seen has the name, then; the other is dropped, which
// [metricsbuffer.SinkStats] counts, and is reported once, by an error that names both (see
// [metricsbuffer.WithErrorHandler]). It goes by metrics: if a.b and a-b are recorded, the second is dropped whatever
// its tags are. The names of a histogram's and a counter's samples, with _bucket, _count, _sum, _created, are taken as
// well.
//
// Also dropped and counted are points of which Prometheus has no notion: series with a key twice (or two that become
// one), values of tags that are not UTF-8, and counters of which the sum since the last scrape is negative.
package promsink

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink adds up batches to totals, which its [Sink.Collector] serves. [New] makes one. It is for one buffer: two would
// mix their series.
//
// It keeps every series it ever got, as Prometheus expects of totals, unless it is told not to ([WithIdleExpiry]).
type Sink struct {
	expiry time.Duration // 0: none

	mu     sync.Mutex // Write changes what follows, scrapes read it
	series map[string]*series
	key    []byte // scratch
	swept  time.Time

	// Who has which name in Prometheus.
	names  map[string]*family // of metrics, and of their samples
	labels map[string]*series // with labels
}

// A family is a metric in Prometheus: all series of one name, kind and unit.
type family struct {
	names   []string // its own first, then those of its samples
	help    string
	first   *series
	members int // not expired
}

// A series is a total, or a series that cannot have one.
type series struct {
	kind    metricsbuffer.Kind
	name    string // as recorded, with tags and unit
	tags    []metricsbuffer.Tag
	unit    string
	updated time.Time
	refused string // the reason why all points of the series are dropped; then there is nothing else

	family  *family
	key     string // in Sink.labels
	desc    *prometheus.Desc
	labels  []*dto.LabelPair
	created *timestamppb.Timestamp

	count   uint64  // counter: sum of the deltas; timer, histogram: observations
	sum     float64 // timer: nanoseconds. An int64 would overflow: 10,000 requests at a time have that sum in 11 days.
	value   float64 // gauge
	buckets metricsbuffer.Buckets
}

// An Option is given to [New].
type Option func(*Sink)

// WithIdleExpiry has totals forgotten that got nothing for d, so that series which come and go need no more memory than
// those that are there. Prometheus sees them end; one that comes back begins at zero, as after a restart. It goes with
// [metricsbuffer.WithIdleExpiry]. Without it, or if d is not positive, totals are kept.
func WithIdleExpiry(d time.Duration) Option {
	return func(s *Sink) { s.expiry = d }
}

// New returns a sink without any totals.
func New(opts ...Option) *Sink {
	s := &Sink{
		series: make(map[string]*series),
		names:  make(map[string]*family),
		labels: make(map[string]*series),
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// String returns "prometheus".
func (s *Sink) String() string { return "prometheus" }

// The reason to drop a point whose series is not at fault.
const negative = "negative counter delta"

// Write adds the batch to the totals. Its error tells which series are dropped, and from now on always will be, because
// others have their names; all other points are acknowledged nevertheless.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for i := range batch.Points {
		p := &batch.Points[i]
		s.key = appendKey(s.key[:0], p)
		total := s.series[string(s.key)]
		if total == nil {
			var err error
			if total, err = s.admit(p, batch.Start); err != nil {
				errs = append(errs, err)
			}
			s.series[string(s.key)] = total
		}
		total.updated = batch.End
		switch {
		case total.refused != "":
			batch.Drop(i, total.refused)
		case p.Kind == metricsbuffer.KindCounter && p.Count < 0:
			batch.Drop(i, negative)
		default:
			total.add(p)
		}
	}
	batch.Acknowledge(len(batch.Points))
	s.expire(batch.End)
	return errors.Join(errs...)
}

// expire forgets what is idle, now and then: it looks at all series.
func (s *Sink) expire(now time.Time) {
	if s.expiry <= 0 || now.Sub(s.swept) < s.expiry/2 {
		return
	}
	s.swept = now
	for key, total := range s.series {
		if now.Sub(total.updated) >= s.expiry {
			delete(s.series, key)
			s.release(total)
		}
	}
}

// appendKey appends what only points of the same series have.
func appendKey(key []byte, p *metricsbuffer.Point) []byte {
	key = append(key, byte(p.Kind))
	key = appendString(appendString(key, p.Name), p.Unit)
	for _, tag := range p.Tags {
		key = appendString(appendString(key, tag.Key), tag.Value)
	}
	return key
}

// appendString appends s so that it can be told where it ends.
func appendString(key []byte, s string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(s))), s...)
}

func (s *series) add(p *metricsbuffer.Point) {
	s.count += uint64(p.Count) // beyond 2^64 it begins anew, which Prometheus takes for a restart
	s.sum += float64(p.Sum)
	s.value = p.Value
	if p.Buckets != nil {
		s.buckets.Add(p.Buckets)
	}
}
