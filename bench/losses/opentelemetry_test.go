package losses

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// An otelExporter prefers deltas and adds up its input unless it fails.
type otelExporter struct {
	err   error
	total int64
}

func (e *otelExporter) Temporality(sdk.InstrumentKind) metricdata.Temporality {
	return metricdata.DeltaTemporality
}

func (e *otelExporter) Aggregation(kind sdk.InstrumentKind) sdk.Aggregation {
	return sdk.DefaultAggregationSelector(kind)
}
func (e *otelExporter) ForceFlush(context.Context) error { return nil }
func (e *otelExporter) Shutdown(context.Context) error   { return nil }

func (e *otelExporter) Export(_ context.Context, data *metricdata.ResourceMetrics) error {
	if e.err != nil {
		return e.err
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, point := range sum.DataPoints {
					e.total += point.Value
				}
			}
		}
	}
	return nil
}

func newOtel(e *otelExporter) (*sdk.MeterProvider, metric.Meter) {
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(e, sdk.WithInterval(time.Hour))))
	return provider, provider.Meter("losses")
}

func TestOpenTelemetryFailedExport(t *testing.T) {
	exporter := new(otelExporter)
	provider, meter := newOtel(exporter)
	requests, err := meter.Int64Counter("requests")
	require.NoError(t, err)

	requests.Add(t.Context(), 1)
	exporter.err = errors.New("the collector is away")
	require.Error(t, provider.ForceFlush(t.Context()))
	exporter.err = nil // it is back
	require.NoError(t, provider.ForceFlush(t.Context()))
	require.NoError(t, provider.Shutdown(context.Background()))
	require.Zero(t, exporter.total)
}

func TestOpenTelemetryFailedCallback(t *testing.T) {
	exporter := new(otelExporter)
	provider, meter := newOtel(exporter)
	requests, err := meter.Int64Counter("requests")
	require.NoError(t, err)
	failure := errors.New("this callback cannot read its value now")
	_, err = meter.Int64ObservableGauge("temperature",
		metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error { return failure }))
	require.NoError(t, err)

	requests.Add(t.Context(), 1)
	require.Error(t, provider.ForceFlush(t.Context()))
	failure = nil // it can again
	require.NoError(t, provider.ForceFlush(t.Context()))
	require.NoError(t, provider.Shutdown(context.Background()))
	require.Zero(t, exporter.total)
}
