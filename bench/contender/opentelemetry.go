package contender

import (
	"context"
	"io"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const openTelemetryModule = "go.opentelemetry.io/otel/sdk/metric"

var openTelemetryWithout = map[string]string{
	"named":  "instruments are made once and kept: see by handle",
	"tagged": "instruments are made once and kept: see two labels",
}

func openTelemetry() Contender {
	return Contender{
		Name: "OpenTelemetry", Module: openTelemetryModule, Without: openTelemetryWithout,
		How: "an Int64Counter each (attribute sets of one counter beyond 1,000 series); explicit buckets, the default; " +
			"no cardinality limit; JSON by stdoutmetric, totals of all series; audited with a PeriodicReader and deltas",
		Open: func(output Output) (Instance, error) {
			return newOtel(output, sdk.AggregationExplicitBucketHistogram{Boundaries: []float64{
				.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}}) // advised for seconds
		},
	}
}

func openTelemetryExponential() Contender {
	return Contender{
		Name: "OpenTelemetry, exponential", Module: openTelemetryModule, Without: openTelemetryWithout,
		How: "the same with base-2 exponential histograms, maximum size 160, maximum scale 20",
		Open: func(output Output) (Instance, error) {
			return newOtel(output, sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20})
		},
	}
}

type otelInstance struct {
	provider *sdk.MeterProvider
	reader   *sdk.ManualReader // nil when audited
	meter    metric.Meter
}

func newOtel(output Output, histograms sdk.Aggregation) (Instance, error) {
	o := new(otelInstance)
	var reader sdk.Reader
	if output != nil {
		reader = sdk.NewPeriodicReader(otelOutput{output}, sdk.WithInterval(1<<62))
	} else {
		o.reader = sdk.NewManualReader()
		reader = o.reader
	}
	view := sdk.NewView(sdk.Instrument{Kind: sdk.InstrumentKindHistogram}, sdk.Stream{Aggregation: histograms})
	o.provider = sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithView(view), sdk.WithCardinalityLimit(0))
	o.meter = o.provider.Meter("bench")
	return o, nil
}

func (o *otelInstance) Limits() Limits { return Limits{} }
func (o *otelInstance) Close() error   { return o.provider.Shutdown(context.Background()) }
func (o *otelInstance) Report() error  { return o.provider.ForceFlush(context.Background()) }

func (o *otelInstance) counter(name string) metric.Int64Counter {
	c, err := o.meter.Int64Counter(name)
	if err != nil {
		panic(err) // the names here are valid
	}
	return c
}

func (o *otelInstance) Counters(names []string) Loop {
	ctx := context.Background()
	if len(names) > 1000 {
		counter := o.counter("series")
		sets := make([]metric.AddOption, len(names))
		for i, name := range names {
			sets[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String("series", name)))
		}
		return func(_ int, order []uint32) {
			for _, i := range order {
				counter.Add(ctx, 1, sets[i])
			}
		}
	}
	counters := make([]metric.Int64Counter, len(names))
	for i, name := range names {
		counters[i] = o.counter(name)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Add(ctx, 1)
		}
	}
}

func (o *otelInstance) Vector(name string, labels []Labels) Loop {
	counter, ctx := o.counter(name), context.Background()
	return func(_ int, order []uint32) {
		for _, i := range order {
			set := attribute.NewSet(attribute.String(LabelA, labels[i].A), attribute.String(LabelB, labels[i].B))
			counter.Add(ctx, 1, metric.WithAttributeSet(set))
		}
	}
}

func (o *otelInstance) Timer(name string) Loop {
	histogram, ctx := o.histogram(name), context.Background()
	return func(_ int, order []uint32) {
		for _, d := range order {
			histogram.Record(ctx, float64(d)/1e9)
		}
	}
}

func (o *otelInstance) histogram(name string) metric.Float64Histogram {
	h, err := o.meter.Float64Histogram(name, metric.WithUnit("s"))
	if err != nil {
		panic(err) // the names here are valid
	}
	return h
}

func (o *otelInstance) Request() Loop {
	requests, bytes, ctx := o.counter("requests"), o.counter("bytes"), context.Background()
	latency := o.histogram("latency")
	inflight, err := o.meter.Float64Gauge("inflight")
	if err != nil {
		panic(err)
	}
	return func(_ int, order []uint32) {
		for _, d := range order {
			requests.Add(ctx, 1)
			bytes.Add(ctx, 512)
			latency.Record(ctx, float64(d)/1e9)
			inflight.Record(ctx, float64(d))
		}
	}
}

func (o *otelInstance) Export(w io.Writer) error {
	var data metricdata.ResourceMetrics
	if err := o.reader.Collect(context.Background(), &data); err != nil {
		return err
	}
	exporter, err := stdoutmetric.New(stdoutmetric.WithWriter(w))
	if err != nil {
		return err
	}
	return exporter.Export(context.Background(), &data)
}

// otelOutput is an exporter that prefers deltas, and hands counters to the audit.
type otelOutput struct{ output Output }

func (e otelOutput) Temporality(sdk.InstrumentKind) metricdata.Temporality {
	return metricdata.DeltaTemporality
}
func (e otelOutput) Aggregation(kind sdk.InstrumentKind) sdk.Aggregation {
	return sdk.DefaultAggregationSelector(kind)
}
func (e otelOutput) ForceFlush(context.Context) error { return nil }
func (e otelOutput) Shutdown(context.Context) error   { return nil }

func (e otelOutput) Export(_ context.Context, data *metricdata.ResourceMetrics) error {
	var reports []Report
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, point := range sum.DataPoints {
					reports = append(reports, Report{Name: m.Name, Value: point.Value})
				}
			}
		}
	}
	return e.output(reports)
}
