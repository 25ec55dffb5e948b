// Package backendsink delivers to a metrics client that a program already has. Write four methods around that client:
//
//	sink, err := backendsink.New(backend)
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
//
// The sink calls them once for each series and batch, with aggregated values, instead of once for each event. A new
// counter or gauge is delivered even if it is zero, so that the client knows it before it counts; a timer or histogram
// is delivered when it has observations. The client is not told when a series ends ([metricsbuffer.Batch]).
package backendsink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

// A Backend takes metrics one by one. The sink never calls its methods concurrently. The methods must not keep or
// change tags, which are sorted by key and then by value; they may keep the strings.
//
// A method returns nil when it has taken the metric. If the client can never take such a metric, the method returns an
// error that wraps [errors.ErrUnsupported]: the sink drops the metric, which [metricsbuffer.SinkStats] counts, and goes
// on. After any other error, or a panic, this metric and those after it stay in the buffer, which delivers them again
// with the next batch.
type Backend interface {
	// Increment adds delta to a counter. The delta may be negative or zero. Counters of fractions go to a
	// [FractionBackend].
	Increment(name string, delta int64, tags []metricsbuffer.Tag) error

	// Gauge sets a gauge. The value may be NaN or infinite.
	Gauge(name string, value float64, tags []metricsbuffer.Tag) error

	// Timing adds count durations, at least one, whose sum is total, to a timer. A client that takes only single durations
	// can be given their mean, count times or with the sample rate 1/count.
	Timing(name string, count int64, total time.Duration, tags []metricsbuffer.Tag) error

	// Histogram adds count values, at least one, whose sum is total, to a histogram. Both the values and total are in
	// unit, which is the one given to [metricsbuffer.Buffer.Histogram], such as "bytes", and may be empty.
	Histogram(name, unit string, count, total int64, tags []metricsbuffer.Tag) error
}

// A FractionBackend is a [Backend] that also takes counters of fractions ([metricsbuffer.FractionCounter]). They are
// dropped if a backend has no such method. The rules are those of Backend's methods.
type FractionBackend interface {
	Backend

	// IncrementFraction adds delta to a counter: the float64 that is nearest to the sum. The delta may be negative or
	// zero.
	IncrementFraction(name string, delta float64, tags []metricsbuffer.Tag) error
}

// A Sink delivers batches to a backend. Make one with [New]. If several buffers share it, their batches are delivered
// one after the other: a backend that hangs then holds up all of them.
type Sink struct {
	mu      sync.Mutex // held by Write: a backend need not be safe for concurrent use
	backend Backend
}

// An Option changes a [Sink]. There is none yet; [New] takes options so that adding one breaks no caller.
type Option func(*Sink) error

// New returns a sink that delivers to the backend. A nil backend or option is an error.
func New(backend Backend, opts ...Option) (*Sink, error) {
	const call = "backendsink: New"
	if err := option.Target(call, "backend", backend, "give it your implementation of Backend"); err != nil {
		return nil, err
	}
	s := &Sink{backend: backend}
	if err := option.Apply(call, s, opts); err != nil {
		return nil, err
	}
	return s, nil
}

// String returns "backend" and the type of the backend.
func (s *Sink) String() string { return fmt.Sprintf("backend %T", s.backend) }

// Write calls the backend for each point. It returns the first error of the backend, or that of ctx.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch.Points {
		if ctx.Err() != nil {
			return fmt.Errorf("backendsink: after %d of %d points: %w", i, len(batch.Points), context.Cause(ctx))
		}
		p := &batch.Points[i]
		switch err := s.deliver(p); {
		case errors.Is(err, errors.ErrUnsupported):
			batch.Drop(i, "the backend does not support it")
		case err != nil:
			return fmt.Errorf("backendsink: %v %q: %w", p.Kind, p.Name, err)
		}
		batch.Acknowledge(i + 1)
	}
	return nil
}

func (s *Sink) deliver(p *metricsbuffer.Point) error {
	switch p.Kind {
	case metricsbuffer.KindCounter:
		if p.Decimals > 0 {
			if backend, ok := s.backend.(FractionBackend); ok {
				return backend.IncrementFraction(p.Name, p.Amount(), p.Tags)
			}
			return errors.ErrUnsupported
		}
		return s.backend.Increment(p.Name, p.Count, p.Tags)
	case metricsbuffer.KindGauge:
		return s.backend.Gauge(p.Name, p.Value, p.Tags)
	case metricsbuffer.KindTimer:
		if p.Count == 0 {
			return nil
		}
		return s.backend.Timing(p.Name, p.Count, time.Duration(p.Sum), p.Tags)
	case metricsbuffer.KindHistogram:
		if p.Count == 0 {
			return nil
		}
		return s.backend.Histogram(p.Name, p.Unit, p.Count, p.Sum, p.Tags)
	}
	return errors.ErrUnsupported // a kind that is newer than this package
}
