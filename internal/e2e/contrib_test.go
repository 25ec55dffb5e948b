package e2e

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	hostmetrics "go.opentelemetry.io/contrib/instrumentation/host"
	runtimemetrics "go.opentelemetry.io/contrib/instrumentation/runtime"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// OpenTelemetry's own instrumentation of the runtime and the host, which has observable instruments only, records
// through the bridge. It stands here because of its dependencies.
func TestContrib(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	defer func() { require.NoError(t, buffer.Close()) }()
	provider, err := otelbridge.NewMeterProvider(buffer)
	require.NoError(t, err)
	require.NoError(t, runtimemetrics.Start(runtimemetrics.WithMeterProvider(provider)))
	require.NoError(t, hostmetrics.Start(hostmetrics.WithMeterProvider(provider)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	find := func(name string) metricsbuffer.Point {
		has := func(p metricsbuffer.Point) bool { return p.Name == name && (p.Value > 0 || p.Count > 0) }
		for {
			require.NoError(t, buffer.Flush(ctx), name)
			if i := slices.IndexFunc(recorder.Totals(), has); i >= 0 { // otherwise the callback was late
				return recorder.Totals()[i]
			}
		}
	}
	require.InDelta(t, runtime.GOMAXPROCS(0), find("go.processor.limit").Value, 0)
	for name, kind := range map[string]metricsbuffer.Kind{
		"go.goroutine.count":  metricsbuffer.KindGauge,
		"go.memory.used":      metricsbuffer.KindGauge,
		"go.memory.allocated": metricsbuffer.KindCounter,
		"system.memory.usage": metricsbuffer.KindGauge,
		"system.cpu.time":     metricsbuffer.KindCounter,
	} {
		require.Equal(t, kind, find(name).Kind, name)
	}
}
