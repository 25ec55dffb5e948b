package otelsink_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/otelsink"
)

func collect(t *testing.T, reader *sdk.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	byName := make(map[string]metricdata.Metrics)
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

// reader returns a reader of a pipeline, without which it does not read.
func reader(t *testing.T, producer sdk.Producer) *sdk.ManualReader {
	t.Helper()
	r := sdk.NewManualReader(sdk.WithProducer(producer))
	provider := sdk.NewMeterProvider(sdk.WithReader(r))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return r
}

func TestTotals(t *testing.T) {
	totals := otelsink.NewTotals()
	r := reader(t, totals.Producer(nil))
	require.Empty(t, collect(t, r))
	require.NoError(t, totals.Write(t.Context(), second(counter("jobs", 3), timer("latency"),
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 5})))
	later := second(counter("jobs", 4), timer("latency"),
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 2})
	later.Points[1].Max = 1000
	later.Points[1].Buckets.Offset = 41
	later.Start = start.Add(time.Minute)
	later.End = time.Now().Add(time.Hour).UTC()
	require.NoError(t, totals.Write(t.Context(), later))
	later.Points[1].Buckets.Counts[1] = 999 // not the totals' any more

	got := collect(t, r)
	jobs := got["jobs"].Data.(metricdata.Sum[int64])
	require.True(t, jobs.IsMonotonic)
	require.Equal(t, metricdata.CumulativeTemporality, jobs.Temporality)
	require.Equal(t, []metricdata.DataPoint[int64]{{
		Attributes: *attribute.EmptySet(), StartTime: start, Time: later.End, Value: 7,
	}}, jobs.DataPoints)
	depth := got["depth"].Data.(metricdata.Gauge[float64])
	require.InDelta(t, 2, depth.DataPoints[0].Value, 0)
	latency := got["latency"].Data.(metricdata.ExponentialHistogram[int64])
	require.Equal(t, metricdata.CumulativeTemporality, latency.Temporality)
	require.Equal(t, []metricdata.ExponentialHistogramDataPoint[int64]{{
		Attributes: *attribute.EmptySet(), StartTime: start, Time: later.End, Count: 12, Sum: 300, Scale: 4, ZeroCount: 2,
		Min: metricdata.NewExtrema[int64](0), Max: metricdata.NewExtrema[int64](1000),
		PositiveBucket: metricdata.ExponentialBucket{Offset: 41, Counts: []uint64{3, 3, 2, 2}},
	}}, latency.DataPoints)
}

func TestTotalsBeginAnew(t *testing.T) {
	totals := otelsink.NewTotals()
	r := reader(t, totals.Producer(nil))
	require.NoError(t, totals.Write(t.Context(), second(counter("jobs", math.MaxInt64))))
	later := second(counter("jobs", 2))
	later.Start = start.Add(time.Minute)
	require.NoError(t, totals.Write(t.Context(), later))
	point := collect(t, r)["jobs"].Data.(metricdata.Sum[int64]).DataPoints[0]
	require.EqualValues(t, 2, point.Value)
	require.Equal(t, later.Start, point.StartTime)
}

func TestIdleExpiry(t *testing.T) {
	totals := otelsink.NewTotals(otelsink.WithIdleExpiry(time.Minute))
	r := reader(t, totals.Producer(nil))
	at := func(after time.Duration, points ...metricsbuffer.Point) {
		batch := second(points...)
		batch.Start, batch.End = start.Add(after), start.Add(after+time.Second)
		require.NoError(t, totals.Write(t.Context(), batch))
	}
	at(0, counter("jobs", 1), counter("gone", 3))
	at(40*time.Second, counter("jobs", 10))
	at(80 * time.Second)
	got := collect(t, r)
	require.Len(t, got, 1)
	require.EqualValues(t, 11, got["jobs"].Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	at(90*time.Second, counter("gone", 5))
	again := collect(t, r)["gone"].Data.(metricdata.Sum[int64]).DataPoints[0]
	require.EqualValues(t, 5, again.Value)
	require.Equal(t, start.Add(90*time.Second), again.StartTime)
}

// Two readers at once, one of which exports to a real receiver.
func TestReaders(t *testing.T) {
	receiver, exporter := startGRPC(t)
	totals := otelsink.NewTotals()
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(totals, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	defer buffer.Close()
	manual := sdk.NewManualReader(sdk.WithProducer(totals.Producer(buffer)))
	periodic := sdk.NewPeriodicReader(exporter, sdk.WithProducer(totals.Producer(buffer)),
		sdk.WithInterval(5*time.Millisecond))
	provider := sdk.NewMeterProvider(sdk.WithReader(manual), sdk.WithReader(periodic))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	record(buffer, func() {
		for range 20 {
			_ = collect(t, manual)
		}
	})
	require.NoError(t, provider.ForceFlush(t.Context()))
	last := receiver.last("jobs queue=a")
	require.True(t, last.cumulative)
	require.InDelta(t, recordedUpdates, last.value, 0)
	require.EqualValues(t, recordedUpdates, receiver.last("latency").count)
	require.InDelta(t, recordedSum, receiver.last("latency").sum, 0)
	require.EqualValues(t, recordedUpdates,
		collect(t, manual)["jobs"].Data.(metricdata.Sum[int64]).DataPoints[0].Value)
}

// periodic returns a provider that exports what the producer gives when it is flushed.
func periodic(exporter sdk.Exporter, producer sdk.Producer) *sdk.MeterProvider {
	return sdk.NewMeterProvider(sdk.WithReader(
		sdk.NewPeriodicReader(exporter, sdk.WithProducer(producer), sdk.WithInterval(time.Hour))))
}
