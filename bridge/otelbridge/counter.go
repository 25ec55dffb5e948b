package otelbridge

import (
	"context"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// A sum is a counter that can be added fractions to.
type sum struct {
	counter *metricsbuffer.Counter
	rest    fraction.Rest
}

func newSum(b *metricsbuffer.Buffer, d *definition, tags []metricsbuffer.Tag) *sum {
	return &sum{counter: b.Counter(d.Name, tags...)}
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
	s := c.of(addedTo(opts))
	whole, _ := s.rest.Add(v)
	s.counter.Add(whole)
}
