// Package rcrowleybridge is a registry for rcrowley/go-metrics whose metrics record into a buffer. Sarama, the Kafka
// client, writes into such a registry:
//
//	config := sarama.NewConfig()
//	config.MetricRegistry = rcrowleybridge.New(buffer, rcrowleybridge.WithSeries(rcrowleybridge.Sarama))
//
// # Kinds
//
//	Counter                 counter, or gauge if [Series.Level] says so
//	Meter                   counter
//	Gauge, GaugeFloat64     gauge
//	Histogram               histogram
//	Timer                   timer
//
// A gauge holds a float64, which is exact for whole numbers up to 2^53.
//
// Histograms and timers record every observation, so the sample of a Histogram has no effect. Values below zero are
// recorded as zero by histograms and timers, and counted in [metricsbuffer.Stats].
//
// # Metrics are written, and not read
//
// Sinks get the values. The methods of a metric that read it (Count, Value, Rate1, Percentile, Snapshot and so on), and
// Clear, do as those of go-metrics' own NilMeter, NilCounter and so on: they return zero, and do nothing. A buffer has
// no rates; a backend computes them from a counter. Clear sets a counter to zero if [Series.Level] is set.
//
// Registries of metrics.NewPrefixedChildRegistry work, with a [Registry] as the parent, except for their method Each.
// It looks for a parent of go-metrics' own, and panics.
//
// # Metrics that the registry does not make
//
// The registry makes its metrics in GetOrRegister, which all functions metrics.GetOrRegister… call. It takes from its
// argument the kind only, whether that is a constructor or a metric.
//
// A metric that has been made elsewhere cannot record into a buffer. Register, which metrics.NewRegistered… call,
// returns an error for it, except for a Healthcheck. GetOrRegister keeps one that computes its value (FunctionalGauge),
// and any custom one that is none of the kinds above, as it is. Both count it in the counter rcrowleybridge.unmapped,
// with the tag name, since several callers ignore the error. Health checks are kept and run, and not recorded.
//
// # Names
//
// A metric's name is its series' name, without tags, if [WithSeries] does not say otherwise. When a metric is
// unregistered, its series no longer takes updates by name, and holders of the metric may go on to write into it. A
// metric that is registered later under the same name writes into the same series. The registry keeps as many metrics
// as are registered; the buffer keeps as many series as [metricsbuffer.WithMaxSeries] allows, and forgets those of
// unregistered metrics with [metricsbuffer.WithIdleExpiry].
package rcrowleybridge

import (
	"fmt"
	"reflect"

	"github.com/rcrowley/go-metrics"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Registry is a [metrics.Registry] that makes metrics which record into a buffer. [New] makes one. All methods may be
// called concurrently.
type Registry struct {
	metrics.Registry // has the metrics by name

	buffer *metricsbuffer.Buffer
	series func(name string) Series
}

// A Series says how a metric is recorded.
type Series struct {
	Name string
	Unit string // of a histogram; may be empty
	Tags []metricsbuffer.Tag

	// Level is for a Counter that goes up and down, such as a number of requests in flight. It is recorded as a gauge.
	Level bool
}

// An Option configures a [Registry]. The zero Option does nothing.
type Option struct{ apply func(*Registry) }

// WithSeries has a function say how a metric is recorded. It is called once for each metric that is made, with the
// name that the metric is registered under. WithSeries panics if the function is nil.
func WithSeries(series func(name string) Series) Option {
	if series == nil {
		panic("rcrowleybridge: WithSeries: the function is nil; " +
			"leave the option out for series with the names of the metrics")
	}
	return Option{func(r *Registry) { r.series = series }}
}

// New returns a registry without metrics. If the buffer is nil, its metrics do nothing.
func New(buffer *metricsbuffer.Buffer, opts ...Option) *Registry {
	r := &Registry{
		Registry: metrics.NewRegistry(), buffer: buffer,
		series: func(name string) Series { return Series{Name: name} },
	}
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(r)
		}
	}
	return r
}

// GetOrRegister returns the metric with the name. If there is none, it makes one of the kind of i, which is a metric or
// a function that returns one.
func (r *Registry) GetOrRegister(name string, i any) any {
	if metric := r.Get(name); metric != nil {
		return metric
	}
	return r.Registry.GetOrRegister(name, func() any { return r.metric(name, i) })
}

// Register registers a metric that GetOrRegister of this or another Registry has made, or a Healthcheck. It returns an
// error for any other metric, and a [metrics.DuplicateMetric] if the name is taken.
func (r *Registry) Register(name string, i any) error {
	switch i.(type) {
	case recording, metrics.Healthcheck:
		return r.Registry.Register(name, i)
	}
	if r.Get(name) != nil {
		return metrics.DuplicateMetric(name)
	}
	r.unmapped(name)
	return fmt.Errorf("rcrowleybridge: Register(%q): a %T does not record into the buffer; "+
		"get the metric from GetOrRegister, or metrics.GetOrRegister…, and use the returned one", name, i)
}

// metric makes a metric of the kind of i.
func (r *Registry) metric(name string, i any) any {
	switch made := i.(type) {
	case func() metrics.Counter:
		return r.counter(name)
	case func() metrics.Meter:
		return r.meter(name)
	case func() metrics.Gauge:
		return r.gauge(name)
	case func() metrics.GaugeFloat64:
		return r.gaugeFloat64(name)
	case func() metrics.Histogram:
		return r.histogram(name)
	case func() metrics.Timer:
		return r.timer(name)
	case recording, metrics.Healthcheck:
		return made
	case metrics.FunctionalGauge, *metrics.FunctionalGauge,
		metrics.FunctionalGaugeFloat64, *metrics.FunctionalGaugeFloat64:
	case metrics.Timer: // before Meter and Histogram, which have fewer methods
		stop(made)
		return r.timer(name)
	case metrics.Histogram:
		return r.histogram(name)
	case metrics.Meter:
		stop(made)
		return r.meter(name)
	case metrics.Counter:
		return r.counter(name)
	case metrics.Gauge:
		return r.gauge(name)
	case metrics.GaugeFloat64:
		return r.gaugeFloat64(name)
	default:
		if f := reflect.ValueOf(i); f.Kind() == reflect.Func && f.Type().NumIn() == 0 && f.Type().NumOut() == 1 {
			return r.metric(name, f.Call(nil)[0].Interface())
		}
	}
	r.unmapped(name)
	return i
}

// stop frees a metric that another one replaces: go-metrics keeps meters and timers until they are stopped. Only the
// kind of a nil one counts.
func stop(m metrics.Stoppable) {
	if v := reflect.ValueOf(m); v.Kind() != reflect.Pointer || !v.IsNil() {
		m.Stop()
	}
}

func (r *Registry) unmapped(name string) {
	r.buffer.IncrCounter("rcrowleybridge.unmapped", 1, metricsbuffer.Tag{Key: "name", Value: name})
}
