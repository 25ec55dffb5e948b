package otelbridge

import (
	"context"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// A distribution is a timer or a histogram. The other one is nil.
type distribution struct {
	timer     *metricsbuffer.Timer
	histogram *metricsbuffer.Histogram
	rests     *fraction.Rests
	rest      atomic.Pointer[fraction.Rest] // of the series; nil before the first fraction
}

func newDistribution(p *MeterProvider, d *definition, tags []metricsbuffer.Tag) *distribution {
	if d.scale.timer {
		return &distribution{timer: p.buffer.Timer(d.Name, tags...), rests: p.rests}
	}
	return &distribution{histogram: p.buffer.Histogram(d.Name, d.scale.unit, tags...), rests: p.rests}
}

func (d *distribution) observe(v int64) {
	d.timer.Observe(time.Duration(v))
	d.histogram.Observe(v)
}

type int64Histogram struct {
	embedded.Int64Histogram
	instrument[*distribution]
}

// Record records v.
func (h *int64Histogram) Record(_ context.Context, v int64, opts ...metric.RecordOption) {
	if overflows(v, h.scale.factor) {
		h.reject()
		return
	}
	h.of(recordedIn(opts)).observe(v * h.scale.factor)
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
func (h *float64Histogram) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	v *= float64(h.scale.factor)
	if _, ok := fraction.Round(v); !ok {
		h.reject()
		return
	}
	h.of(recordedIn(opts)).record(v)
}

// noise is the relative error of a whole number that was divided by a scale's factor and multiplied by it again.
const noise = 1.0 / (1 << 51)

// record records v, which fits an int64. Usually it is a whole number, because durations are measured in nanoseconds.
// Then the rest, a word that all writers share, is left alone.
func (d *distribution) record(v float64) {
	whole := math.Round(v)
	switch {
	case v < 0:
		d.observe(-1) // The buffer records it as zero and counts it. The rest is for the sum of the others.
	case math.Abs(v-whole) <= v*noise:
		d.observe(int64(whole))
	default:
		n, _ := d.restOf().Add(v)
		d.observe(n)
	}
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
