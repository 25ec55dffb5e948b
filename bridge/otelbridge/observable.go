package otelbridge

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// ErrObservable is the error of creating an observable instrument, and of registering a callback.
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
