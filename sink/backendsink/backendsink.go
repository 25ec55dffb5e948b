// Package backendsink makes a sink of a client for metrics that one has already: write three methods for it, and
//
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(backendsink.New(backend)))
//
// calls them with what the buffer has aggregated, instead of once for every event.
package backendsink

import (
	"context"
	"fmt"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Backend takes metrics one by one. The sink never calls its methods concurrently. They must not keep or change tags,
// which are sorted by key; the strings may be kept.
//
// A method that returns an error, or panics, has not taken the metric: it, and those after it, are given to the backend
// again with the next batch. Those before it are not.
type Backend interface {
	// Increment adds delta to a counter. It may be negative, but is not zero.
	Increment(name string, delta int64, tags []metricsbuffer.Tag) error

	// Gauge sets a gauge. The value may be NaN or infinite if that is what it was set to.
	Gauge(name string, value float64, tags []metricsbuffer.Tag) error

	// Timing adds count durations, of which total is the sum, to a timer. A client that takes single durations only
	// can be given the total, as though it were one, if it is sums that matter, or else the mean.
	Timing(name string, count int64, total time.Duration, tags []metricsbuffer.Tag) error
}

// A Sink hands batches to a backend. [New] makes one.
type Sink struct{ backend Backend }

// New returns a sink for the backend.
func New(backend Backend) *Sink { return &Sink{backend} }

// String names the sink by the type of its backend.
func (s *Sink) String() string { return fmt.Sprintf("backend %T", s.backend) }

// Write calls the backend for each point, and returns its first error, or that of ctx. Histograms, for which a backend
// has no method, are dropped, which [metricsbuffer.SinkStats] counts.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	for i := range batch.Points {
		if ctx.Err() != nil {
			return fmt.Errorf("backendsink: after %d of %d points: %w", i, len(batch.Points), context.Cause(ctx))
		}
		p := &batch.Points[i]
		var err error
		switch p.Kind {
		case metricsbuffer.KindCounter:
			err = s.backend.Increment(p.Name, p.Count, p.Tags)
		case metricsbuffer.KindGauge:
			err = s.backend.Gauge(p.Name, p.Value, p.Tags)
		case metricsbuffer.KindTimer:
			err = s.backend.Timing(p.Name, p.Count, time.Duration(p.Sum), p.Tags)
		default:
			batch.Drop(i, "a backend takes no "+p.Kind.String()+"s")
		}
		if err != nil {
			return fmt.Errorf("backendsink: %v %q: %w", p.Kind, p.Name, err)
		}
		batch.Acknowledge(i + 1)
	}
	return nil
}
