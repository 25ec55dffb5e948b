package otelbridge

import (
	"context"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
)

// An instrument finds the series for a set of attributes. H is what it keeps for each.
type instrument[H any] struct {
	known    *xsync.MapOf[attribute.Distinct, H]
	find     func(tags []metricsbuffer.Tag) H
	rejected *metricsbuffer.Counter
}

// maxKnown limits what an instrument keeps. Series beyond it are looked up in the buffer, which has a limit of its own.
const maxKnown = 10_000

func newInstrument[H any](m *meter, name string, find func(tags []metricsbuffer.Tag) H) instrument[H] {
	return instrument[H]{
		known:    xsync.NewMapOf[attribute.Distinct, H](),
		find:     find,
		rejected: m.buffer.Counter("otelbridge.rejected", metricsbuffer.Tag{Key: "instrument", Value: name}),
	}
}

// of returns what there is for the set. It allocates when it sees the set for the first time.
func (i *instrument[H]) of(set attribute.Set) H {
	if h, ok := i.known.Load(set.Equivalent()); ok {
		return h
	}
	return i.ofSlow(set)
}

func (i *instrument[H]) ofSlow(set attribute.Set) H {
	tags := make([]metricsbuffer.Tag, 0, set.Len())
	for iter := set.Iter(); iter.Next(); {
		pair := iter.Attribute()
		tags = append(tags, metricsbuffer.Tag{Key: string(pair.Key), Value: pair.Value.String()})
	}
	h := i.find(tags)
	if i.known.Size() < maxKnown {
		h, _ = i.known.LoadOrStore(set.Equivalent(), h)
	}
	return h
}

// Enabled reports that recording is not in vain.
func (*instrument[H]) Enabled(context.Context) bool { return true }

// A sum is a counter that can be added fractions to.
type sum struct {
	counter *metricsbuffer.Counter
	rest    atomic.Uint64 // the bits of what has been added and not counted, from 0 to below 1
}

type counters struct{ instrument[*sum] }

func (m *meter) counters(name string) counters {
	return counters{newInstrument(m, name, func(tags []metricsbuffer.Tag) *sum {
		return &sum{counter: m.buffer.Counter(name, tags...)}
	})}
}

type int64Counter struct {
	embedded.Int64Counter
	counters
}

func (c *int64Counter) Add(_ context.Context, v int64, opts ...metric.AddOption) {
	if v < 0 {
		c.rejected.Inc()
		return
	}
	config := metric.NewAddConfig(opts)
	c.of(config.Attributes()).counter.Add(v)
}

type float64Counter struct {
	embedded.Float64Counter
	counters
}

func (c *float64Counter) Add(_ context.Context, v float64, opts ...metric.AddOption) {
	if _, ok := wholeNumber(v); !ok || v < 0 {
		c.rejected.Inc()
		return
	}
	config := metric.NewAddConfig(opts)
	c.of(config.Attributes()).add(v)
}

// add counts the whole part of v and what there is left, and leaves the rest.
func (s *sum) add(v float64) {
	whole, fraction := math.Modf(v)
	for fraction > 0 {
		old := s.rest.Load()
		more, rest := math.Modf(math.Float64frombits(old) + fraction)
		if s.rest.CompareAndSwap(old, math.Float64bits(rest)) {
			whole += more
			break
		}
	}
	s.counter.Add(int64(whole))
}

type gauges struct {
	instrument[*metricsbuffer.Gauge]
}

func (m *meter) gauges(name string) gauges {
	return gauges{newInstrument(m, name, func(tags []metricsbuffer.Tag) *metricsbuffer.Gauge {
		return m.buffer.Gauge(name, tags...)
	})}
}

type int64UpDownCounter struct {
	embedded.Int64UpDownCounter
	gauges
}

func (c *int64UpDownCounter) Add(_ context.Context, v int64, opts ...metric.AddOption) {
	config := metric.NewAddConfig(opts)
	c.of(config.Attributes()).Add(float64(v))
}

type float64UpDownCounter struct {
	embedded.Float64UpDownCounter
	gauges
}

func (c *float64UpDownCounter) Add(_ context.Context, v float64, opts ...metric.AddOption) {
	config := metric.NewAddConfig(opts)
	c.of(config.Attributes()).Add(v)
}

type int64Gauge struct {
	embedded.Int64Gauge
	gauges
}

func (g *int64Gauge) Record(_ context.Context, v int64, opts ...metric.RecordOption) {
	config := metric.NewRecordConfig(opts)
	g.of(config.Attributes()).Set(float64(v))
}

type float64Gauge struct {
	embedded.Float64Gauge
	gauges
}

func (g *float64Gauge) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	config := metric.NewRecordConfig(opts)
	g.of(config.Attributes()).Set(v)
}

// A distribution is a timer or a histogram: one of them is nil.
type distribution struct {
	timer     *metricsbuffer.Timer
	histogram *metricsbuffer.Histogram
}

type distributions struct {
	instrument[distribution]
	unit time.Duration // of a timer, else 1
}

func (m *meter) distributions(name, unit string) distributions {
	if duration, ok := durations[unit]; ok {
		return distributions{newInstrument(m, name, func(tags []metricsbuffer.Tag) distribution {
			return distribution{timer: m.buffer.Timer(name, tags...)}
		}), duration}
	}
	return distributions{newInstrument(m, name, func(tags []metricsbuffer.Tag) distribution {
		return distribution{histogram: m.buffer.Histogram(name, unit, tags...)}
	}), 1}
}

// observe observes v, in the timer's unit or the histogram's.
func (d distribution) observe(v int64) {
	d.timer.Observe(time.Duration(v))
	d.histogram.Observe(v)
}

type int64Histogram struct {
	embedded.Int64Histogram
	distributions
}

func (h *int64Histogram) Record(_ context.Context, v int64, opts ...metric.RecordOption) {
	if overflows(v, int64(h.unit)) {
		h.rejected.Inc()
		return
	}
	config := metric.NewRecordConfig(opts)
	h.of(config.Attributes()).observe(v * int64(h.unit))
}

func overflows(v, unit int64) bool {
	high, low := bits.Mul64(uint64(max(v, 0)), uint64(unit))
	return high != 0 || low > math.MaxInt64 || v < math.MinInt64/unit
}

type float64Histogram struct {
	embedded.Float64Histogram
	distributions
}

func (h *float64Histogram) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	n, ok := wholeNumber(v * float64(h.unit))
	if !ok {
		h.rejected.Inc()
		return
	}
	config := metric.NewRecordConfig(opts)
	h.of(config.Attributes()).observe(n)
}
