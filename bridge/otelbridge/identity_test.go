package otelbridge_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// Each of these sets has the hash of another one ([attribute.Distinct]) in otel 1.46, which hashes keys, types and
// values without their lengths.
var hashTwins = map[string][2][]attribute.KeyValue{
	"two strings": {
		{attribute.String("path", "/"), attribute.String("status", "500")},
		{attribute.String("path", "/status_string_500")},
	},
	"key and value": {
		{attribute.String("a", "b_string_c")},
		{attribute.String("a_string_b", "c")},
	},
	"elements of a slice": {
		{attribute.StringSlice("a", []string{"bc", "d"})},
		{attribute.StringSlice("a", []string{"b", "cd"})},
	},
}

// An attribute's value cannot make an update count in the series of other attributes.
func TestSetsOfOneHash(t *testing.T) {
	for name, twins := range hashTwins {
		t.Run(name, func(t *testing.T) {
			meter, flush := instrumented(t)
			requests := must(meter.Int64Counter("requests"))
			for i, pairs := range twins {
				requests.Add(t.Context(), int64(1+1000*i), metric.WithAttributes(pairs...))
			}
			recorder := flush()
			for i, pairs := range twins {
				var tags []tag
				for _, pair := range pairs {
					tags = append(tags, tag{Key: string(pair.Key), Value: pair.Value.String()})
				}
				require.EqualValues(t, 1+1000*i, recorder.Total(metricsbuffer.KindCounter, "requests", tags...).Count, "%v", tags)
			}
		})
	}
}

// Scopes whose attributes have one hash are two scopes.
func TestScopesOfOneHash(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer := must(metricsbuffer.New(metricsbuffer.WithSink(recorder)))
	provider := must(otelbridge.NewMeterProvider(buffer))
	for i, pairs := range [][]attribute.KeyValue{
		{attribute.String("a", "x"), attribute.String("b", "y")},
		{attribute.String("a", "xb_string_y")},
	} {
		meter := provider.Meter("scope", metric.WithInstrumentationAttributes(pairs...))
		must(meter.Int64Counter("requests")).Add(t.Context(), int64(1+1000*i))
	}
	require.NoError(t, buffer.Close())
	require.Len(t, provider.Instruments(), 2)
	name := tag{Key: "otel.scope.name", Value: "scope"}
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "requests", name,
		tag{Key: "otel.scope.a", Value: "x"}, tag{Key: "otel.scope.b", Value: "y"}).Count)
	require.EqualValues(t, 1001, recorder.Total(metricsbuffer.KindCounter, "requests", name,
		tag{Key: "otel.scope.a", Value: "xb_string_y"}).Count)
}

// An attribute cannot pass for a tag of the bridge, nor for another attribute that was renamed.
func TestForgedTags(t *testing.T) {
	type update struct {
		meter string
		unit  string
		pairs []attribute.KeyValue
	}
	pair := attribute.String
	for name, updates := range map[string][2]update{
		"renamed and as it is": {
			{"m", "", []attribute.KeyValue{pair("otel.scope.name", "A"), pair("attribute.otel.scope.name", "B")}},
			{"m", "", []attribute.KeyValue{pair("otel.scope.name", "B"), pair("attribute.otel.scope.name", "A")}},
		},
		"renamed twice": {
			{"m", "", []attribute.KeyValue{pair("attribute.otel.scope.name", "A")}},
			{"m", "", []attribute.KeyValue{pair("attribute.attribute.otel.scope.name", "A")}},
		},
		"scope":           {{"m", "", nil}, {"", "", []attribute.KeyValue{pair("otel.scope.name", "m")}}},
		"scope attribute": {{"m", "", nil}, {"m", "", []attribute.KeyValue{pair("otel.scope.a", "x")}}},
		"instrument":      {{"", "", []attribute.KeyValue{pair("otel.instrument", "Counter s")}}, {"", "s", nil}},
	} {
		t.Run(name, func(t *testing.T) {
			handleErrors(t)
			recorder := new(sinktest.Recorder)
			buffer := must(metricsbuffer.New(metricsbuffer.WithSink(recorder)))
			provider := must(otelbridge.NewMeterProvider(buffer))
			for i, u := range updates {
				counter := must(provider.Meter(u.meter).Int64Counter("requests", metric.WithUnit(u.unit)))
				counter.Add(t.Context(), int64(1+1000*i), metric.WithAttributes(u.pairs...))
			}
			scope := metric.WithInstrumentationAttributes(pair("a", "x"))
			must(provider.Meter("m", scope).Int64Counter("requests")).Add(t.Context(), 1_000_000)
			require.NoError(t, buffer.Close())
			require.Len(t, recorder.Totals(), 3, "%v", recorder.Totals())
		})
	}
}

// Two scopes whose attributes are renamed stay two.
func TestForgedScopes(t *testing.T) {
	provider := must(otelbridge.NewMeterProvider(nil))
	pair := attribute.String
	for _, pairs := range [][]attribute.KeyValue{
		{pair("name", "A"), pair("attribute.name", "B")},
		{pair("name", "B"), pair("attribute.name", "A")},
	} {
		meter := provider.Meter("scope", metric.WithInstrumentationAttributes(pairs...))
		must(meter.Int64Counter("requests")).Add(t.Context(), 1)
	}
	tags := provider.Instruments()
	require.Len(t, tags, 2)
	for _, i := range tags {
		require.Len(t, i.Tags, 3)
		require.NotEqual(t, i.Tags[1].Key, i.Tags[2].Key, "%v", i.Tags)
	}
}

// A set is found again, whichever values it has: NaN does not equal itself, and a long set is stored in another manner.
func TestSetsAreFoundAgain(t *testing.T) {
	many := make([]attribute.KeyValue, 0, 20)
	for i := range cap(many) {
		many = append(many, attribute.Int(strings.Repeat("k", i+1), i))
	}
	for name, pairs := range map[string][]attribute.KeyValue{
		"NaN":              {attribute.Float64("a", math.NaN())},
		"NaN in a slice":   {attribute.Float64Slice("a", []float64{math.NaN()})},
		"nested":           {attribute.Slice("a", attribute.Float64SliceValue([]float64{math.NaN()}))},
		"map":              {attribute.Map("a", attribute.String("b", "c"))},
		"bytes":            {attribute.ByteSlice("a", []byte("\xff\x00"))},
		"empty":            {{Key: "a"}},
		"of 20 attributes": many,
	} {
		t.Run(name, func(t *testing.T) {
			meter, flush := instrumented(t, otelbridge.WithMaxSeries(1))
			requests := must(meter.Int64Counter("requests"))
			for range 3 {
				requests.Add(t.Context(), 1, metric.WithAttributes(pairs...))
			}
			totals := flush().Totals()
			require.Len(t, totals, 1, "no overflow: %v", totals)
			require.EqualValues(t, 3, totals[0].Count)
		})
	}
}

func BenchmarkAttributes(b *testing.B) {
	meter, _ := instrumented(b)
	requests := must(meter.Int64Counter("requests"))
	opts := []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("method", "GET"),
		attribute.String("route", "/orders/{id}"), attribute.Int("status", 200)))}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			requests.Add(context.Background(), 1, opts...)
		}
	})
}

// Units that differ only by a blank are two units, as in the SDK.
func TestUnitsThatDifferByABlank(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t)
	for i, unit := range []string{"x", "By", "By ", ""} {
		must(meter.Float64Gauge("g", metric.WithUnit(unit))).Record(t.Context(), float64(i))
	}
	recorder := flush()
	require.Len(t, *handled, 3)
	for i, told := range []string{"Gauge By", "Gauge By ", "Gauge"} {
		value := recorder.Total(metricsbuffer.KindGauge, "g", tag{Key: "otel.instrument", Value: told}).Value
		require.InDelta(t, i+1, value, 0, told)
	}
}
