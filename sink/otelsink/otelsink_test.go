package otelsink_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/otelsink"
)

type tag = metricsbuffer.Tag

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func counter(name string, count int64, tags ...tag) metricsbuffer.Point {
	return metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Count: count, Tags: tags}
}

func timer(name string) metricsbuffer.Point {
	return metricsbuffer.Point{
		Kind: metricsbuffer.KindTimer, Name: name, Count: 6, Sum: 150, Min: 0, Max: 100,
		Buckets: &metricsbuffer.Buckets{Zeros: 1, Offset: 40, Counts: []uint64{0, 3, 0, 2, 0}},
	}
}

func newSink(t testing.TB, exporter sdk.Exporter) *otelsink.Sink {
	t.Helper()
	sink, err := otelsink.New(exporter)
	require.NoError(t, err)
	return sink
}

func newProducer(t testing.TB, opts ...otelsink.Option) *otelsink.Producer {
	t.Helper()
	producer, err := otelsink.NewProducer(opts...)
	require.NoError(t, err)
	return producer
}

// detached is a producer whose only batches are those that the test writes.
func detached(t testing.TB, opts ...otelsink.Option) *otelsink.Producer {
	t.Helper()
	producer := newProducer(t, opts...)
	require.NoError(t, producer.Attach(func(context.Context) error { return nil }))
	return producer
}

func TestKinds(t *testing.T) {
	receiver, exporter := startGRPC(t)
	sink := newSink(t, exporter)
	require.NoError(t, sink.Write(t.Context(), second(
		counter("jobs", 3, tag{Key: "a", Value: "1"}, tag{Key: "b", Value: ""}),
		counter("jobs", 4),
		metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "cost", Count: 125, Decimals: 2},
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: -1.5},
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "infinite", Value: math.Inf(1)},
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "size", Unit: "bytes", Count: 1, Sum: 1, Min: 1, Max: 1,
			Buckets: &metricsbuffer.Buckets{Offset: -1, Counts: []uint64{1}}},
		timer("latency"),
	)))
	end := start.Add(time.Second)
	require.Equal(t, map[string]seen{
		"jobs a=1 b=": {kind: "sum, monotonic: true", value: 3, start: start, end: end},
		"jobs":        {kind: "sum, monotonic: true", value: 4, start: start, end: end},
		"cost":        {kind: "sum, monotonic: true", value: 1.25, start: start, end: end},
		"depth":       {kind: "gauge", value: -1.5, start: start, end: end},
		"infinite":    {kind: "gauge", value: math.Inf(1), start: start, end: end},
		"size": {kind: "histogram of scale 4", unit: "bytes", start: start, end: end, count: 1, sum: 1, lowest: 1, highest: 1,
			buckets: map[int32]uint64{-1: 1}},
		"latency": {kind: "histogram of scale 4", unit: "ns", start: start, end: end, count: 6, sum: 150, highest: 100,
			zeros: 1, buckets: map[int32]uint64{41: 3, 43: 2}},
	}, receiver.totals)
}

// A histogram without observations has no minimum and no maximum.
func TestNewSeries(t *testing.T) {
	producer := detached(t)
	empty := timer("latency")
	empty.Count, empty.Sum, empty.Min, empty.Max, empty.Buckets = 0, 0, 0, 0, new(metricsbuffer.Buckets)
	require.NoError(t, producer.Write(t.Context(), second(empty)))
	point := collect(t, reader(t, producer))["latency"].Data.(metricdata.ExponentialHistogram[int64]).DataPoints[0]
	_, hasMin := point.Min.Value()
	_, hasMax := point.Max.Value()
	require.False(t, hasMin || hasMax)
	require.Zero(t, point.Count)
}

func TestDropped(t *testing.T) {
	receiver, exporter := startGRPC(t)
	batch := second(
		counter("fits", 1),
		counter("negative", math.MinInt64),
		counter("name\xff", 1),
		counter("key", 1, tag{Key: "\xff", Value: "v"}),
		counter("value", 1, tag{Key: "k", Value: "\xff"}),
		counter("twice", 1, tag{Key: "k", Value: "1"}, tag{Key: "k", Value: "2"}),
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "size", Unit: "\xff", Count: 1},
		metricsbuffer.Point{Kind: 200, Name: "new"},
	)
	for _, sink := range []metricsbuffer.Sink{newSink(t, exporter), newProducer(t)} {
		require.NoError(t, sink.Write(t.Context(), batch))
		for i, want := range []string{"", "negative", "UTF-8", "UTF-8", "UTF-8", "two values", "UTF-8", "kind"} {
			reason, dropped := batch.Dropped(i)
			require.Equal(t, want != "", dropped)
			require.Contains(t, reason, want)
		}
	}
	require.Len(t, receiver.totals, 1)
}

// A batch that is too large for one request goes in several, each of which is acknowledged by itself.
func TestLargeBatch(t *testing.T) {
	receiver, exporter := startGRPC(t)
	points := make([]metricsbuffer.Point, 2500)
	for i := range points {
		points[i] = counter(fmt.Sprint("counter", i), 1)
	}
	batch := second(points...)
	failing := &flaky{Exporter: exporter, failAt: 3}
	require.ErrorIs(t, newSink(t, failing).Write(t.Context(), batch), errInjected)
	require.Equal(t, 2000, batch.Acknowledged())
	require.Equal(t, 2, receiver.exports)

	require.NoError(t, newSink(t, failing).Write(t.Context(), second(points[2000:]...)))
	require.Len(t, receiver.totals, 2500)
	for key := range receiver.totals {
		require.InDelta(t, 1, receiver.total(key).value, 0, key)
	}
}

// Each batch has its own times. An exporter may keep its metrics: the next batch does not change them.
func TestDeltas(t *testing.T) {
	receiver, exporter := startGRPC(t)
	keeping := &keeping{Exporter: exporter}
	sink := newSink(t, keeping)
	for i := range 3 {
		batch := second(counter("jobs", 1), timer("latency"))
		batch.Start, batch.End = start.Add(time.Duration(i)*time.Minute), start.Add(time.Duration(i+1)*time.Minute)
		require.NoError(t, sink.Write(t.Context(), batch))
		for _, key := range []string{"jobs", "latency"} {
			require.Equal(t, batch.Start, receiver.last(key).start)
			require.Equal(t, batch.End, receiver.last(key).end)
			require.False(t, receiver.last(key).cumulative)
		}
		clear(batch.Points[1].Buckets.Counts) // the buffer uses them again
	}
	require.Len(t, keeping.histograms, 3)
	for _, h := range keeping.histograms {
		require.Equal(t, []uint64{3, 0, 2}, h.DataPoints[0].PositiveBucket.Counts)
	}
}

// A keeping exporter keeps histograms.
type keeping struct {
	sdk.Exporter
	histograms []metricdata.ExponentialHistogram[int64]
}

func (k *keeping) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.ExponentialHistogram[int64]); ok {
			k.histograms = append(k.histograms, h)
		}
	}
	return k.Exporter.Export(ctx, rm)
}

type flaky struct {
	sdk.Exporter
	exports, failAt int
}

var errInjected = errors.New("injected")

func (f *flaky) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	if f.exports++; f.exports == f.failAt {
		return errInjected
	}
	return f.Exporter.Export(ctx, rm)
}

// The protocol forbids to repeat a request that was taken in part.
func TestPartialSuccess(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := begin(t)
			receiver.answer = &collector.ExportMetricsPartialSuccess{RejectedDataPoints: 1, ErrorMessage: "too old"}
			batch := second(counter("a", 1), counter("b", 1))
			require.ErrorContains(t, newSink(t, exporter).Write(t.Context(), batch), "too old (1 metric data points rejected)")
			require.Equal(t, 2, batch.Acknowledged())
		})
	}
}

// A message without rejected points is a warning. The batch was taken, so it is not a failure.
func TestWarning(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := begin(t)
			receiver.answer = &collector.ExportMetricsPartialSuccess{ErrorMessage: "use another port"}
			var warnings []string
			before := otel.GetErrorHandler()
			otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { warnings = append(warnings, err.Error()) }))
			defer otel.SetErrorHandler(before)

			batch := second(counter("a", 1), counter("b", 1))
			require.NoError(t, newSink(t, exporter).Write(t.Context(), batch))
			require.Equal(t, 2, batch.Acknowledged())
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], "use another port")
			require.Contains(t, warnings[0], "this is a warning, all points were taken")

			buffer, err := metricsbuffer.New(metricsbuffer.WithSink(newSink(t, exporter)))
			require.NoError(t, err)
			buffer.IncrCounter("a", 3)
			require.NoError(t, buffer.Flush(t.Context()))
			stats := buffer.Stats().Sinks[0]
			require.EqualValues(t, 3, stats.Acknowledged.Increments)
			require.Zero(t, stats.Failures)
			require.NoError(t, stats.LastError)
			require.Len(t, warnings, 2)
			require.NoError(t, buffer.Close())
		})
	}
}

// The error tells of all rejected points, also if a later export fails. That one is repeated.
func TestPartialSuccesses(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := begin(t)
			receiver.answer = &collector.ExportMetricsPartialSuccess{RejectedDataPoints: 1, ErrorMessage: "too old"}
			points := make([]metricsbuffer.Point, 2500)
			for i := range points {
				points[i] = counter(fmt.Sprint("c", i), 1)
			}
			batch := second(points...)
			err := newSink(t, &flaky{Exporter: exporter, failAt: 3}).Write(t.Context(), batch)
			require.ErrorIs(t, err, errInjected)
			require.Equal(t, 2, strings.Count(err.Error(), "too old (1 metric data points rejected)"), err)
			require.Equal(t, 2000, batch.Acknowledged())

			batch = second(points...)
			err = newSink(t, exporter).Write(t.Context(), batch)
			require.Equal(t, 3, strings.Count(err.Error(), "too old (1 metric data points rejected)"), err)
			require.Equal(t, 2500, batch.Acknowledged())
		})
	}
}

// An error that quotes the text of a partial success is none: the points are not lost.
func TestTextOfPartialSuccess(t *testing.T) {
	_, exporter := startGRPC(t)
	quoting := status.Error(codes.Unavailable, "upstream said: OTLP partial success: x (1 metric data points rejected)")
	batch := second(counter("a", 1))
	require.ErrorIs(t, newSink(t, failing{exporter, quoting}).Write(t.Context(), batch), quoting)
	require.Zero(t, batch.Acknowledged())
}

type failing struct {
	sdk.Exporter
	err error
}

func (f failing) Export(context.Context, *metricdata.ResourceMetrics) error { return f.err }

var protocols = map[string]func(testing.TB) (*receiver, sdk.Exporter){"gRPC": startGRPC, "HTTP": startHTTP}

// record records the same from many goroutines, two million updates in all, and calls between in the middle.
func record(buffer *metricsbuffer.Buffer, between func()) {
	jobs := buffer.Counter("jobs", tag{Key: "queue", Value: "a"})
	latency := buffer.Timer("latency")
	for part := range 2 {
		var writing sync.WaitGroup
		for range writers {
			writing.Go(func() {
				for i := range time.Duration(half) {
					jobs.Inc()
					latency.Observe(i)
				}
			})
		}
		if part == 0 {
			between()
		}
		writing.Wait()
	}
}

const (
	writers         = 8
	half            = 65_536 // of the updates that each makes of a series
	recordedUpdates = 2 * writers * half
	recordedSum     = float64(2 * writers * (half - 1) * half / 2) // too large for an int of 32 bits
)

// The receiver stops while updates are recorded, and comes back: the totals are exact.
func TestRestart(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := begin(t)
			buffer, err := metricsbuffer.New(
				metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(5*time.Millisecond)))
			require.NoError(t, err)
			failures := func() int64 { return buffer.Stats().Sinks[0].Failures }
			record(buffer, func() {
				arrived := func() bool { return receiver.total("jobs queue=a").value > 0 }
				require.Eventually(t, arrived, time.Minute, time.Millisecond)
				receiver.stop()
				buffer.IncrCounter("stopped", 1)
				require.Eventually(t, func() bool { return failures() > 0 }, time.Minute, time.Millisecond)
				receiver.Start()
			})
			require.Eventually(t, func() bool { return buffer.Flush(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
			require.NoError(t, buffer.Close())

			require.InDelta(t, recordedUpdates, receiver.total("jobs queue=a").value, 0)
			latency := receiver.total("latency")
			require.EqualValues(t, recordedUpdates, latency.count)
			require.InDelta(t, recordedSum, latency.sum, 0)
			require.EqualValues(t, 2*writers, latency.zeros)
			require.InDelta(t, half-1, latency.highest, 0)
			inBuckets := latency.zeros
			for _, n := range latency.buckets {
				inBuckets += n
			}
			require.Equal(t, latency.count, inBuckets)
			require.EqualValues(t, 2*writers, latency.buckets[-1], "of ones")
			require.EqualValues(t, 2*writers*2, latency.buckets[16+9]+latency.buckets[16+15], "of threes and fours")
			require.Positive(t, failures())
		})
	}
}
