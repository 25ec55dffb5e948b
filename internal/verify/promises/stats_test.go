package promises

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestStatsOfOverflow(t *testing.T) {
	const others = 200 // so that overflow series are not in the first chunks
	b, _ := newBuffer(t, metricsbuffer.WithMaxSeries(3+2*others))
	for i := range others {
		b.IncrCounter("other", 1, tag("i", strconv.Itoa(i)))
		b.IncrTimer("other", 1, tag("i", strconv.Itoa(i)))
	}
	b.IncrCounter("a", 1)
	b.SetGauge("a", 1)
	b.IncrTimer("a", 1)
	for range 3 {
		b.IncrCounter("c", 5, tag("user", "1"))
		b.IncrTimer("t", 7, tag("user", "1"))
	}
	b.IncrCounter("d", 2)
	b.IncrTimer("t", 0)
	b.Histogram("h", "rows").Observe(7)
	b.FractionCounter("e", 2).Add(0.03)
	for range 2 {
		stats := b.Stats()
		require.Equal(t, metricsbuffer.Totals{Increments: 20, Observations: 5}, stats.Overflowed)
		require.Equal(t, []metricsbuffer.Overflow{
			{Name: "c", Kind: metricsbuffer.KindCounter, Count: 15},
			{Name: "t", Kind: metricsbuffer.KindTimer, Count: 4},
			{Name: "e", Kind: metricsbuffer.KindCounter, Decimals: 2, Count: 3},
			{Name: "d", Kind: metricsbuffer.KindCounter, Count: 2},
			{Name: "h", Kind: metricsbuffer.KindHistogram, Unit: "rows", Count: 1},
		}, stats.Overflows)
		require.Equal(t, 8+2*others, stats.Series)
		require.NoError(t, b.Flush(t.Context()))
	}
}

func TestStatsOfTheBuffer(t *testing.T) {
	b, _ := newBuffer(t)
	empty := b.Stats()
	require.Contains(t, []string{"membarrier", "FlushProcessWriteBuffers", "stop-the-world", "atomics"}, empty.Fence)
	require.Zero(t, empty.Shards)
	require.Positive(t, empty.Flips)
	b.IncrTimer("t", time.Second)
	b.IncrCounter("c", 1)
	stats := b.Stats()
	require.Greater(t, stats.Bytes, empty.Bytes)
	require.Less(t, stats.Bytes-empty.Bytes, int64(32<<10))
	require.Equal(t, 2, stats.Sinks[0].PendingSeries)
	require.Equal(t, empty.Flips+1+int64(stats.Shards), stats.Flips, "the common bank's, and each shard's")
	require.NoError(t, b.Flush(t.Context()))
	stats = b.Stats()
	require.Zero(t, stats.Sinks[0].PendingSeries)
	require.EqualValues(t, 1, stats.Sinks[0].Batches)
	require.Positive(t, stats.Sinks[0].LastDuration)
}

func TestSelfMetrics(t *testing.T) {
	recorder := new(sinktest.Recorder)
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSelfMetrics(),
		metricsbuffer.WithSink(recorder),
		metricsbuffer.WithSink(sinktest.Failing(recorder, sinktest.Every(1)), metricsbuffer.SinkName("failing")))
	require.NoError(t, err)
	b.IncrTimer("t", -1)
	require.Error(t, b.Flush(t.Context()))
	require.Error(t, b.Flush(t.Context()))
	total := func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) metricsbuffer.Point {
		return recorder.Total(kind, "metricsbuffer."+name, tags...)
	}
	require.EqualValues(t, 1, total(metricsbuffer.KindCounter, "sink.failures", tag("sink", "failing")).Count)
	require.EqualValues(t, 1, total(metricsbuffer.KindCounter, "sink.batches", tag("sink", "recorder")).Count)
	require.EqualValues(t, 1, total(metricsbuffer.KindCounter, "negatives").Count)
	require.Positive(t, total(metricsbuffer.KindCounter, "flips").Count)
	require.Positive(t, total(metricsbuffer.KindGauge, "series").Value)
	require.Positive(t, total(metricsbuffer.KindGauge, "bytes").Value)
	require.Positive(t, total(metricsbuffer.KindGauge, "shards").Value)
	require.Positive(t, total(metricsbuffer.KindGauge, "sink.pending_series", tag("sink", "failing")).Value)
	requireBalance(t, b.Stats())
	require.Error(t, b.Close())
}

// TestSelfMetricsOfFailures: the third batch tells of the drops of the first one, and of the second one, which failed.
func TestSelfMetricsOfFailures(t *testing.T) {
	var batches []map[string]metricsbuffer.Point
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSelfMetrics(), metricsbuffer.WithSink(
		metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
			points := make(map[string]metricsbuffer.Point)
			for i, p := range batch.Points {
				points[p.Name] = p
				if len(batches) == 0 && (p.Name == "c" || p.Name == "t") {
					batch.Drop(i, "the same reason")
				}
			}
			batches = append(batches, points)
			if len(batches) == 2 {
				return errors.New("injected")
			}
			return nil
		})))
	require.NoError(t, err)
	b.IncrCounter("c", 2, tag("overflow", "true"))
	b.IncrTimer("t", 1, tag("overflow", "true"))
	require.NoError(t, b.Flush(t.Context()))
	require.Error(t, b.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	latest := batches[2]
	require.EqualValues(t, 3, latest["metricsbuffer.overflowed"].Count)
	require.EqualValues(t, 2, latest["metricsbuffer.sink.dropped_points"].Count)
	require.InDelta(t, len(batches[1]), latest["metricsbuffer.sink.pending_series"].Value, 0)
	require.Greater(t, latest["metricsbuffer.bytes"].Value, 1000.)
	require.ErrorContains(t, b.Stats().Sinks[0].LastError, "injected", "also after a batch that was acknowledged")
	require.NoError(t, b.Close())
}

// TestDroppedSeries: the series that are left after Close are counted, gauges included.
func TestDroppedSeries(t *testing.T) {
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(
		metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return errors.New("injected") })))
	require.NoError(t, err)
	b.IncrCounter("a", 1)
	b.IncrCounter("b", 1)
	b.IncrTimer("t", 1)
	b.SetGauge("g", 1)
	require.Error(t, b.Close())
	require.Equal(t, 4, b.Stats().Sinks[0].DroppedSeries)
}

// TestBytesOfABatch: the values that a sink is writing count as memory.
func TestBytesOfABatch(t *testing.T) {
	const n = 10_000
	var b *metricsbuffer.Buffer
	var during int64
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(
		metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
			during = b.Stats().Bytes
			return nil
		})))
	require.NoError(t, err)
	for i := range n {
		b.IncrCounter(fmt.Sprint(i), 1)
	}
	require.NoError(t, b.Flush(t.Context()))
	require.Greater(t, during-b.Stats().Bytes, int64(8*n*9/10))
	require.NoError(t, b.Close())
}

// TestLocalOfAnotherBuffer: the series of two buffers are told apart, also where their slots are the same.
func TestLocalOfAnotherBuffer(t *testing.T) {
	one, _ := newBuffer(t)
	other, _ := newBuffer(t)
	local := one.Local()
	local.Counter(one.Counter("c")).Inc()
	local.Timer(one.Timer("t")).Observe(1)
	local.Histogram(one.Histogram("h", "")).Observe(1)
	require.Panics(t, func() { local.Counter(other.Counter("c")) })
	require.Panics(t, func() { local.Timer(other.Timer("t")) })
	require.Panics(t, func() { local.Histogram(other.Histogram("h", "")) })
}
