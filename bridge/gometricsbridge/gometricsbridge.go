// Package gometricsbridge lets code that is written against hashicorp/go-metrics record into a buffer: give go-metrics
// the buffer as its sink.
//
//	metrics.NewGlobal(metrics.DefaultConfig("service"), gometricsbridge.New(buffer))
//
// What is recorded goes to the buffer's sinks:
//
//	IncrCounter                        counter
//	SetGauge, SetPrecisionGauge        gauge
//	AddSample, MeasureSince            timer, or histogram: see [WithSampleUnit]
//	EmitKey                            gauge, which has the last value that was emitted
//
// Parts of a key are joined by dots, and labels become tags.
//
// The buffer counts in whole numbers, of which go-metrics' float32 has all up to 2^24. Of what a counter is incremented
// by, the whole part is recorded, and the rest, less than one for each series, is kept until more is added. What a
// histogram is given is rounded.
//
// What cannot be recorded is counted, in the counter gometricsbridge.rejected with the joined key as its tag name:
// values that are NaN, infinite or too large for an int64, given to a counter or as a sample; and fractions, when
// 100,000 other series have been incremented by some. Samples below zero are recorded as zero, which
// [metricsbuffer.Stats] counts.
package gometricsbridge

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink is a sink of go-metrics that records into a buffer. [New] makes one. Like every sink of go-metrics it may be
// used concurrently.
type Sink struct {
	buffer *metricsbuffer.Buffer
	unit   func(name string) time.Duration

	rests     sync.Map // of counters that were incremented by a fraction: by series, a *rest
	restCount atomic.Int64
}

var (
	_ metrics.MetricSink               = (*Sink)(nil)
	_ metrics.PrecisionGaugeMetricSink = (*Sink)(nil)
	_ metrics.ShutdownSink             = (*Sink)(nil)
)

// An Option is given to [New].
type Option func(*Sink)

// WithSampleUnit tells the unit of samples from the name they are for, its parts joined by dots; 0 is for samples that
// are not durations, which go to a histogram. Without the option all are milliseconds, as is what MeasureSince measures
// if go-metrics is not configured otherwise, and as sinks for StatsD take them.
func WithSampleUnit(unit func(name string) time.Duration) Option {
	return func(s *Sink) { s.unit = unit }
}

// New returns a sink that records into the buffer. If that is nil it does nothing.
func New(buffer *metricsbuffer.Buffer, opts ...Option) *Sink {
	s := &Sink{buffer: buffer, unit: func(string) time.Duration { return time.Millisecond }}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

func join(key []string) string { return strings.Join(key, ".") }

func tagsOf(labels []metrics.Label) []metricsbuffer.Tag {
	if len(labels) == 0 {
		return nil
	}
	tags := make([]metricsbuffer.Tag, len(labels))
	for i, label := range labels {
		tags[i] = metricsbuffer.Tag{Key: label.Name, Value: label.Value}
	}
	return tags
}

// SetGauge sets a gauge.
func (s *Sink) SetGauge(key []string, v float32) { s.SetPrecisionGaugeWithLabels(key, float64(v), nil) }

// SetGaugeWithLabels sets a gauge.
func (s *Sink) SetGaugeWithLabels(key []string, v float32, labels []metrics.Label) {
	s.SetPrecisionGaugeWithLabels(key, float64(v), labels)
}

// SetPrecisionGauge sets a gauge.
func (s *Sink) SetPrecisionGauge(key []string, v float64) { s.SetPrecisionGaugeWithLabels(key, v, nil) }

// SetPrecisionGaugeWithLabels sets a gauge.
func (s *Sink) SetPrecisionGaugeWithLabels(key []string, v float64, labels []metrics.Label) {
	s.buffer.SetGauge(join(key), v, tagsOf(labels)...)
}

// EmitKey sets a gauge.
func (s *Sink) EmitKey(key []string, v float32) { s.SetGauge(key, v) }

// IncrCounter adds v to a counter.
func (s *Sink) IncrCounter(key []string, v float32) { s.IncrCounterWithLabels(key, v, nil) }

// IncrCounterWithLabels adds v to a counter.
func (s *Sink) IncrCounterWithLabels(key []string, v float32, labels []metrics.Label) {
	name, tags := join(key), tagsOf(labels)
	if _, ok := wholeNumber(float64(v)); !ok {
		s.reject(name)
		return
	}
	whole, fraction := math.Modf(float64(v))
	if fraction != 0 {
		if r := s.restOf(name, labels); r != nil {
			whole += r.add(fraction)
		} else {
			s.reject(name)
		}
	}
	if whole != 0 {
		s.buffer.IncrCounter(name, int64(whole), tags...)
	}
}

// AddSample records a duration, or a value in a histogram.
func (s *Sink) AddSample(key []string, v float32) { s.AddSampleWithLabels(key, v, nil) }

// AddSampleWithLabels records a duration, or a value in a histogram.
func (s *Sink) AddSampleWithLabels(key []string, v float32, labels []metrics.Label) {
	name := join(key)
	unit := s.unit(name)
	n, ok := wholeNumber(float64(v) * float64(max(unit, 1)))
	switch {
	case !ok:
		s.reject(name)
	case unit > 0:
		s.buffer.IncrTimer(name, time.Duration(n), tagsOf(labels)...)
	default:
		s.buffer.Histogram(name, "", tagsOf(labels)...).Observe(n)
	}
}

const shutdownTimeout = 5 * time.Second

// Shutdown flushes the buffer, for which it waits at most 5 seconds. Errors go to the buffer's error handler, and what
// was not delivered is pending. To close the buffer is up to who made it.
func (s *Sink) Shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	_ = s.buffer.Flush(ctx)
}

func (s *Sink) reject(name string) {
	s.buffer.IncrCounter("gometricsbridge.rejected", 1, metricsbuffer.Tag{Key: "name", Value: name})
}

// wholeNumber returns v as an int64, if it is finite and has room in one.
func wholeNumber(v float64) (int64, bool) {
	if v = math.Round(v); v >= math.MinInt64 && v < math.MaxInt64 { // as floats, -2^63 and 2^63; false for NaN
		return int64(v), true
	}
	return 0, false
}

// A rest has the bits of what was added to a counter and not counted, between -1 and 1.
type rest struct{ bits atomic.Uint64 }

// add adds the fraction, and returns what makes a whole.
func (r *rest) add(fraction float64) float64 {
	for {
		old := r.bits.Load()
		whole, left := math.Modf(math.Float64frombits(old) + fraction)
		if r.bits.CompareAndSwap(old, math.Float64bits(left)) {
			return whole
		}
	}
}

// maxRests limits how many counters can have a rest.
const maxRests = 100_000

// restOf returns the rest of a series, which the order of labels is part of: at worst there are two. It returns nil if
// too many series have one.
func (s *Sink) restOf(name string, labels []metrics.Label) *rest {
	key := fmt.Sprintf("%q%q", name, labels)
	if r, ok := s.rests.Load(key); ok {
		return r.(*rest)
	}
	if s.restCount.Add(1) > maxRests {
		s.restCount.Add(-1)
		return nil
	}
	r, _ := s.rests.LoadOrStore(key, new(rest))
	return r.(*rest)
}
