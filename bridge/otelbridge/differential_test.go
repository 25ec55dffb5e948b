package otelbridge_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
)

// A stream is what the SDK's reader, or the bridge, delivers of one instrument and set of attributes.
type stream struct {
	scope      string // name, version, schema URL, attributes
	name       string // in lower case if it has capitals: the first creation decides
	kind       string
	unit       string
	attributes string
}

type value struct {
	sum, min, max float64
	count         uint64
}

// calls are made of the SDK and of the bridge.
type calls func(t *testing.T, provider metric.MeterProvider)

// viaSDK returns the streams that a ManualReader collects.
func viaSDK(t *testing.T, make calls) map[stream]value {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	make(t, provider)
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	streams := map[stream]value{}
	for _, scope := range data.ScopeMetrics {
		attributes := scope.Scope.Attributes
		for _, m := range scope.Metrics {
			s := stream{name: m.Name, unit: m.Unit, scope: fmt.Sprint(
				scope.Scope.Name, "|", scope.Scope.Version, "|", scope.Scope.SchemaURL, "|", text(attributes))}
			readSDK(streams, s, m.Data)
		}
	}
	return streams
}

func readSDK(streams map[stream]value, s stream, data metricdata.Aggregation) {
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		numbers(streams, s, sumKind(data.IsMonotonic), data.DataPoints)
	case metricdata.Sum[float64]:
		numbers(streams, s, sumKind(data.IsMonotonic), data.DataPoints)
	case metricdata.Gauge[int64]:
		numbers(streams, s, "Gauge", data.DataPoints)
	case metricdata.Gauge[float64]:
		numbers(streams, s, "Gauge", data.DataPoints)
	case metricdata.Histogram[int64]:
		distributions(streams, s, data.DataPoints)
	case metricdata.Histogram[float64]:
		distributions(streams, s, data.DataPoints)
	default:
		panic(fmt.Sprintf("%T", data))
	}
}

func sumKind(monotonic bool) string {
	if monotonic {
		return "Counter"
	}
	return "UpDownCounter"
}

func numbers[N int64 | float64](streams map[stream]value, s stream, kind string, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		s.kind, s.attributes = kind, text(p.Attributes)
		v := streams[s]
		v.sum += float64(p.Value)
		streams[s] = v
	}
}

func distributions[N int64 | float64](streams map[stream]value, s stream, points []metricdata.HistogramDataPoint[N]) {
	for _, p := range points {
		s.kind, s.attributes = "Histogram", text(p.Attributes)
		least, _ := p.Min.Value()
		greatest, _ := p.Max.Value()
		streams[s] = merged(streams[s], value{float64(p.Sum), float64(least), float64(greatest), p.Count})
	}
}

// merged adds b to a: the SDK has two streams where the bridge has one if an instrument of int64 and one of float64, or
// two with different descriptions, are otherwise the same.
func merged(a, b value) value {
	if a.count == 0 {
		return b
	}
	return value{a.sum + b.sum, min(a.min, b.min), max(a.max, b.max), a.count + b.count}
}

func text(set attribute.Set) string {
	var pairs []string
	for iter := set.Iter(); iter.Next(); {
		pairs = append(pairs, fmt.Sprintf("%s=%s", iter.Attribute().Key, iter.Attribute().Value.String()))
	}
	return strings.Join(pairs, ",")
}

// viaBridge returns the streams that a sink can tell from its points and the provider's list of instruments.
func viaBridge(t *testing.T, make calls) map[stream]value {
	var points []metricsbuffer.Point
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			points = append(points, batch.Points...)
			return nil
		})))
	require.NoError(t, err)
	provider, err := otelbridge.NewMeterProvider(buffer)
	require.NoError(t, err)
	make(t, provider)
	require.NoError(t, buffer.Close())
	streams := map[stream]value{}
	for _, p := range points {
		s, v := converted(t, provider.Instruments(), p)
		streams[s] = merged(streams[s], v)
	}
	return streams
}

// converted finds the point's instrument and undoes what the bridge did.
func converted(t *testing.T, instruments []otelbridge.Instrument, p metricsbuffer.Point) (stream, value) {
	var found []otelbridge.Instrument
	for _, i := range instruments {
		if i.Name == p.Name && kindOf(i) == p.Kind && containsAll(p.Tags, i.Tags) {
			found = append(found, i)
		}
	}
	// An instrument with a tag for a conflict is found beside the one without it: it fits better.
	slices.SortStableFunc(found, func(a, b otelbridge.Instrument) int { return len(b.Tags) - len(a.Tags) })
	require.NotEmpty(t, found, "no instrument for %+v", p)
	i := found[0]
	divisor := float64(units[i.Unit])
	if p.Kind == metricsbuffer.KindHistogram {
		var unit string
		unit, divisor = otelbridge.Unscale(p.Unit)
		found = slices.DeleteFunc(found, func(i otelbridge.Instrument) bool { return i.Unit != unit })
		require.NotEmpty(t, found)
		i = found[0]
	}
	s := stream{name: i.Name, kind: i.Kind, unit: i.Unit}
	scope := map[string]string{}
	var scopeAttributes, attributes []string
	for _, tag := range p.Tags {
		key, isScope := strings.CutPrefix(tag.Key, "otel.scope.")
		switch {
		case tag.Key == "otel.instrument":
		case isScope && slices.Contains([]string{"name", "version", "schema_url"}, key):
			scope[key] = tag.Value
		case isScope:
			scopeAttributes = append(scopeAttributes, strings.TrimPrefix(key, "attribute.")+"="+tag.Value)
		default:
			attributes = append(attributes, tag.Key+"="+tag.Value)
		}
	}
	slices.Sort(scopeAttributes)
	s.scope = fmt.Sprint(scope["name"], "|", scope["version"], "|", scope["schema_url"], "|",
		strings.Join(scopeAttributes, ","))
	s.attributes = strings.Join(attributes, ",")
	switch p.Kind {
	case metricsbuffer.KindCounter:
		return s, value{sum: float64(p.Count)}
	case metricsbuffer.KindGauge:
		return s, value{sum: p.Value}
	}
	return s, value{float64(p.Sum) / divisor, float64(p.Min) / divisor, float64(p.Max) / divisor, uint64(p.Count)}
}

var units = map[string]time.Duration{
	"ns": 1, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
	"min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

func kindOf(i otelbridge.Instrument) metricsbuffer.Kind {
	_, isDuration := units[i.Unit]
	switch {
	case i.Kind == "Counter":
		return metricsbuffer.KindCounter
	case i.Kind != "Histogram":
		return metricsbuffer.KindGauge
	case isDuration:
		return metricsbuffer.KindTimer
	}
	return metricsbuffer.KindHistogram
}

func containsAll(tags, some []tag) bool {
	return !slices.ContainsFunc(some, func(t tag) bool { return !slices.Contains(tags, t) })
}

// resolutionOf is how far the bridge may be from the SDK, as documented.
func resolutionOf(s stream) float64 {
	d, isDuration := units[s.unit]
	switch {
	case s.kind == "Counter":
		return 1
	case s.kind != "Histogram":
		return 0
	case isDuration:
		return 1 / float64(d)
	case s.unit == "1" || s.unit == "%":
		return 1e-6
	}
	return 1e-3
}

// differential makes the same calls of the SDK and of the bridge, and compares what they deliver.
func differential(t *testing.T, make calls) {
	t.Helper()
	want, got := viaSDK(t, make), viaBridge(t, make)
	require.NotEmpty(t, want)
	for s, w := range want {
		g, ok := got[s]
		if !ok {
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
