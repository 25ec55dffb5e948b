package contender

import (
	"context"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// otelOutput is an exporter that prefers deltas, and hands counters to the audit.
type otelOutput struct{ output Output }

func (otelOutput) Temporality(sdk.InstrumentKind) metricdata.Temporality {
	return metricdata.DeltaTemporality
}
func (otelOutput) Aggregation(kind sdk.InstrumentKind) sdk.Aggregation {
	return sdk.DefaultAggregationSelector(kind)
}
func (otelOutput) ForceFlush(context.Context) error { return nil }
func (otelOutput) Shutdown(context.Context) error   { return nil }

func (o otelOutput) Export(_ context.Context, data *metricdata.ResourceMetrics) error {
	var reports []Report
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints { // the audit uses counters only
				reports = append(reports, Report{Name: m.Name, Value: point.Value})
			}
		}
	}
	return o.output(reports)
}
