package otelbridge_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// errorText returns the error's text, and "" for nil.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// An invalid name gives the SDK's error, and an instrument that works, from each of the eight functions.
func TestInvalidNames(t *testing.T) {
	theirs := sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader())).Meter("scope")
	for _, name := range []string{
		"", "1st", "_x", "é", "jobs\nroot", "jobs done", "jobs,a=b", "jobsé", "a", "a/b.c-d_e1", "A",
		strings.Repeat("a", 255), strings.Repeat("a", 256), "jobs\x00", "jobs\xff", "a*", "-",
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			ours, flush := instrumented(t)
			for range 2 { // the second time as the first
				for _, create := range []func(m metric.Meter) error{
					func(m metric.Meter) error {
						c, err := m.Int64Counter(name)
						c.Add(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						c, err := m.Float64Counter(name)
						c.Add(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						c, err := m.Int64UpDownCounter(name)
						c.Add(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						c, err := m.Float64UpDownCounter(name)
						c.Add(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						h, err := m.Int64Histogram(name)
						h.Record(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						h, err := m.Float64Histogram(name, metric.WithUnit("s"))
						h.Record(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						g, err := m.Int64Gauge(name, metric.WithUnit("s"))
						g.Record(t.Context(), 1)
						return err
					},
					func(m metric.Meter) error {
						g, err := m.Float64Gauge(name, metric.WithUnit("s"))
						g.Record(t.Context(), 1)
						return err
					},
				} {
					want, got := create(theirs), create(ours)
					require.Equal(t, errorText(want), errorText(got))
					if want != nil {
						require.ErrorIs(t, got, otelbridge.ErrInstrumentName)
					}
				}
			}
			recorder := flush()
			require.EqualValues(t, 4, recorder.Total(metricsbuffer.KindCounter, name).Count)
			require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindHistogram, name).Count)
			require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindTimer, name).Count)
			require.InDelta(t, 4, recorder.Total(metricsbuffer.KindGauge, name).Value, 0)
		})
	}
}

// Boundaries that do not increase give the SDK's error. The others are returned by Instruments.
func TestBoundaries(t *testing.T) {
	theirs := sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader())).Meter("scope")
	provider := must(otelbridge.NewMeterProvider(nil))
	ours := provider.Meter("scope")
	for i, bounds := range [][]float64{nil, {1}, {1, 2, 5}, {1, 1}, {2, 1}, {-1, 0, math.Inf(1)}, {math.NaN(), 1}} {
		opts := metric.WithExplicitBucketBoundaries(bounds...)
		for _, name := range []string{fmt.Sprint("name", i), fmt.Sprint(i)} {
			_, want := theirs.Int64Histogram(name, opts)
			_, got := ours.Int64Histogram(name, opts)
			require.Equal(t, errorText(want), errorText(got))
			_, want = theirs.Float64Histogram("float"+name, opts)
			_, got = ours.Float64Histogram("float"+name, opts)
			require.Equal(t, errorText(want), errorText(got))
		}
	}
	for _, i := range provider.Instruments() {
		switch i.Name {
		case "name2":
			require.Equal(t, []float64{1, 2, 5}, i.Boundaries)
		case "name4":
			require.Nil(t, i.Boundaries)
		}
	}
}

func TestInstruments(t *testing.T) {
	provider := must(otelbridge.NewMeterProvider(nil))
	meter := provider.Meter("server", metric.WithInstrumentationVersion("1.2"))
	for range 2 {
		must(meter.Float64Counter("cost", metric.WithUnit("USD"), metric.WithDescription("Dollars spent.")))
		must(meter.Int64Gauge("depth", metric.WithDescription("Jobs waiting.")))
		must(meter.Float64Histogram("load", metric.WithUnit("1"), metric.WithExplicitBucketBoundaries(0.5, 1)))
	}
	must(meter.Int64Gauge("depth", metric.WithDescription("Another text.")))
	scope := []tag{{Key: "otel.scope.name", Value: "server"}, {Key: "otel.scope.version", Value: "1.2"}}
	want := []otelbridge.Instrument{
		{Name: "cost", Kind: "Counter", Unit: "USD", Description: "Dollars spent.", Tags: scope},
		{Name: "depth", Kind: "Gauge", Description: "Jobs waiting.", Tags: scope},
		{Name: "load", Kind: "Histogram", Unit: "1", Boundaries: []float64{0.5, 1}, Tags: scope},
	}
	require.Equal(t, want, provider.Instruments())
	provider.Instruments()[0].Tags[0].Value = "changed"
	provider.Instruments()[2].Boundaries[0] = 7
	require.Equal(t, want, provider.Instruments())
}

// The first instrument of a name has the plain series. OpenTelemetry's error handler hears of the others once.
func TestConflicts(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t)
	for range 3 {
		must(meter.Int64UpDownCounter("depth")).Add(t.Context(), 2)
		must(meter.Float64Gauge("Depth", metric.WithUnit("m"))).Record(t.Context(), 10)
		must(meter.Float64UpDownCounter("depth", metric.WithUnit("m"))).Add(t.Context(), 0.5)
	}
	recorder := flush()
	require.InDelta(t, 6, recorder.Total(metricsbuffer.KindGauge, "depth").Value, 0)
	require.InDelta(t, 10, recorder.Total(metricsbuffer.KindGauge, "Depth",
		tag{Key: "otel.instrument", Value: "Gauge m"}).Value, 0)
	require.InDelta(t, 1.5, recorder.Total(metricsbuffer.KindGauge, "depth",
		tag{Key: "otel.instrument", Value: "UpDownCounter m"}).Value, 0)
	require.Len(t, *handled, 2)
	require.EqualError(t, (*handled)[0], `otelbridge: "Depth" is a UpDownCounter in "" and a Gauge in "m": `+
		`the latter has the tag otel.instrument="Gauge m"`)
}

// An error handler may create instruments.
func TestConflictInHandler(t *testing.T) {
	meter, _ := instrumented(t)
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {
		must(meter.Int64Counter("errors")).Add(t.Context(), 1)
	}))
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	must(meter.Int64Counter("jobs", metric.WithUnit("a")))
	must(meter.Int64Counter("jobs", metric.WithUnit("b")))
}

func TestWithoutScope(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	provider := must(otelbridge.NewMeterProvider(buffer, otelbridge.WithoutScope()))
	for _, scope := range []string{"a", "b"} {
		must(provider.Meter(scope).Float64Counter("cost")).Add(t.Context(), 0.5)
	}
	require.NoError(t, buffer.Close())
	require.EqualValues(t, 1_000_000, recorder.Total(metricsbuffer.KindCounter, "cost").Count)
}

// An attribute with the key of a scope's tag has a key of its own.
func TestAttributeOfScopeKey(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	meter := must(otelbridge.NewMeterProvider(buffer)).Meter("a")
	must(meter.Int64Counter("jobs")).Add(t.Context(), 1, metric.WithAttributes(attribute.String("otel.scope.name", "b")))
	require.NoError(t, buffer.Close())
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "jobs", tag{Key: "otel.scope.name", Value: "a"},
		tag{Key: "attribute.otel.scope.name", Value: "b"}).Count)
}

func TestDecimals(t *testing.T) {
	meter, flush := instrumented(t, otelbridge.WithDecimals(func(name, unit string) int {
		require.Equal(t, "By", unit)
		return map[string]int{"whole": 0, "nine": 9, "few": -1, "many": 10}[name]
	}))
	for name, want := range map[string]struct {
		unit string
		sum  int64
	}{
		"whole": {"By", 1}, "nine": {"10*-9.By", 900_000_001}, "few": {"10*-3.By", 900}, "many": {"10*-3.By", 900},
	} {
		h, err := meter.Float64Histogram(name, metric.WithUnit("By"))
		if name == "few" || name == "many" {
			require.ErrorContains(t, err, "choose 0 to 9")
		} else {
			require.NoError(t, err)
		}
		h.Record(t.Context(), 0.450000001)
		h.Record(t.Context(), 0.45)
		p := flush().Total(metricsbuffer.KindHistogram, name)
		require.Equal(t, want.unit, p.Unit)
		require.Equal(t, want.sum, p.Sum)
	}
	must(meter.Float64Histogram("timer", metric.WithUnit("s"))).Record(t.Context(), 1)

	_, err := meter.Float64Counter("many", metric.WithUnit("By"))
	require.ErrorContains(t, err, "choose 0 to 9")
	sum := must(meter.Float64Counter("nine", metric.WithUnit("By")))
	sum.Add(t.Context(), 0.000000001)
	must(meter.Int64Counter("nine", metric.WithUnit("By"))).Add(t.Context(), 2) // the same instrument
	must(meter.Int64Counter("nine", metric.WithUnit("By"))).Add(t.Context(), math.MaxInt64/1_000_000_000+1)
	must(meter.Int64Counter("whole", metric.WithUnit("By"))).Add(t.Context(), 2)
	must(meter.Float64Counter("whole", metric.WithUnit("By"))).Add(t.Context(), 0.75)
	must(meter.Float64Counter("whole", metric.WithUnit("By"))).Add(t.Context(), 0.75)
	recorder := flush()
	for name, want := range map[string]string{"nine": "2.000000001", "whole": "3"} {
		p := recorder.Total(metricsbuffer.KindCounter, name)
		require.Equal(t, want, string(p.AppendAmount(nil)))
	}
	require.EqualValues(t, 1, rejected(recorder, "nine"))
}

func TestUnscale(t *testing.T) {
	for unit, want := range map[string]struct {
		unit    string
		divisor float64
	}{
		"10*-3.By": {"By", 1e3}, "10*-6.%": {"%", 1e6}, "10*-9": {"", 1e9}, "10*-1.a.b": {"a.b", 10},
		"": {"", 1}, "By": {"By", 1}, "10*-": {"10*-", 1}, "10*-0.By": {"10*-0.By", 1}, "10*-12.By": {"10*-12.By", 1},
		"10*-x.By": {"10*-x.By", 1}, "10*-3.": {"10*-3.", 1}, "10*-+3": {"10*-+3", 1}, "10*-3By": {"10*-3By", 1},
	} {
		original, divisor := otelbridge.Unscale(unit)
		require.Equal(t, want.unit, original, unit)
		require.InDelta(t, want.divisor, divisor, 0, unit)
	}
}

func TestRejected(t *testing.T) {
	meter, flush := instrumented(t)
	updown := must(meter.Float64UpDownCounter("updown"))
	for _, v := range []float64{1, math.NaN(), math.Inf(1), math.Inf(-1), 2} {
		updown.Add(t.Context(), v)
	}
	// A negative value is recorded as zero, and leaves the sum of the others as it is.
	histogram := must(meter.Float64Histogram("histogram"))
	for range 10 {
		histogram.Record(t.Context(), -0.7004)
		histogram.Record(t.Context(), 0.0004)
	}
	recorder := flush()
	require.EqualValues(t, 3, rejected(recorder, "updown"))
	require.InDelta(t, 3, recorder.Total(metricsbuffer.KindGauge, "updown").Value, 0)
	p := recorder.Total(metricsbuffer.KindHistogram, "histogram")
	require.EqualValues(t, 20, p.Count)
	require.EqualValues(t, 4, p.Sum)
	require.Zero(t, p.Min)
}

func TestOptions(t *testing.T) {
	for want, opts := range map[string][]otelbridge.Option{
		"otelbridge: NewMeterProvider: option 2 of 2 is nil; leave it out": {otelbridge.WithoutScope(), nil},
		"otelbridge: WithMaxSeries: 0 is not positive":                     {otelbridge.WithMaxSeries(0)},
		"otelbridge: WithDecimals: the function is nil; leave the option out to use the default": {
			otelbridge.WithDecimals(nil),
		},
	} {
		provider, err := otelbridge.NewMeterProvider(nil, opts...)
		require.EqualError(t, err, want)
		require.Nil(t, provider)
	}
}

// reused returns a string that changes with the memory.
func reused(memory []byte) string { return unsafe.String(unsafe.SliceData(memory), len(memory)) }

// Strings in memory that the caller uses again are copied.
func TestReusedStrings(t *testing.T) {
	provider := must(otelbridge.NewMeterProvider(nil))
	memory := []byte("jobs")
	must(provider.Meter("").Int64Counter(reused(memory), metric.WithUnit(reused(memory)),
		metric.WithDescription(reused(memory))))
	copy(memory, "XXXX")
	require.Equal(t, []otelbridge.Instrument{{Name: "jobs", Kind: "Counter", Unit: "jobs", Description: "jobs"}},
		provider.Instruments())
}
