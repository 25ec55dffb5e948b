package otelbridge

import (
	"context"
	"math"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
)

func newGauge(p *MeterProvider, d *definition, tags []metricsbuffer.Tag) *metricsbuffer.Gauge {
	return p.buffer.Gauge(d.Name, tags...)
}

type int64UpDownCounter struct {
	embedded.Int64UpDownCounter
	instrument[*metricsbuffer.Gauge]
}

// Add adds v.
func (c *int64UpDownCounter) Add(_ context.Context, v int64, opts ...metric.AddOption) {
	c.of(addedTo(opts)).Add(float64(v))
}

type float64UpDownCounter struct {
	embedded.Float64UpDownCounter
	instrument[*metricsbuffer.Gauge]
}

// Add adds v. NaN and infinities are rejected, because the sum would never be a number again.
func (c *float64UpDownCounter) Add(_ context.Context, v float64, opts ...metric.AddOption) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		c.reject()
		return
	}
	c.of(addedTo(opts)).Add(v)
}

type int64Gauge struct {
	embedded.Int64Gauge
	instrument[*metricsbuffer.Gauge]
}

// Record sets the gauge to v.
func (g *int64Gauge) Record(_ context.Context, v int64, opts ...metric.RecordOption) {
	g.of(recordedIn(opts)).Set(float64(v))
}

type float64Gauge struct {
	embedded.Float64Gauge
	instrument[*metricsbuffer.Gauge]
}

// Record sets the gauge to v.
func (g *float64Gauge) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	g.of(recordedIn(opts)).Set(v)
}
