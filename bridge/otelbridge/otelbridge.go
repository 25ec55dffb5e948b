// Package otelbridge lets code that is instrumented with OpenTelemetry's API record into a buffer: give it, or the
// whole program, the buffer's meter provider.
//
//	otel.SetMeterProvider(otelbridge.NewMeterProvider(buffer))
//
// No SDK is needed. What is recorded goes to the buffer's sinks.
//
//	Int64Counter, Float64Counter                 counter
//	Int64UpDownCounter, Float64UpDownCounter     gauge, which is added to
//	Int64Gauge, Float64Gauge                     gauge
//	Int64Histogram, Float64Histogram             timer, if the unit is s, ms, us or ns; otherwise histogram in the unit
//	observable instruments                       not supported: creating one, or registering a callback, is an error
//
// Names are the instruments', whatever the meter is called. Attributes become tags, with their values as text: the
// number 1 and the string "1" are the same. Descriptions and bucket boundaries are not used, and neither are contexts.
//
// The buffer counts in whole numbers. Of what is added to a Float64Counter, the whole part is recorded and the rest,
// less than one for each series, is kept until more is added. What a histogram that is no timer is given is rounded:
// choose a unit in which that does not matter.
//
// What cannot be recorded is counted, in the counter otelbridge.rejected with the instrument's name as a tag: negative
// values given to a counter, and values that are NaN, infinite or too large for an int64 given to a counter or
// histogram. Negative values given to a histogram are recorded as zero, which [metricsbuffer.Stats] counts.
package otelbridge

import (
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/metricsbuffer/metricsbuffer"
)

// NewMeterProvider returns a provider of meters that record into the buffer. If that is nil they do nothing. Like the
// instruments, it may be used concurrently.
func NewMeterProvider(buffer *metricsbuffer.Buffer) metric.MeterProvider {
	return &provider{buffer: buffer}
}

type provider struct {
	embedded.MeterProvider
	buffer *metricsbuffer.Buffer
}

// Meter returns the same meter for all names.
func (p *provider) Meter(string, ...metric.MeterOption) metric.Meter { return &meter{buffer: p.buffer} }

type meter struct {
	embedded.Meter
	buffer *metricsbuffer.Buffer
}

func (m *meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return &int64Counter{counters: m.counters(name)}, nil
}

func (m *meter) Float64Counter(name string, _ ...metric.Float64CounterOption) (metric.Float64Counter, error) {
	return &float64Counter{counters: m.counters(name)}, nil
}

func (m *meter) Int64UpDownCounter(
	name string, _ ...metric.Int64UpDownCounterOption,
) (metric.Int64UpDownCounter, error) {
	return &int64UpDownCounter{gauges: m.gauges(name)}, nil
}

func (m *meter) Float64UpDownCounter(
	name string, _ ...metric.Float64UpDownCounterOption,
) (metric.Float64UpDownCounter, error) {
	return &float64UpDownCounter{gauges: m.gauges(name)}, nil
}

func (m *meter) Int64Gauge(name string, _ ...metric.Int64GaugeOption) (metric.Int64Gauge, error) {
	return &int64Gauge{gauges: m.gauges(name)}, nil
}

func (m *meter) Float64Gauge(name string, _ ...metric.Float64GaugeOption) (metric.Float64Gauge, error) {
	return &float64Gauge{gauges: m.gauges(name)}, nil
}

func (m *meter) Int64Histogram(name string, opts ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	return &int64Histogram{distributions: m.distributions(name, metric.NewInt64HistogramConfig(opts...).Unit())}, nil
}

func (m *meter) Float64Histogram(
	name string, opts ...metric.Float64HistogramOption,
) (metric.Float64Histogram, error) {
	return &float64Histogram{distributions: m.distributions(name, metric.NewFloat64HistogramConfig(opts...).Unit())}, nil
}

// ErrObservable is what creating an observable instrument, or registering a callback, returns.
var ErrObservable = errors.New("otelbridge: observable instruments are not supported: " +
	"nothing asks a buffer's instruments for their values; use a Gauge, and set it")

func observable(name string) error { return fmt.Errorf("%w (%q)", ErrObservable, name) }

func (m *meter) Int64ObservableCounter(
	name string, _ ...metric.Int64ObservableCounterOption,
) (metric.Int64ObservableCounter, error) {
	return noop.Int64ObservableCounter{}, observable(name)
}

func (m *meter) Int64ObservableUpDownCounter(
	name string, _ ...metric.Int64ObservableUpDownCounterOption,
) (metric.Int64ObservableUpDownCounter, error) {
	return noop.Int64ObservableUpDownCounter{}, observable(name)
}

func (m *meter) Int64ObservableGauge(
	name string, _ ...metric.Int64ObservableGaugeOption,
) (metric.Int64ObservableGauge, error) {
	return noop.Int64ObservableGauge{}, observable(name)
}

func (m *meter) Float64ObservableCounter(
	name string, _ ...metric.Float64ObservableCounterOption,
) (metric.Float64ObservableCounter, error) {
	return noop.Float64ObservableCounter{}, observable(name)
}

func (m *meter) Float64ObservableUpDownCounter(
	name string, _ ...metric.Float64ObservableUpDownCounterOption,
) (metric.Float64ObservableUpDownCounter, error) {
	return noop.Float64ObservableUpDownCounter{}, observable(name)
}

func (m *meter) Float64ObservableGauge(
	name string, _ ...metric.Float64ObservableGaugeOption,
) (metric.Float64ObservableGauge, error) {
	return noop.Float64ObservableGauge{}, observable(name)
}

func (m *meter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, ErrObservable
}

// durations are the units of histograms that are timers.
var durations = map[string]time.Duration{
	"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond,
}

// wholeNumber returns v as an int64, if it is finite and has room in one.
func wholeNumber(v float64) (int64, bool) {
	if v = math.Round(v); v >= math.MinInt64 && v < math.MaxInt64 { // as floats, -2^63 and 2^63; false for NaN
		return int64(v), true
	}
	return 0, false
}
