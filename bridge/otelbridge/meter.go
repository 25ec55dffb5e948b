package otelbridge

import (
	"cmp"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
)

// A meter makes the instruments of a scope.
type meter struct {
	embedded.Meter

	provider *MeterProvider
	scope    scope
	tags     []metricsbuffer.Tag // of the scope
}

// allowedKeys returns a filter for the attributes that the instrument is to have, or nil for all. The option that names
// them is an experimental one of OpenTelemetry, so there is no type to refer to.
func allowedKeys[O any](opts []O) attribute.Filter {
	var keys []attribute.Key
	found := false
	for _, opt := range opts {
		if o, ok := any(opt).(interface{ AllowedKeys() []attribute.Key }); ok {
			keys, found = append(keys, o.AllowedKeys()...), true
		}
	}
	if !found {
		return nil
	}
	return attribute.NewAllowKeysFilter(keys...)
}

func (m *meter) counter(
	name, unit, description string, decimals int, allowed attribute.Filter,
) instrument[*sum] {
	i := Instrument{Name: name, Kind: kindCounter, Unit: unit, Description: description}
	return instrument[*sum]{m.define(i, scale{}, decimals, allowed), m.provider, &m.provider.counters, newSum}
}

// Int64Counter returns a counter.
func (m *meter) Int64Counter(name string, opts ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c := metric.NewInt64CounterConfig(opts...)
	i := m.counter(name, c.Unit(), c.Description(), 0, allowedKeys(opts))
	return &int64Counter{instrument: i}, checkName(name)
}

// Float64Counter returns a counter.
func (m *meter) Float64Counter(name string, opts ...metric.Float64CounterOption) (metric.Float64Counter, error) {
	c := metric.NewFloat64CounterConfig(opts...)
	decimals, err := m.provider.decimalsOf(kindCounter, name, c.Unit())
	i := m.counter(name, c.Unit(), c.Description(), decimals, allowedKeys(opts))
	return &float64Counter{instrument: i}, errors.Join(err, checkName(name))
}

func (m *meter) gauge(
	kind, name, unit, description string, allowed attribute.Filter,
) instrument[*metricsbuffer.Gauge] {
	i := Instrument{Name: name, Kind: kind, Unit: unit, Description: description}
	return instrument[*metricsbuffer.Gauge]{m.define(i, scale{}, 0, allowed), m.provider, &m.provider.gauges, newGauge}
}

// Int64UpDownCounter returns a gauge that is added to.
func (m *meter) Int64UpDownCounter(
	name string, opts ...metric.Int64UpDownCounterOption,
) (metric.Int64UpDownCounter, error) {
	c := metric.NewInt64UpDownCounterConfig(opts...)
	i := m.gauge(kindUpDownCounter, name, c.Unit(), c.Description(), allowedKeys(opts))
	return &int64UpDownCounter{instrument: i}, checkName(name)
}

// Float64UpDownCounter returns a gauge that is added to.
func (m *meter) Float64UpDownCounter(
	name string, opts ...metric.Float64UpDownCounterOption,
) (metric.Float64UpDownCounter, error) {
	c := metric.NewFloat64UpDownCounterConfig(opts...)
	i := m.gauge(kindUpDownCounter, name, c.Unit(), c.Description(), allowedKeys(opts))
	return &float64UpDownCounter{instrument: i}, checkName(name)
}

// Int64Gauge returns a gauge that is set.
func (m *meter) Int64Gauge(name string, opts ...metric.Int64GaugeOption) (metric.Int64Gauge, error) {
	c := metric.NewInt64GaugeConfig(opts...)
	i := m.gauge(kindGauge, name, c.Unit(), c.Description(), allowedKeys(opts))
	return &int64Gauge{instrument: i}, checkName(name)
}

// Float64Gauge returns a gauge that is set.
func (m *meter) Float64Gauge(name string, opts ...metric.Float64GaugeOption) (metric.Float64Gauge, error) {
	c := metric.NewFloat64GaugeConfig(opts...)
	i := m.gauge(kindGauge, name, c.Unit(), c.Description(), allowedKeys(opts))
	return &float64Gauge{instrument: i}, checkName(name)
}

func (m *meter) histogram(i Instrument, decimals int, allowed attribute.Filter) (instrument[*distribution], error) {
	err := checkBoundaries(i.Boundaries)
	if err != nil {
		i.Boundaries = nil
	}
	i.Kind = kindHistogram
	d := m.define(i, newScale(i.Unit, decimals), 0, allowed)
	return instrument[*distribution]{d, m.provider, &m.provider.distributions, newDistribution},
		cmp.Or(err, checkName(i.Name))
}

// Int64Histogram returns a timer or a histogram.
func (m *meter) Int64Histogram(name string, opts ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	c := metric.NewInt64HistogramConfig(opts...)
	i, err := m.histogram(Instrument{
		Name: name, Unit: c.Unit(), Description: c.Description(), Boundaries: c.ExplicitBucketBoundaries(),
	}, 0, allowedKeys(opts))
	return &int64Histogram{instrument: i}, err
}

// Float64Histogram returns a timer or a histogram.
func (m *meter) Float64Histogram(
	name string, opts ...metric.Float64HistogramOption,
) (metric.Float64Histogram, error) {
	c := metric.NewFloat64HistogramConfig(opts...)
	decimals, err := 0, error(nil)
	if durations[c.Unit()] == 0 {
		decimals, err = m.provider.decimalsOf(kindHistogram, name, c.Unit())
	}
	i, err2 := m.histogram(Instrument{
		Name: name, Unit: c.Unit(), Description: c.Description(), Boundaries: c.ExplicitBucketBoundaries(),
	}, decimals, allowedKeys(opts))
	return &float64Histogram{instrument: i}, errors.Join(err, err2)
}

// rawAttributes returns the attributes of an experimental option, which OpenTelemetry's API leaves to its
// implementations to read. A later option overrides an earlier one, and all of them the ordinary ones.
func rawAttributes[O any](set attribute.Set, opts []O) attribute.Set {
	var pairs []attribute.KeyValue
	for _, opt := range opts {
		raw, ok := any(opt).(interface {
			RawAttributes() []attribute.KeyValue
			Experimental()
		})
		if ok {
			pairs = append(pairs, raw.RawAttributes()...)
		}
	}
	if len(pairs) == 0 {
		return set
	}
	return attribute.NewSet(append(set.ToSlice(), pairs...)...)
}

func addedTo(opts []metric.AddOption) attribute.Set {
	config := metric.NewAddConfig(opts)
	return rawAttributes(config.Attributes(), opts)
}

func recordedIn(opts []metric.RecordOption) attribute.Set {
	config := metric.NewRecordConfig(opts)
	return rawAttributes(config.Attributes(), opts)
}
