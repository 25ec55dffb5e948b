package otelbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
)

// An observable has its values from callbacks. One of counter and gauge is set.
type observable struct {
	meter   *meter
	id      observableID
	counter *instrument[*sum]
	gauge   *instrument[*metricsbuffer.Gauge]
}

// reject counts an observation that cannot be recorded.
func (o *observable) reject() {
	if o.counter != nil {
		o.counter.reject()
	} else {
		o.gauge.reject()
	}
}

// An observableID tells which instruments a callback may observe.
type observableID struct {
	*definition
	float bool
}

// A creation is an observable instrument as the SDK tells them apart, also by the capitals of the name. Its first
// creation decides its callbacks.
type creation struct {
	observableID
	name        string
	description string
}

type int64Observable struct {
	metric.Int64Observable
	embedded.Int64ObservableCounter
	embedded.Int64ObservableUpDownCounter
	embedded.Int64ObservableGauge
	observable
}

type float64Observable struct {
	metric.Float64Observable
	embedded.Float64ObservableCounter
	embedded.Float64ObservableUpDownCounter
	embedded.Float64ObservableGauge
	observable
}

func (m *meter) observable(
	kind, name, unit, description string, allowed attribute.Filter, float bool,
) (observable, error) {
	if kind != kindCounter {
		i := m.gauge(kind, name, unit, description, allowed)
		return observable{meter: m, id: observableID{i.definition, float}, gauge: &i}, nil
	}
	decimals, err := 0, error(nil)
	if float {
		decimals, err = m.provider.decimalsOf(kindCounter, name, unit)
	}
	i := m.counter(name, unit, description, decimals, allowed)
	return observable{meter: m, id: observableID{i.definition, float}, counter: &i}, err
}

// isFirst says whether the instrument is created for the first time. Beyond the limit of instruments it is an error:
// totals of instruments that have nothing in common have no meaningful sum, and each callback takes time at each batch.
func (m *meter) isFirst(o observable, name, description string) (bool, error) {
	m.provider.mu.Lock()
	defer m.provider.mu.Unlock()
	c := creation{o.id, name, description}
	if m.provider.created[c] {
		return false, nil
	}
	if o.id.Name == overflowName || len(m.provider.created) >= m.provider.maxSeries {
		return false, fmt.Errorf("%w: %q is beyond the limit of %d instruments (WithMaxSeries); "+
			"no callback is called for it", ErrObservable, name, m.provider.maxSeries)
	}
	c.name, c.description = strings.Clone(name), strings.Clone(description)
	m.provider.created[c] = true
	return true, nil
}

// int64Observable returns the instrument, and polls its callbacks if it is created for the first time.
func (m *meter) int64Observable(
	kind, name, unit, description string, allowed attribute.Filter, callbacks []metric.Int64Callback,
) (*int64Observable, error) {
	made, err := m.observable(kind, name, unit, description, allowed, false)
	o := &int64Observable{observable: made}
	first, err2 := m.isFirst(made, name, description)
	if first {
		for _, f := range callbacks {
			m.provider.poll([]observableID{o.id}, func(ctx context.Context, c *call) error {
				return f(ctx, int64Observer{call: c, of: o})
			})
		}
	}
	return o, errors.Join(err, err2, checkName(name))
}

// float64Observable returns the instrument, and polls its callbacks if it is created for the first time.
func (m *meter) float64Observable(
	kind, name, unit, description string, allowed attribute.Filter, callbacks []metric.Float64Callback,
) (*float64Observable, error) {
	made, err := m.observable(kind, name, unit, description, allowed, true)
	o := &float64Observable{observable: made}
	first, err2 := m.isFirst(made, name, description)
	if first {
		for _, f := range callbacks {
			m.provider.poll([]observableID{o.id}, func(ctx context.Context, c *call) error {
				return f(ctx, float64Observer{call: c, of: o})
			})
		}
	}
	return o, errors.Join(err, err2, checkName(name))
}

// Int64ObservableCounter returns a counter that grows as the observed total does.
func (m *meter) Int64ObservableCounter(
	name string, opts ...metric.Int64ObservableCounterOption,
) (metric.Int64ObservableCounter, error) {
	c := metric.NewInt64ObservableCounterConfig(opts...)
	return m.int64Observable(kindCounter, name, c.Unit(), c.Description(), allowedKeys(opts), c.Callbacks())
}

// Int64ObservableUpDownCounter returns a gauge that is set to the observed sum.
func (m *meter) Int64ObservableUpDownCounter(
	name string, opts ...metric.Int64ObservableUpDownCounterOption,
) (metric.Int64ObservableUpDownCounter, error) {
	c := metric.NewInt64ObservableUpDownCounterConfig(opts...)
	kind := kindObservableUpDownCounter
	return m.int64Observable(kind, name, c.Unit(), c.Description(), allowedKeys(opts), c.Callbacks())
}

// Int64ObservableGauge returns a gauge that is set to the observed value.
func (m *meter) Int64ObservableGauge(
	name string, opts ...metric.Int64ObservableGaugeOption,
) (metric.Int64ObservableGauge, error) {
	c := metric.NewInt64ObservableGaugeConfig(opts...)
	return m.int64Observable(kindGauge, name, c.Unit(), c.Description(), allowedKeys(opts), c.Callbacks())
}

// Float64ObservableCounter returns a counter that grows as the observed total does.
func (m *meter) Float64ObservableCounter(
	name string, opts ...metric.Float64ObservableCounterOption,
) (metric.Float64ObservableCounter, error) {
	c := metric.NewFloat64ObservableCounterConfig(opts...)
	return m.float64Observable(kindCounter, name, c.Unit(), c.Description(), allowedKeys(opts), c.Callbacks())
}

// Float64ObservableUpDownCounter returns a gauge that is set to the observed sum.
func (m *meter) Float64ObservableUpDownCounter(
	name string, opts ...metric.Float64ObservableUpDownCounterOption,
) (metric.Float64ObservableUpDownCounter, error) {
	c := metric.NewFloat64ObservableUpDownCounterConfig(opts...)
	kind := kindObservableUpDownCounter
	return m.float64Observable(kind, name, c.Unit(), c.Description(), allowedKeys(opts), c.Callbacks())
}

// Float64ObservableGauge returns a gauge that is set to the observed value.
func (m *meter) Float64ObservableGauge(
	name string, opts ...metric.Float64ObservableGaugeOption,
) (metric.Float64ObservableGauge, error) {
	c := metric.NewFloat64ObservableGaugeConfig(opts...)
	return m.float64Observable(kindGauge, name, c.Unit(), c.Description(), allowedKeys(opts), c.Callbacks())
}
