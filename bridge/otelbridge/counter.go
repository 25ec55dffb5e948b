package otelbridge

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

// A sum is a counter that can be added fractions to.
type sum struct {
	steps *metricsbuffer.Counter
	rests *fraction.Rests
	rest  atomic.Pointer[fraction.Rest] // of the counter's series; nil before the first fraction of a step
}

func newSum(p *MeterProvider, d *definition, tags []metricsbuffer.Tag) *sum {
	return &sum{steps: p.buffer.FractionCounter(d.Name, d.decimals, tags...).Steps(), rests: p.rests}
}

// add adds a number of steps, which is not negative and fits an int64.
func (s *sum) add(steps float64) {
	if whole, ok := wholeOf(steps); ok {
		s.steps.Add(whole)
		return
	}
	rest := s.rest.Load()
	if rest == nil {
		rest = s.rests.OfCounter(s.steps)
		s.rest.Store(rest)
	}
	whole, _ := rest.Add(steps)
	s.steps.Add(whole)
}

type int64Counter struct {
	embedded.Int64Counter
	instrument[*sum]
}

// Add adds v.
func (c *int64Counter) Add(_ context.Context, v int64, opts ...metric.AddOption) {
	factor := decimal.Power(c.decimals) // 1, unless a Float64Counter of the name was created first
	if v < 0 || overflows(v, factor) {
		c.reject()
		return
	}
	c.of(addedTo(opts)).steps.Add(v * factor)
}

type float64Counter struct {
	embedded.Float64Counter
	instrument[*sum]
}

// Add adds v.
func (c *float64Counter) Add(_ context.Context, v float64, opts ...metric.AddOption) {
	v *= float64(decimal.Power(c.decimals))
	if _, ok := fraction.Round(v); !ok || v < 0 {
		c.reject()
		return
	}
	c.of(addedTo(opts)).add(v)
}
