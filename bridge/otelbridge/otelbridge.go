// Package otelbridge lets code that is instrumented with OpenTelemetry's API record into a buffer, without the SDK.
//
//	provider, err := otelbridge.NewMeterProvider(buffer)
//	…
//	otel.SetMeterProvider(provider)
//
// # Instruments
//
//	Int64Counter, Float64Counter                 counter
//	Int64UpDownCounter, Float64UpDownCounter     gauge, by Gauge.Add
//	Int64Gauge, Float64Gauge                     gauge, by Gauge.Set
//	Int64Histogram, Float64Histogram             timer if the unit is ns, us, ms, s, min, h or d; otherwise histogram
//	ObservableCounter of int64 and float64       counter, by the growth of the observed total
//	ObservableUpDownCounter, ObservableGauge     gauge, by Gauge.Set
//
// Instruments of one scope, name, kind and unit are one instrument, however often it is created. Letter case in the
// name makes no difference, as in the SDK; the first creation decides it. Two instruments that would share a series are
// kept apart: counters of one name and different units; gauges of different units; an UpDownCounter and a Gauge of one
// name. The first one has the plain name. The others have the tag otel.instrument with their kind and unit, and
// [otel.Handle] gets an error that names both. Histograms need no such tag, because the unit is part of a histogram's
// series, and timers are converted to nanoseconds.
//
// An invalid name, or bucket boundaries that do not increase, give the SDK's error and an instrument that works.
//
// # Callbacks
//
// Callbacks of observable instruments, and those of RegisterCallback, are called before each batch, each by a
// [metricsbuffer.Buffer.Poll] of its own. A callback runs concurrently with other callbacks. A batch waits 100 ms for
// it; if it takes longer, its values are in a later batch. The callback's context never ends.
//
// Observations of one series add up, within a call and between callbacks. Of a Gauge the last one counts.
//
// A counter grows as a callback's total does. The first total counts in full, for each callback: a callback that is
// registered anew is a new one. A smaller total than the one before has begun anew at zero. A float64 total of a
// million steps or more, see Fractions, has not if rounding explains the difference: a step and 2^-40 of the total. The
// fraction of a step is left out until it makes a whole one, for each callback by itself. A total may be of any size.
// If it grows by more between two calls than a counter holds (2^63 steps; 9.2e12 for float64, see Fractions), this
// growth is not recorded: otelbridge.rejected counts it, and [otel.Handle] gets the first such error of an instrument.
//
// [otel.Handle] gets the errors of callbacks, whose observations are recorded nevertheless. Observations of an
// instrument for which the callback is not registered, and those that are made after the callback has returned, are not
// recorded: otelbridge.rejected counts them. [otel.Handle] gets one error of each of these mistakes, for each callback
// and instrument. A callback may observe on several goroutines.
//
// The buffer's error handler is told of callbacks that panic or hang. If a callback panics, the totals and sums of
// this call are not recorded: a total catches up at the next call, and a sum keeps the parts of the call before.
//
// RegisterCallback refuses instruments of other meters, as the SDK does. Meters of the same provider and scope are one.
//
// A series that is no longer observed gets no new points. The SDK does not export it any more; a sink that keeps
// gauges, such as one for Prometheus, shows the last value.
//
// # Attributes and scopes
//
// Attributes become tags. Their values become text, so the number 1 and the string "1" are the same. The text of a map
// that has a key twice has both values; the SDK keeps the last one.
//
// A scope becomes the tags otel.scope.name, otel.scope.version and otel.scope.schema_url, and one tag
// otel.scope.KEY for each of its attributes. Empty parts have no tag. [WithoutScope] leaves all of them out;
// instruments of several scopes are then one instrument.
//
// These keys, and otel.instrument, are reserved. An attribute with the key otel.instrument, or with one that begins
// with otel.scope., has the tag attribute.KEY. An attribute of a scope with the key name, version or schema_url has the
// tag otel.scope.attribute.KEY. A reserved key with attribute. before it gets one more, so no two attributes have one
// tag.
//
// Descriptions, and the units of counters and gauges, are passed on by [metricsbuffer.Buffer.Describe]. A buffer has
// one description for a name. So the first instrument of a name that has either decides it, in all scopes and for all
// kinds.
//
// The buffer has no place for bucket boundaries: [MeterProvider.Instruments] returns them. They are not used. The
// buffer's own buckets are 4.4 % wide, which is finer than any usual boundaries; a sink that needs boundaries has its
// own option for them.
//
// # Fractions
//
// The buffer counts in whole numbers of small steps. A series keeps the fraction of a step until it makes a whole one,
// and no fraction is lost: the delivered sum and the kept fraction are the recorded sum. Each update is exact to
// 2^-64, or to the precision of its float64. All attributes whose updates go to an overflow series of the bridge or
// the buffer share its fraction.
//
//   - Float64Counter: the delivered sum is the recorded sum, rounded down to 6 decimal places ([WithDecimals] chooses
//     another number). It is a [metricsbuffer.FractionCounter], whose sum wraps around at 9.2e12 between two
//     deliveries.
//   - Timer: the delivered sum is the recorded sum, rounded to a nanosecond. Every single duration is off by less than
//     one nanosecond.
//   - Float64Histogram in another unit: the same, rounded to 3 decimal places, or to 6 if the unit is 1 or %
//     ([WithDecimals] chooses another number). The buffer's values are thousandths or millionths, and its unit says so
//     in the notation of UCUM: "10*-3.By", "10*-6.%". [Unscale] undoes it. A sum wraps around at 2^63 of these between
//     two deliveries: 9.2e15 at 3 decimal places, 9.2e12 at 6.
//   - Gauges and UpDownCounters hold a float64, which is exact for whole numbers up to 2^53.
//
// # Differences from the SDK
//
// Instruments that differ only in their description are one instrument, as are an Int64Counter and a Float64Counter of
// one name; the first creation decides its decimal places. A Counter and an ObservableCounter of one name are one
// instrument, and so are a Gauge and an ObservableGauge. The SDK exports two streams of the same name.
//
// A histogram keeps the span of the context with a value if the span is sampled, as the SDK does by default, as an
// exemplar ([metricsbuffer.Timer.ObserveExemplar]). Counters and gauges have no exemplars.
//
// The counter otelbridge.rejected, with the tags instrument and scope, counts updates that cannot be recorded: a
// negative number for a Counter; NaN, an infinity or a number that does not fit an int64 for a Counter or Histogram;
// NaN or an infinity for an UpDownCounter. The SDK adds such numbers to its sum. Negative numbers for a histogram are
// recorded as zero, and counted in [metricsbuffer.Stats].
//
// The number of series has a limit ([WithMaxSeries]). Beyond it, updates go to a series of their instrument with the
// one attribute otel.metric.overflow=true, as in the SDK, and are counted in otelbridge.overflowed. The totals that a
// callback observes for it are one total. It is smaller when one of them is no longer observed, and then counts anew,
// so it counts too much: raise the limit if totals come and go. The limit also holds for instruments; those beyond it
// are one for each kind, with the name otelbridge.overflow. To create an observable instrument beyond it is an error,
// and no callback is called for it: totals of instruments that have nothing in common have no meaningful sum.
//
// Instruments hold their series, so the buffer's idle expiry does not forget them.
package otelbridge

import (
	"fmt"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
	"github.com/metricsbuffer/metricsbuffer/internal/seriesid"
)

// A MeterProvider makes meters whose instruments record into a buffer. [NewMeterProvider] makes one. It, its meters and
// their instruments may be used concurrently.
type MeterProvider struct {
	embedded.MeterProvider

	buffer       *metricsbuffer.Buffer
	withoutScope bool
	maxSeries    int
	decimals     func(name, unit string) int // nil: the usual numbers
	rests        *fraction.Rests

	counters      table[*sum]
	gauges        table[*metricsbuffer.Gauge]
	distributions table[*distribution]

	mu          sync.Mutex // guards the fields below; held while an instrument is created
	definitions map[identity]*definition
	inOrder     []*definition
	owners      map[seriesName]identity
	described   map[string]bool // by name
	created     map[creation]bool

	callbacks atomic.Uint64 // that were registered
	sumsMu    sync.Mutex    // guards parts; held while sums are set after a callback
	parts     map[seriesid.ID][]part
}

// An Option configures a [MeterProvider].
type Option func(*MeterProvider) error

// NewMeterProvider returns a provider for the buffer. If the buffer is nil, the instruments do nothing. It is an error
// if an option is nil or has a value that makes no sense.
func NewMeterProvider(buffer *metricsbuffer.Buffer, opts ...Option) (*MeterProvider, error) {
	p := &MeterProvider{
		buffer:        buffer,
		maxSeries:     defaultMaxSeries,
		rests:         new(fraction.Rests),
		counters:      newTable[*sum](),
		gauges:        newTable[*metricsbuffer.Gauge](),
		distributions: newTable[*distribution](),
		definitions:   make(map[identity]*definition),
		owners:        make(map[seriesName]identity),
		described:     make(map[string]bool),
		created:       make(map[creation]bool),
		parts:         make(map[seriesid.ID][]part),
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("otelbridge: NewMeterProvider: option %d of %d is nil; leave it out", i+1, len(opts))
		}
		if err := opt(p); err != nil {
			return nil, fmt.Errorf("otelbridge: %w", err)
		}
	}
	return p, nil
}

// WithoutScope leaves scopes out of the tags. Instruments of the same name, kind and unit are then one instrument,
// whichever scope created them.
func WithoutScope() Option {
	return func(p *MeterProvider) error {
		p.withoutScope = true
		return nil
	}
}

const defaultMaxSeries = 100_000

// WithMaxSeries limits how many counters, gauges, and timers and histograms the provider uses, each of the three to n,
// and how many instruments. The default is 100,000, as for the buffer. If the buffer's own limit is changed
// ([metricsbuffer.WithMaxSeries]), this one should be, too.
func WithMaxSeries(n int) Option {
	return func(p *MeterProvider) error {
		if n < 1 {
			return fmt.Errorf("WithMaxSeries: %d is not positive", n)
		}
		p.maxSeries = n
		return nil
	}
}

// WithDecimals chooses how many decimal places of a Float64Counter and of a Float64Histogram are kept, from 0 to 9.
// The function is called with the name and the unit of each such instrument that is not a timer. A number out of range
// is an error of the instrument's creation, and the default is used.
func WithDecimals(decimals func(name, unit string) int) Option {
	return func(p *MeterProvider) error {
		if decimals == nil {
			return fmt.Errorf("WithDecimals: the function is nil; leave the option out to use the default")
		}
		p.decimals = decimals
		return nil
	}
}

// Meter returns the meter of a scope.
func (p *MeterProvider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	m := &meter{provider: p}
	if !p.withoutScope {
		m.scope, m.tags = scopeOf(name, metric.NewMeterConfig(opts...))
	}
	return m
}

// Instruments returns all instruments that were created so far, in order.
func (p *MeterProvider) Instruments() []Instrument {
	p.mu.Lock()
	defer p.mu.Unlock()
	instruments := make([]Instrument, len(p.inOrder))
	for i, d := range p.inOrder {
		instruments[i] = d.clone()
	}
	return instruments
}
