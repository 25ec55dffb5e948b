package otelsink_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
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

func TestProducer(t *testing.T) {
	producer := detached(t)
	r := reader(t, producer)
	require.Empty(t, collect(t, r))
	require.NoError(t, producer.Write(t.Context(), second(counter("jobs", 3), timer("latency"),
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 5})))
	later := second(counter("jobs", 4), timer("latency"),
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 2})
	later.Points[1].Max = 1000
	later.Points[1].Buckets.Offset = 41
	later.Start = start.Add(time.Minute)
	later.End = time.Now().Add(time.Hour).UTC()
	require.NoError(t, producer.Write(t.Context(), later))
	later.Points[1].Buckets.Counts[1] = 999 // the batch is the buffer's again

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

func TestProducerBeginsAnew(t *testing.T) {
	producer := detached(t)
	r := reader(t, producer)
	require.NoError(t, producer.Write(t.Context(), second(counter("jobs", math.MaxInt64))))
	later := second(counter("jobs", 2))
	later.Start = start.Add(time.Minute)
	require.NoError(t, producer.Write(t.Context(), later))
	point := collect(t, r)["jobs"].Data.(metricdata.Sum[int64]).DataPoints[0]
	require.EqualValues(t, 2, point.Value)
	require.Equal(t, later.Start, point.StartTime)
}

// A series that has ended is gone. One that comes back begins anew.
func TestEndedSeries(t *testing.T) {
	producer := detached(t)
	r := reader(t, producer)
	jobs, gone := counter("jobs", 1), counter("gone", 3)
	jobs.ID, gone.ID = 600, 601
	require.NoError(t, producer.Write(t.Context(), second(jobs, gone)))
	end := second(jobs)
	end.Ended = []metricsbuffer.Point{gone}
	require.NoError(t, producer.Write(t.Context(), end))
	got := collect(t, r)
	require.Len(t, got, 1)
	require.EqualValues(t, 2, got["jobs"].Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	gone.ID = 602
	again := second(gone)
	again.Start, again.Ended = start.Add(time.Minute), end.Ended
	require.NoError(t, producer.Write(t.Context(), again))
	back := collect(t, r)["gone"].Data.(metricdata.Sum[int64]).DataPoints[0]
	require.EqualValues(t, 3, back.Value)
	require.Equal(t, again.Start, back.StartTime)
}

// Series end at rest, too: nothing is recorded, so that only readers can notice. Series in use stay, and so does a
// gauge that was set once if an instrument holds it.
func TestEndAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		producer := newProducer(t)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(producer), metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		r := reader(t, producer)
		version := buffer.Gauge("version")
		version.Set(7)
		for i := range 10 {
			buffer.IncrCounter("jobs", 1)
			buffer.SetGauge("depth", 1)
			buffer.IncrTimer("latency", 1)
			buffer.IncrCounter(fmt.Sprint("churn", i), 1)
			require.Less(t, len(collect(t, r)), 4+4)
			time.Sleep(50 * time.Second)
		}
		got := collect(t, r)
		require.EqualValues(t, 10, got["jobs"].Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		time.Sleep(2 * time.Minute)
		_ = collect(t, r) // the buffer finds that the others are idle
		got = collect(t, r)
		require.Len(t, got, 1)
		require.InDelta(t, 7, got["version"].Data.(metricdata.Gauge[float64]).DataPoints[0].Value, 0)
		runtime.KeepAlive(version)
		require.NoError(t, buffer.Close())
	})
}

// A reader may keep its metrics: later batches do not change them.
func TestProducerSharesNothing(t *testing.T) {
	producer := detached(t)
	r := reader(t, producer)
	require.NoError(t, producer.Write(t.Context(), second(timer("latency"))))
	first := collect(t, r)["latency"].Data.(metricdata.ExponentialHistogram[int64]).DataPoints[0]
	for range 3 {
		require.NoError(t, producer.Write(t.Context(), second(timer("latency"))))
	}
	require.Equal(t, []uint64{3, 0, 2}, first.PositiveBucket.Counts)
	second := collect(t, r)["latency"].Data.(metricdata.ExponentialHistogram[int64]).DataPoints[0]
	require.Equal(t, []uint64{12, 0, 8}, second.PositiveBucket.Counts)
}

// A Producer that NewProducer has not made tells series apart, too.
func TestZeroProducer(t *testing.T) {
	producer := new(otelsink.Producer)
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(producer)))
	buffer.IncrCounter("jobs", 1, tag{Key: "queue", Value: "a"})
	buffer.IncrCounter("jobs", 2, tag{Key: "queue", Value: "\xff"})
	scopes, err := producer.Produce(t.Context())
	require.NoError(t, err)
	points := scopes[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, points, 1)
	require.Equal(t, attribute.NewSet(attribute.String("queue", "a")), points[0].Attributes)
	require.EqualValues(t, 2, buffer.Stats().Sinks[0].Dropped.Increments)
	require.NoError(t, buffer.Close())
}

func TestProducerWithoutBuffer(t *testing.T) {
	producer := newProducer(t)
	r := reader(t, producer)
	var rm metricdata.ResourceMetrics
	err := r.Collect(t.Context(), &rm)
	require.ErrorContains(t, err, "otelsink: the producer has no buffer")
	require.ErrorContains(t, err, "metricsbuffer.WithSink(producer)")

	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(producer))
	require.NoError(t, err)
	buffer.IncrCounter("jobs", 1)
	require.Len(t, collect(t, r), 1)
	_, err = metricsbuffer.New(metricsbuffer.WithSink(producer))
	require.ErrorContains(t, err, "otelsink: the producer has been given to another buffer; make one for each")
	require.NoError(t, buffer.Close())
	require.Len(t, collect(t, r), 1, "totals outlive the buffer")
}

// Two readers at once, one of which exports to a real receiver.
func TestReaders(t *testing.T) {
	receiver, exporter := startGRPC(t)
	producer := newProducer(t)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(producer))
	require.NoError(t, err)
	defer buffer.Close()
	manual := sdk.NewManualReader(sdk.WithProducer(producer))
	periodic := sdk.NewPeriodicReader(exporter, sdk.WithProducer(producer), sdk.WithInterval(5*time.Millisecond))
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

// periodic returns a provider that exports the producer's metrics when it is flushed.
func periodic(exporter sdk.Exporter, producer sdk.Producer) *sdk.MeterProvider {
	return sdk.NewMeterProvider(sdk.WithReader(
		sdk.NewPeriodicReader(exporter, sdk.WithProducer(producer), sdk.WithInterval(time.Hour))))
}

// TestDescriptions: a metric has the description and the unit of its name, in both ways to OpenTelemetry.
func TestDescriptions(t *testing.T) {
	received, exporter := startGRPC(t)
	producer := newProducer(t)
	r := reader(t, producer)
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(newSink(t, exporter)),
		metricsbuffer.WithSink(producer))
	require.NoError(t, err)
	defer buffer.Close()
	buffer.Describe("depth", "Jobs that wait.", "{job}")
	buffer.IncrCounter("jobs", 1, tag{Key: "k", Value: "v"})
	buffer.IncrCounter("jobs", 1)
	buffer.IncrTimer("latency", 1)
	buffer.SetGauge("depth", 1)
	buffer.ObserveHistogram("size", "By", 1)
	require.NoError(t, buffer.Flush(t.Context()))
	require.Equal(t, "Jobs that wait. {job}", collect(t, r)["depth"].Description+" "+collect(t, r)["depth"].Unit)
	buffer.Describe("jobs", "Jobs \xff\n\"done\".", "1")
	buffer.Describe("latency", "Time of a job.", "h")
	buffer.Describe("size", "Size of a job.", "h")
	require.NoError(t, buffer.Flush(t.Context()))
	want := map[string]string{
		"jobs": "Jobs \ufffd\n\"done\".|1", "latency": "Time of a job.|ns", "size": "Size of a job.|By",
		"depth": "Jobs that wait.|{job}",
	}
	got := make(map[string]string)
	for name, m := range collect(t, r) {
		got[name] = m.Description + "|" + m.Unit
	}
	require.Equal(t, want, got)
	clear(got)
	metrics := 0
	for _, m := range metricsOf(received.exported()) {
		got[m.GetName()] = m.GetDescription() + "|" + m.GetUnit()
		metrics++
	}
	require.Equal(t, want, got)
	require.Equal(t, 4+3, metrics, "series of one name are one metric; the second batch has those that were described")
}
