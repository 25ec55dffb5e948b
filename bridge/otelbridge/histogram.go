package otelbridge

import (
	"context"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// A distribution is a timer or a histogram. The other one is nil.
type distribution struct {
	timer     *metricsbuffer.Timer
	histogram *metricsbuffer.Histogram
	scaled    bool // values were multiplied by a factor other than 1
	rests     *fraction.Rests
	rest      atomic.Pointer[fraction.Rest] // of the series; nil before the first fraction
}

func newDistribution(p *MeterProvider, d *definition, tags []metricsbuffer.Tag) *distribution {
	n := &distribution{scaled: d.scale.factor != 1, rests: p.rests}
	if d.scale.timer {
		n.timer = p.buffer.Timer(d.Name, tags...)
	} else {
		n.histogram = p.buffer.Histogram(d.Name, d.scale.unit, tags...)
	}
	return n
}

func (d *distribution) observe(v int64, span metricsbuffer.TraceContext) {
	d.timer.ObserveExemplar(time.Duration(v), span)
	d.histogram.ObserveExemplar(v, span)
}

// spanOf returns the span of the context if it is sampled, as the SDK's default filter of exemplars does.
func spanOf(ctx context.Context) (span metricsbuffer.TraceContext) {
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		span.TraceID, span.SpanID = s.TraceID(), s.SpanID()
	}
	return span
}

type int64Histogram struct {
	embedded.Int64Histogram
	instrument[*distribution]
}

// Record records v.
func (h *int64Histogram) Record(ctx context.Context, v int64, opts ...metric.RecordOption) {
	if overflows(v, h.scale.factor) {
		h.reject()
		return
	}
	h.of(recordedIn(opts)).observe(v*h.scale.factor, spanOf(ctx))
}

func overflows(v, factor int64) bool {
	high, low := bits.Mul64(uint64(max(v, 0)), uint64(factor))
	return high != 0 || low > math.MaxInt64 || v < math.MinInt64/factor
}

type float64Histogram struct {
	embedded.Float64Histogram
	instrument[*distribution]
}

// Record records v.
func (h *float64Histogram) Record(ctx context.Context, v float64, opts ...metric.RecordOption) {
	v *= float64(h.scale.factor)
	if _, ok := fraction.Round(v); !ok {
		h.reject()
		return
	}
	h.of(recordedIn(opts)).record(v, spanOf(ctx))
}

// noise is the relative error of a number that was divided by a scale's factor and multiplied by it again.
const noise = 1.0 / (1 << 51)

// wholeOf returns the whole number that v, which is not negative, was before it was divided by a scale's factor and
// multiplied by it again. A number that was not scaled has no error: every fraction is one that was recorded.
func wholeOf(v float64, scaled bool) (whole int64, ok bool) {
	nearest := math.Round(v)
	return int64(nearest), v == nearest || scaled && math.Abs(v-nearest) <= noiseOf(v)
}

// noiseOf returns the most by which v may differ from a whole number and still be taken for it. A half is not: beyond
// 2^50 a float64 may be off by so much, but halves would all be rounded up.
func noiseOf(v float64) float64 { return min(v*noise, 0.25) }

// record records v, which fits an int64. Usually it is a whole number, because durations are measured in nanoseconds.
// Then the rest, a word that all writers share, is left alone.
func (d *distribution) record(v float64, span metricsbuffer.TraceContext) {
	if v < 0 {
		d.observe(-1, span) // The buffer records it as zero and counts it. The rest is for the sum of the others.
		return
	}
	whole, ok := wholeOf(v, d.scaled)
	if !ok {
		whole, _ = d.restOf().Add(v)
	}
	d.observe(whole, span)
}

func (d *distribution) restOf() *fraction.Rest {
	rest := d.rest.Load()
	if rest == nil {
		if d.timer != nil {
			rest = d.rests.OfTimer(d.timer)
		} else {
			rest = d.rests.OfHistogram(d.histogram)
		}
		d.rest.Store(rest)
	}
	return rest
}
