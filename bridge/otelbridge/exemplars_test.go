package otelbridge_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// traced is an exemplar of the SDK or of the bridge. Histograms of the test have other values for each span.
type traced struct {
	trace trace.TraceID
	span  trace.SpanID
	value float64
}

// recordTraced records values of different octaves: with a sampled span, one that is not sampled, and none.
func recordTraced(ctx context.Context, provider metric.MeterProvider) {
	m := provider.Meter("scope")
	in := func(id byte, flags trace.TraceFlags) context.Context {
		return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{id}, SpanID: trace.SpanID{id}, TraceFlags: flags,
		}))
	}
	size := must(m.Int64Histogram("size"))
	latency := must(m.Float64Histogram("latency", metric.WithUnit("ns")))
	for id := byte(1); id < 20; id += 2 {
		set := metric.WithAttributes(attribute.Int("i", int(id%3)))
		size.Record(in(id, trace.FlagsSampled), 1<<id, set)
		size.Record(in(id+1, 0), 1<<id, set)
		size.Record(ctx, 1<<id, set)
		latency.Record(in(id, trace.FlagsSampled), float64(int(1)<<id), set)
		latency.Record(in(id+1, 0), float64(int(1)<<id), set)
		latency.Record(ctx, float64(int(1)<<id), set)
	}
}

// The SDK, which keeps everything here, and the bridge have the same exemplars.
func TestSameAsSDKExemplars(t *testing.T) {
	reader := sdk.NewManualReader()
	bounds := []float64{0, 1, 4, 16, 64, 256, 1024, 4096, 1 << 14, 1 << 16, 1 << 18} // one of each series between two
	provider := sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithView(sdk.NewView(sdk.Instrument{Name: "*"},
		sdk.Stream{Aggregation: sdk.AggregationExplicitBucketHistogram{Boundaries: bounds}})))
	recordTraced(t.Context(), provider)
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	want := map[string][]traced{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Histogram[int64]:
			for _, p := range data.DataPoints {
				want[m.Name+" "+text(p.Attributes)] = exemplarsOfSDK(p.Exemplars)
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				want[m.Name+" "+text(p.Attributes)] = exemplarsOfSDK(p.Exemplars)
			}
		}
	}
	require.Len(t, want, 6)

	recorder := new(sinktest.Recorder)
	buffer := must(metricsbuffer.New(metricsbuffer.WithSink(recorder)))
	recordTraced(t.Context(), must(otelbridge.NewMeterProvider(buffer, otelbridge.WithoutScope())))
	require.NoError(t, buffer.Close())
	got := map[string][]traced{}
	for _, p := range recorder.Totals() {
		_, divisor := otelbridge.Unscale(p.Unit)
		for _, e := range p.Exemplars {
			key := p.Name + " i=" + p.Tags[0].Value
			got[key] = append(got[key], traced{e.TraceID, e.SpanID, float64(e.Value) / divisor})
		}
	}
	require.Len(t, got, 6)
	for key := range want {
		require.ElementsMatch(t, want[key], got[key], key)
	}
}

func exemplarsOfSDK[N int64 | float64](exemplars []metricdata.Exemplar[N]) (all []traced) {
	for _, e := range exemplars {
		all = append(all, traced{trace.TraceID(e.TraceID), trace.SpanID(e.SpanID), float64(e.Value)})
	}
	return all
}
