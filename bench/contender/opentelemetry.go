package contender

import (
	"context"
	"io"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func openTelemetrySDK(name, how string, histograms sdk.Aggregation) Contender {
	const kept = "instruments are made once and kept: see by handle, and two labels"
	return Contender{
		Name: name, Module: "go.opentelemetry.io/otel/sdk/metric", How: how,
		Without: Reasons{"named": kept, "tagged": kept, "page": "its exporter for Prometheus is client_golang"},
		Open: func(output Output) (Instance, error) {
			o := &otelInstance{manual: sdk.NewManualReader()}
			var reader sdk.Reader = o.manual
			if output != nil {
				reader = sdk.NewPeriodicReader(otelOutput{output}, sdk.WithInterval(1<<62))
			}
			view := sdk.NewView(sdk.Instrument{Kind: sdk.InstrumentKindHistogram}, sdk.Stream{Aggregation: histograms})
			o.provider = sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithView(view), sdk.WithCardinalityLimit(0),
				sdk.WithExemplarFilter(exemplar.AlwaysOffFilter))
			o.meter = o.provider.Meter("bench")
			return o, nil
		},
	}
}

func openTelemetry() Contender {
	return openTelemetrySDK("OpenTelemetry", "an Int64Counter each (attribute sets of one counter beyond 1,000 series); "+
		"explicit buckets, the default; no cardinality limit, no exemplars; JSON by stdoutmetric, totals of all series; "+
		"audited with a PeriodicReader and deltas", sdk.AggregationExplicitBucketHistogram{Boundaries: []float64{
		.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}}) // advised for seconds
}

func openTelemetryExponential() Contender {
	return openTelemetrySDK("OpenTelemetry, exponential", "the same with base-2 exponential histograms, size 160, "+
		"scale at most 20", sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20})
}

type otelInstance struct {
	provider *sdk.MeterProvider
	manual   *sdk.ManualReader
	meter    metric.Meter
}

func (o *otelInstance) Close() error  { return o.provider.Shutdown(context.Background()) }
func (o *otelInstance) Report() error { return o.provider.ForceFlush(context.Background()) }

func (o *otelInstance) counter(name string) metric.Int64Counter {
	return must(o.meter.Int64Counter(name))
}

func (o *otelInstance) histogram(name string) metric.Float64Histogram {
	return must(o.meter.Float64Histogram(name, metric.WithUnit("s")))
}

func (o *otelInstance) Counters(names []string) Loop {
	ctx := context.Background()
	if len(names) <= 1000 {
		counters := handles(names, o.counter)
		return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Add(ctx, 1) }) }
	}
	counter, sets := o.counter("series"), handles(names, func(name string) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("series", name)))}
	})
	return func(_ int, order []uint32) { each(order, func(i uint32) { counter.Add(ctx, 1, sets[i]...) }) }
}

func (o *otelInstance) Vector(name string, labels []Labels) Loop {
	counter, ctx := o.counter(name), context.Background()
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			set := attribute.NewSet(attribute.String(LabelA, labels[i].A), attribute.String(LabelB, labels[i].B))
			counter.Add(ctx, 1, metric.WithAttributeSet(set))
		})
	}
}

func (o *otelInstance) Timer(name string) Loop {
	histogram, ctx := o.histogram(name), context.Background()
	return func(_ int, order []uint32) { each(order, func(d uint32) { histogram.Record(ctx, float64(d)/1e9) }) }
}

func (o *otelInstance) Stopwatch() Loop {
	histogram, ctx := o.histogram("latency"), context.Background()
	return func(_ int, order []uint32) {
		each(order, func(uint32) {
			begin := time.Now()
			histogram.Record(ctx, time.Since(begin).Seconds())
		})
	}
}

func (o *otelInstance) Group() Loop {
	requests, bytes, ctx := o.counter("requests"), o.counter("bytes"), context.Background()
	latency := o.histogram("latency")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Add(ctx, 1)
			bytes.Add(ctx, 512)
			latency.Record(ctx, float64(d)/1e9)
		})
	}
}

func (o *otelInstance) Request() Loop {
	requests, bytes, ctx := o.counter("requests"), o.counter("bytes"), context.Background()
	latency, inflight := o.histogram("latency"), must(o.meter.Float64Gauge("inflight"))
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Add(ctx, 1)
			bytes.Add(ctx, 512)
			latency.Record(ctx, float64(d)/1e9)
			inflight.Record(ctx, float64(d))
		})
	}
}

func (o *otelInstance) Export(w io.Writer) error {
	var data metricdata.ResourceMetrics
	if err := o.manual.Collect(context.Background(), &data); err != nil {
		return err
	}
	return must(stdoutmetric.New(stdoutmetric.WithWriter(w))).Export(context.Background(), &data)
}
