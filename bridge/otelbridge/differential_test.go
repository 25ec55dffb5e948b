package otelbridge_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// resolutionOf is how far the bridge may be from the SDK, as documented.
func resolutionOf(s stream) float64 {
	d, isDuration := units[s.unit]
	switch {
	case s.kind == "Counter":
		return 1e-6
	case s.kind != "Histogram":
		return 0
	case isDuration:
		return 1 / float64(d)
	case s.unit == "1" || s.unit == "%":
		return 1e-6
	}
	return 1e-3
}

// differential makes the same calls of the SDK and of the bridge, and compares their streams.
func differential(t *testing.T, make calls) {
	t.Helper()
	want, got := viaSDK(t, make), viaBridge(t, make)
	require.NotEmpty(t, want)
	for s, w := range want {
		g, ok := got[s]
		if !ok && (s.kind != "Counter" || w.sum >= 1e-6) { // a counter below that is 0, which a batch need not carry
			t.Errorf("the bridge lacks %+v, it has\n%+v", s, got)
			continue
		}
		// Beside the resolution, the SDK's own sums have rounding errors.
		tolerance := resolutionOf(s) + 1e-12*math.Abs(w.sum)
		require.InDelta(t, w.sum, g.sum, tolerance, "sum of %+v", s)
		require.Equal(t, w.count, g.count, "count of %+v", s)
		require.InDelta(t, w.min, g.min, tolerance, "minimum of %+v", s)
		require.InDelta(t, w.max, g.max, tolerance, "maximum of %+v", s)
	}
	for s, g := range got {
		if _, ok := want[s]; !ok {
			t.Errorf("the SDK has no %+v, the bridge %+v", s, g)
		}
	}
}

func TestSameAsSDKCounters(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		m := provider.Meter("scope")
		for i := range 1000 { // creating it anew each time
			c := must(m.Float64Counter("cost", metric.WithUnit("USD")))
			c.Add(t.Context(), 0.5)
			c.Add(t.Context(), 0.125, metric.WithAttributes(attribute.Int("i", i%3)))
			must(m.Int64Counter("jobs", metric.WithDescription("Jobs done."))).Add(t.Context(), int64(i))
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		must(m.Int64Counter("jobs", metric.WithDescription("Jobs done."))).Add(canceled, 1)
		must(m.Float64Counter("both")).Add(t.Context(), 2.5)
		must(m.Int64Counter("both")).Add(t.Context(), 3)
		must(m.Int64Counter("both", metric.WithDescription("another"))).Add(t.Context(), 4)
	})
}

func TestSameAsSDKUpDownCountersAndGauges(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		m := provider.Meter("scope")
		for range 100 {
			must(m.Int64UpDownCounter("up")).Add(t.Context(), 5)
			must(m.Int64UpDownCounter("up")).Add(t.Context(), -7)
			must(m.Float64UpDownCounter("down", metric.WithUnit("s"))).Add(t.Context(), -0.3)
		}
		must(m.Int64Gauge("whole")).Record(t.Context(), 3)
		must(m.Int64Gauge("whole")).Record(t.Context(), 4)
		must(m.Float64Gauge("real", metric.WithUnit("Cel"))).Record(t.Context(), -21.75)
		must(m.Int64UpDownCounter("large")).Add(t.Context(), 1<<53)
	})
}

func TestSameAsSDKHistograms(t *testing.T) {
	for _, unit := range []string{"", "1", "%", "d", "h", "min", "s", "ms", "us", "ns", "By", "{request}"} {
		t.Run("unit "+unit, func(t *testing.T) {
			differential(t, func(t *testing.T, provider metric.MeterProvider) {
				m := provider.Meter("scope")
				for i := range 10 {
					// 0, 0.05, … 0.45: their sum is 2.25.
					must(m.Float64Histogram("small", metric.WithUnit(unit))).Record(t.Context(), float64(i)*0.05)
					must(m.Float64Histogram("tiny", metric.WithUnit(unit))).Record(t.Context(), float64(i)*1e-7)
					must(m.Float64Histogram("large", metric.WithUnit(unit))).Record(t.Context(), float64(i)*1e3)
					must(m.Int64Histogram("whole", metric.WithUnit(unit))).Record(t.Context(), int64(i))
				}
			})
		})
	}
}

func TestSameAsSDKScopes(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		color := metric.WithInstrumentationAttributes(attribute.String("color", "red"), attribute.String("name", "x"))
		for i, m := range []metric.Meter{
			provider.Meter("a"), provider.Meter("b"), provider.Meter(""),
			provider.Meter("a", metric.WithInstrumentationVersion("1")),
			provider.Meter("a", metric.WithSchemaURL("https://example.com")), provider.Meter("a", color),
			provider.Meter("a"),
		} {
			must(m.Int64Counter("requests")).Add(t.Context(), 1<<i)
			must(m.Float64Counter("seconds")).Add(t.Context(), 0.5+float64(int(1)<<i))
			must(m.Float64Histogram("latency", metric.WithUnit("s"))).Record(t.Context(), float64(i))
			must(m.Int64Gauge("depth")).Record(t.Context(), int64(i))
		}
	})
}

func TestSameAsSDKConflicts(t *testing.T) {
	handled := handleErrors(t)
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		m := provider.Meter("scope")
		must(m.Int64Counter("sent", metric.WithUnit("By"))).Add(t.Context(), 100)
		must(m.Int64Counter("sent", metric.WithUnit("{packet}"))).Add(t.Context(), 1)
		must(m.Int64Counter("sent")).Add(t.Context(), 10)
		must(m.Int64UpDownCounter("sent")).Add(t.Context(), -5)
		must(m.Int64Gauge("sent")).Record(t.Context(), 7)
		must(m.Float64Gauge("sent", metric.WithUnit("s"))).Record(t.Context(), 0.5)
		must(m.Int64Histogram("sent", metric.WithUnit("By"))).Record(t.Context(), 3)
		must(m.Int64Histogram("sent", metric.WithUnit("1"))).Record(t.Context(), 4)
		must(m.Int64Histogram("sent", metric.WithUnit("ms"))).Record(t.Context(), 4)
		// Case makes no difference, and the first creation decides it.
		must(m.Int64Counter("Jobs")).Add(t.Context(), 1)
		must(m.Int64Counter("jobs")).Add(t.Context(), 2)
		must(m.Int64Counter("jOBS")).Add(t.Context(), 4)
		must(m.Int64Counter("JOBS", metric.WithUnit("1"))).Add(t.Context(), 8)
	})
	require.Len(t, *handled, 5, "sent: two units of counters, two more gauges; jobs: a unit")
}

func TestSameAsSDKAttributes(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		c := must(provider.Meter("scope").Int64Counter("jobs"))
		pairs := []attribute.KeyValue{
			attribute.String("s", "text"), attribute.Bool("b", true), attribute.Float64("f", 0.5), attribute.Int("i", -1),
			attribute.StringSlice("l", []string{"x", "y"}), attribute.String("", "empty key"), attribute.String("e", ""),
		}
		for i := range pairs {
			c.Add(t.Context(), 1, metric.WithAttributes(pairs[:i+1]...))
			c.Add(t.Context(), 1, metric.WithAttributes(pairs[i]), metric.WithAttributeSet(attribute.NewSet(pairs[0])))
		}
		c.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", 1), attribute.Int("i", 2))) // the last one counts
		c.Add(t.Context(), 1, unsafely(attribute.Int("i", 3)))
		c.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", 5)), unsafely(attribute.Int("i", 4)))
		only := must(provider.Meter("scope").Int64Counter("only", allowing("i")))
		only.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", 1), attribute.Int("j", 2)))
		only.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", 1), attribute.Int("j", 3)))
		none := must(provider.Meter("scope").Int64Counter("none", allowing()))
		none.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", 1)))
	})
}

// raw and allow are options as OpenTelemetry's experimental packages have them.
type raw struct {
	metric.MeasurementOption
	pairs []attribute.KeyValue
}

func (r raw) RawAttributes() []attribute.KeyValue { return r.pairs }
func (raw) Experimental()                         {}

type allow struct {
	metric.InstrumentOption
	keys []attribute.Key
}

func (a allow) AllowedKeys() []attribute.Key { return a.keys }

func allowing(keys ...attribute.Key) allow { return allow{metric.WithDescription(""), keys} }

func unsafely(pairs ...attribute.KeyValue) raw { return raw{pairs: pairs} }

// Any calls, in any order, have the same outcome.
func TestSameAsSDKRandomCalls(t *testing.T) {
	handleErrors(t)
	for seed := range uint64(20) {
		differential(t, func(t *testing.T, provider metric.MeterProvider) {
			random := rand.New(rand.NewPCG(seed, 0)) // the same calls for both
			pick := func(of ...string) string { return of[random.IntN(len(of))] }
			for range 300 {
				m := provider.Meter(pick("", "a", "b"), metric.WithInstrumentationVersion(pick("", "1")))
				name, unit := pick("x", "y", "z"), metric.WithUnit(pick("", "1", "%", "By", "s"))
				plain := metric.WithUnit(pick("", "1", "%", "By", "{row}"))
				set := metric.WithAttributes(attribute.String(pick("k", "l"), pick("", "v")))
				i, f := random.Int64N(1000), random.Float64()*math.Pow10(random.IntN(6)-3)
				ctx := t.Context()
				switch random.IntN(9) {
				case 0:
					must(m.Int64Counter(name, unit)).Add(ctx, i, set)
				case 1:
					must(m.Float64Counter(name+"_f", unit)).Add(ctx, f, set)
				case 2:
					must(m.Int64UpDownCounter(name, unit)).Add(ctx, i-500, set)
				case 3:
					must(m.Float64UpDownCounter(name, unit)).Add(ctx, float64(i)/8-60, set)
				case 4:
					must(m.Int64Gauge(name, unit)).Record(ctx, i, set)
				case 5:
					must(m.Float64Gauge(name+"_f", unit)).Record(ctx, f, set)
				case 6:
					must(m.Int64Histogram(name, plain)).Record(ctx, i, set)
				case 7:
					must(m.Float64Histogram(name, plain)).Record(ctx, f, set)
				case 8:
					must(m.Float64Histogram(name+"_t", metric.WithUnit("ms"))).Record(ctx, f, set)
				}
			}
		})
	}
}

// TestSameAsSDKDescriptions: points have the description that the SDK exports; counters and gauges have its unit, too.
func TestSameAsSDKDescriptions(t *testing.T) {
	make := func(t *testing.T, provider metric.MeterProvider) {
		m := provider.Meter("scope")
		must(m.Int64Counter("c1", metric.WithDescription("Jobs\n\"done\"."), metric.WithUnit("{job}"))).Add(t.Context(), 1)
		must(m.Float64Counter("c2", metric.WithUnit("USD"))).Add(t.Context(), 1)
		must(m.Int64UpDownCounter("u1", metric.WithDescription("Open files."))).Add(t.Context(), 1)
		must(m.Float64UpDownCounter("u2", metric.WithDescription("Load."), metric.WithUnit("1"))).Add(t.Context(), 1)
		must(m.Int64Gauge("g1", metric.WithDescription("Depth."), metric.WithUnit("By"))).Record(t.Context(), 1)
		must(m.Float64Gauge("g2")).Record(t.Context(), 1)
		must(m.Int64Histogram("h1", metric.WithDescription("Size."), metric.WithUnit("By"))).Record(t.Context(), 1)
		must(m.Float64Histogram("h2", metric.WithDescription("Latency."), metric.WithUnit("s"))).Record(t.Context(), 1)
	}
	reader := sdk.NewManualReader()
	make(t, sdk.NewMeterProvider(sdk.WithReader(reader)))
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	want := map[string][2]string{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		want[m.Name] = [2]string{m.Description, m.Unit}
	}

	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	provider := must(otelbridge.NewMeterProvider(buffer.WithPrefix("app.")))
	make(t, provider)
	require.NoError(t, buffer.Close())
	got := map[string][2]string{}
	for _, p := range recorder.Totals() {
		unit := p.Unit
		if p.Kind == metricsbuffer.KindTimer || p.Kind == metricsbuffer.KindHistogram {
			unit = want[strings.TrimPrefix(p.Name, "app.")][1] // which TestSameAsSDKHistograms compares
		}
		got[strings.TrimPrefix(p.Name, "app.")] = [2]string{p.Help, unit}
	}
	require.Len(t, want, 8)
	require.Equal(t, want, got)
}

// The first instrument of a name with a description decides it.
func TestFirstDescription(t *testing.T) {
	meter, flush := instrumented(t)
	for _, description := range []string{"", "First.", "Second."} {
		must(meter.Int64Counter("jobs", metric.WithDescription(description))).Add(t.Context(), 1)
		must(meter.Int64Histogram("jobs", metric.WithDescription(description), metric.WithUnit("By"))).Record(t.Context(), 1)
	}
	must(meter.Int64Gauge("jobs", metric.WithUnit("s"))).Record(t.Context(), 1)
	for _, p := range flush().Totals() {
		require.Equal(t, "First.", p.Help, p.Kind)
	}
}
