package promsink_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
)

// Series that come and go, with their names, leave nothing behind; one that comes back begins anew.
func TestIdleExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := detached(t, promsink.WithIdleExpiry(time.Minute))
		registry := registryOf(sink)
		begin := time.Now()
		at := func(after time.Duration, points ...metricsbuffer.Point) error {
			time.Sleep(time.Until(begin.Add(after)))
			batch := second(points...)
			batch.Start, batch.End = time.Now(), time.Now().Add(time.Second)
			return sink.Write(t.Context(), batch)
		}
		a, b := tag{Key: "k", Value: "a"}, tag{Key: "k", Value: "b"}
		require.NoError(t, at(0, counter("jobs", 1, a), counter("jobs", 2, b), counter("gone.once", 3)))
		require.ErrorContains(t, at(0, counter("gone-once", 1)), "gone")
		require.NoError(t, at(40*time.Second, counter("jobs", 10, a)))
		require.NoError(t, at(80*time.Second))
		require.Equal(t, "# HELP jobs_total The counter \"jobs\".\n# TYPE jobs_total counter\njobs_total{k=\"a\"} 11\n",
			text(t, registry))

		require.NoError(t, at(90*time.Second, counter("jobs", 5, b), counter("gone-once", 7)), "its name is free")
		families := scrape(t, registry)
		require.InDelta(t, 7, families["gone_once_total"].Metric[0].Counter.GetValue(), 0)
		again := families["jobs_total"].Metric[1].Counter
		require.InDelta(t, 5, again.GetValue(), 0)
		require.True(t, begin.Add(90*time.Second).Equal(again.GetCreatedTimestamp().AsTime()))
	})
}

// Series end at rest, too: nothing is recorded, so that only scrapes can notice. Another buffer's sink may run.
func TestExpiryAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer, registry := served(t, promsink.WithIdleExpiry(time.Minute))
		buffer.IncrCounter("jobs", 1)
		buffer.SetGauge("depth", 1)
		require.Len(t, scrape(t, registry), 2)
		time.Sleep(59 * time.Second)
		require.Len(t, scrape(t, registry), 2)
		time.Sleep(time.Second)
		require.Empty(t, scrape(t, registry))
		require.NoError(t, buffer.Close())
	})
}

// Every kind of series stays while it is in use, and nobody needs to scrape for series to be forgotten.
func TestInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t, promsink.WithIdleExpiry(time.Minute))
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink, metricsbuffer.SinkInterval(time.Second)))
		require.NoError(t, err)
		registry := registryOf(sink)
		buffer.IncrCounter("idle", 1)
		for i := range 10 {
			if i > 1 {
				require.Len(t, scrape(t, registry), 5)
			}
			buffer.IncrCounter("jobs", 1)
			buffer.IncrTimer("latency", 1)
			buffer.SetGauge("depth", 7)
			buffer.SetGauge("churn", 1, tag{Key: "i", Value: strconv.Itoa(i)})
			buffer.Histogram("size", "").Observe(1)
			time.Sleep(40 * time.Second)
		}
		families := scrape(t, registry)
		require.Len(t, families, 5)
		require.InDelta(t, 10, families["jobs_total"].Metric[0].Counter.GetValue(), 0)
		require.EqualValues(t, 10, families["latency_seconds"].Metric[0].Histogram.GetSampleCount())
		require.EqualValues(t, 10, families["size"].Metric[0].Histogram.GetSampleCount())
		require.InDelta(t, 7, families["depth"].Metric[0].Gauge.GetValue(), 0)
		require.Len(t, families["churn"].Metric, 1)
		require.NoError(t, buffer.Close())
	})
}
