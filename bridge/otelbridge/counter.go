package otelbridge

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// A sum is a counter that can be added fractions to.
type sum struct {
	counter *metricsbuffer.Counter
	rests   *fraction.Rests
	rest    atomic.Pointer[fraction.Rest] // of the counter's series; nil before the first fraction
}

func newSum(p *MeterProvider, d *definition, tags []metricsbuffer.Tag) *sum {
	return &sum{counter: p.buffer.Counter(d.Name, tags...), rests: p.rests}
}

// add adds v, which fits an int64.
func (s *sum) add(v float64) {
	if whole := int64(v); float64(whole) == v {
		s.counter.Add(whole)
		return
	}
	rest := s.rest.Load()
	if rest == nil {
		rest = s.rests.OfCounter(s.counter)
		s.rest.Store(rest)
	}
	whole, _ := rest.Add(v)
	s.counter.Add(whole)
}

type int64Counter struct {
	embedded.Int64Counter
	instrument[*sum]
}

// Add adds v.
func (c *int64Counter) Add(_ context.Context, v int64, opts ...metric.AddOption) {
	if v < 0 {
		c.reject()
		return
	}
	c.of(addedTo(opts)).counter.Add(v)
}

type float64Counter struct {
	embedded.Float64Counter
	instrument[*sum]
}

// Add adds v.
func (c *float64Counter) Add(_ context.Context, v float64, opts ...metric.AddOption) {
	if _, ok := fraction.Round(v); !ok || v < 0 {
		c.reject()
		return
	}
	c.of(addedTo(opts)).add(v)
}
