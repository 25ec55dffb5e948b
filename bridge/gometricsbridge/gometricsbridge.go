// Package gometricsbridge lets code that is written against hashicorp/go-metrics or armon/go-metrics record into a
// buffer. Give go-metrics the buffer as its sink:
//
//	sink, err := gometricsbridge.New[metrics.Label](buffer)
//	…
//	metrics.NewGlobal(metrics.DefaultConfig("service"), sink)
//
// # Which go-metrics
//
// There are several packages of this name. The bridge imports none of them and works with each. Its type argument is
// the Label of the package that the instrumented code imports:
//
//	import                                      used by               note
//	github.com/hashicorp/go-metrics             raft 1.8 and later
//	github.com/hashicorp/go-metrics/compat      raft 1.7              in go-metrics 0.5 and 0.6 only
//	github.com/armon/go-metrics                 raft up to 1.6
//
// Package compat forwards to armon/go-metrics. With the build tag hashicorpmetrics, it forwards to
// hashicorp/go-metrics. Code that takes NewGlobal and Label from compat works with and without the tag.
//
// armon/go-metrics and hashicorp/go-metrics have a global instance each. A program whose packages use both calls both
// functions NewGlobal, each with its own sink for the same buffer.
//
// # Kinds
//
//	IncrCounter                        counter
//	SetGauge, SetPrecisionGauge        gauge
//	AddSample, MeasureSince            timer, or histogram: see [WithSampleUnit]
//	EmitKey                            gauge with the last value
//
// Parts of a key are joined by dots, and labels become tags.
//
// The buffer counts in whole numbers; go-metrics' float32 is exact for those up to 2^24. A counter or histogram keeps
// its fraction until it makes a whole: the delivered sum and the kept fraction are the recorded sum. A counter's sum is
// rounded down, and a histogram's to the nearest whole number. Timers round each duration to a nanosecond. All labels
// whose updates go to an overflow series of the buffer share its fraction. The buffer's idle expiry does not forget a
// series that has recorded a fraction.
//
// The counter gometricsbridge.rejected, with the joined key as its tag name, counts values that cannot be recorded:
// NaN, an infinity or a number that does not fit an int64, as a counter's increment or a sample; and a fraction, if
// 100,000 other counters, or histograms, have recorded one already. Samples below zero are recorded as zero, and
// counted in [metricsbuffer.Stats].
package gometricsbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// A Label is the type Label of a go-metrics package.
type Label interface{ ~struct{ Name, Value string } }

// A Sink is a sink of go-metrics: it implements MetricSink, PrecisionGaugeMetricSink and ShutdownSink of the package
// that L is from. [New] makes one. All methods may be called concurrently.
type Sink[L Label] struct {
	config

	buffer     *metricsbuffer.Buffer
	counters   fractionals
	histograms fractionals
}

type config struct {
	unit func(name string) time.Duration
}

// An Option configures a [Sink].
type Option func(*config) error

// WithSampleUnit tells the unit of samples, by their name. The name is the parts of the key joined by dots. If the
// function returns 0 or less, the samples are not durations, and go to a histogram. Without the option samples are
// milliseconds, with one exception. MeasureSince measures in milliseconds if go-metrics is not configured otherwise,
// and sinks for StatsD expect them. The exception is runtime.gc_pause_ns: go-metrics records it by itself, in
// nanoseconds, if it is not configured otherwise.
func WithSampleUnit(unit func(name string) time.Duration) Option {
	return func(c *config) error {
		if unit == nil {
			return errors.New("WithSampleUnit: the function is nil; leave the option out for milliseconds")
		}
		c.unit = unit
		return nil
	}
}

// New returns a sink that records into the buffer. If the buffer is nil, the sink does nothing. It is an error if an
// option is nil or has a value that makes no sense.
func New[L Label](buffer *metricsbuffer.Buffer, opts ...Option) (*Sink[L], error) {
	s := &Sink[L]{
		config: config{unit: unit},
		buffer: buffer,
	}
	rests := new(fraction.Rests)
	s.counters = newFractionals(func(name string, tags []metricsbuffer.Tag) *fractional {
		c := buffer.Counter(name, tags...)
		return &fractional{counter: c, rest: rests.OfCounter(c)}
	})
	s.histograms = newFractionals(func(name string, tags []metricsbuffer.Tag) *fractional {
		h := buffer.Histogram(name, "", tags...)
		return &fractional{histogram: h, rest: rests.OfHistogram(h)}
	})
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("gometricsbridge: New: option %d of %d is nil; leave it out", i+1, len(opts))
		}
		if err := opt(&s.config); err != nil {
			return nil, fmt.Errorf("gometricsbridge: %w", err)
		}
	}
	return s, nil
}

// unit is the unit of samples without [WithSampleUnit].
func unit(name string) time.Duration {
	if strings.HasSuffix(name, "runtime.gc_pause_ns") {
		return time.Nanosecond
	}
	return time.Millisecond
}

func join(key []string) string { return strings.Join(key, ".") }

func tagsOf[L Label](labels []L) []metricsbuffer.Tag {
	if len(labels) == 0 {
		return nil
	}
	tags := make([]metricsbuffer.Tag, len(labels))
	for i, l := range labels {
		label := struct{ Name, Value string }(l)
		tags[i] = metricsbuffer.Tag{Key: label.Name, Value: label.Value}
	}
	return tags
}

// SetGauge sets a gauge.
func (s *Sink[L]) SetGauge(key []string, v float32) {
	s.SetPrecisionGaugeWithLabels(key, float64(v), nil)
}

// SetGaugeWithLabels sets a gauge.
func (s *Sink[L]) SetGaugeWithLabels(key []string, v float32, labels []L) {
	s.SetPrecisionGaugeWithLabels(key, float64(v), labels)
}

// SetPrecisionGauge sets a gauge.
func (s *Sink[L]) SetPrecisionGauge(key []string, v float64) {
	s.SetPrecisionGaugeWithLabels(key, v, nil)
}

// SetPrecisionGaugeWithLabels sets a gauge.
func (s *Sink[L]) SetPrecisionGaugeWithLabels(key []string, v float64, labels []L) {
	s.buffer.SetGauge(join(key), v, tagsOf(labels)...)
}

// EmitKey sets a gauge.
func (s *Sink[L]) EmitKey(key []string, v float32) { s.SetGauge(key, v) }

// IncrCounter adds v to a counter.
func (s *Sink[L]) IncrCounter(key []string, v float32) { s.IncrCounterWithLabels(key, v, nil) }

// IncrCounterWithLabels adds v to a counter.
func (s *Sink[L]) IncrCounterWithLabels(key []string, v float32, labels []L) {
	name, tags := join(key), tagsOf(labels)
	nearest, ok := fraction.Round(float64(v))
	switch {
	case !ok:
		s.reject(name)
		return
	case float32(nearest) == v:
		s.buffer.IncrCounter(name, nearest, tags...)
		return
	}
	if counter, ok := s.counters.of(name, tags); ok {
		counter.record(float64(v))
		return
	}
	s.reject(name)
	s.buffer.IncrCounter(name, int64(v), tags...)
}

// AddSample records a duration, or a value in a histogram.
func (s *Sink[L]) AddSample(key []string, v float32) { s.AddSampleWithLabels(key, v, nil) }

// AddSampleWithLabels records a duration, or a value in a histogram.
func (s *Sink[L]) AddSampleWithLabels(key []string, v float32, labels []L) {
	name, tags := join(key), tagsOf(labels)
	if unit := s.unit(name); unit > 0 {
		n, ok := fraction.Round(float64(v) * float64(unit))
		if !ok {
			s.reject(name)
			return
		}
		s.buffer.IncrTimer(name, time.Duration(n), tags...)
		return
	}
	nearest, ok := fraction.Round(float64(v))
	switch {
	case !ok:
		s.reject(name)
		return
	case v < 0:
		s.buffer.ObserveHistogram(name, "", -1, tags...) // it is recorded as zero, and counted
		return
	case float32(nearest) == v:
		s.buffer.ObserveHistogram(name, "", nearest, tags...)
		return
	}
	if histogram, ok := s.histograms.of(name, tags); ok {
		histogram.record(float64(v))
		return
	}
	s.reject(name)
	s.buffer.ObserveHistogram(name, "", nearest, tags...)
}

const shutdownTimeout = 5 * time.Second

// Shutdown flushes the buffer, and waits at most 5 seconds for it. Errors of sinks go to the buffer's error handler,
// and undelivered updates stay in the buffer. It is no error if a sink has not answered by then. The owner of the
// buffer closes it; [metricsbuffer.Buffer.Close] returns an error for such a sink.
func (s *Sink[L]) Shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	_ = s.buffer.Flush(ctx)
}

// reject counts an update that cannot be recorded.
func (s *Sink[L]) reject(name string) {
	s.buffer.IncrCounter("gometricsbridge.rejected", 1, metricsbuffer.Tag{Key: "name", Value: name})
}
