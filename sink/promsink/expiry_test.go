package promsink_test

import (
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// expiring is a buffer that forgets series after a minute, served by a registry.
func expiring(t *testing.T, opts ...metricsbuffer.SinkOption) (*metricsbuffer.Buffer, *prometheus.Registry) {
	t.Helper()
	sink := newSink(t)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink, opts...), metricsbuffer.WithIdleExpiry(time.Minute))
	require.NoError(t, err)
	return buffer, registryOf(sink)
}

// Series that come and go, with their names, leave nothing behind; one that comes back begins anew.
func TestEndedSeries(t *testing.T) {
	sink := detached(t)
	registry := registryOf(sink)
	a, b := tag{Key: "k", Value: "a"}, tag{Key: "k", Value: "b"}
	withID := func(id uint32, p metricsbuffer.Point) metricsbuffer.Point {
		p.ID = id
		return p
	}
	jobsA, jobsB, once := withID(600, counter("jobs", 1, a)), withID(601, counter("jobs", 2, b)), counter("gone.once", 3)
	require.NoError(t, sink.Write(t.Context(), second(jobsA, jobsB, once)))
	require.ErrorContains(t, sink.Write(t.Context(), second(counter("gone-once", 1))), "gone")
	end := second(jobsA)
	end.Ended = []metricsbuffer.Point{jobsB, once, counter("gone-once", 0)}
	require.NoError(t, sink.Write(t.Context(), end))
	require.Equal(t, "# HELP jobs_total The counter \"jobs\".\n# TYPE jobs_total counter\njobs_total{k=\"a\"} 2\n",
		text(t, registry))

	again := second(withID(602, counter("jobs", 5, b)), counter("gone-once", 7))
	again.Start = time.Unix(90, 0)
	again.Ended = end.Ended // the Write before failed in a sink around this one
	require.NoError(t, sink.Write(t.Context(), again), "its name is free")
	families := scrape(t, registry)
	require.InDelta(t, 7, families["gone_once_total"].Metric[0].Counter.GetValue(), 0)
	back := families["jobs_total"].Metric[1].Counter
	require.InDelta(t, 5, back.GetValue(), 0)
	require.True(t, again.Start.Equal(back.GetCreatedTimestamp().AsTime()))
}

// Series end at rest, too: nothing is recorded, so that only scrapes can notice.
func TestEndAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer, registry := expiring(t)
		buffer.IncrCounter("jobs", 1)
		buffer.SetGauge("depth", 1)
		require.Len(t, scrape(t, registry), 2)
		time.Sleep(59 * time.Second)
		require.Len(t, scrape(t, registry), 2)
		time.Sleep(time.Minute)
		_ = scrape(t, registry) // the buffer finds that the series are idle
		require.Empty(t, scrape(t, registry))
		require.NoError(t, buffer.Close())
	})
}

// Every kind of series stays while it is in use, or while an instrument holds it. Nobody needs to scrape for the others
// to be forgotten.
func TestInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer, registry := expiring(t, metricsbuffer.SinkInterval(time.Second))
		version := buffer.Gauge("version")
		version.Set(3)
		buffer.IncrCounter("idle", 1)
		for i := range 10 {
			if i > 2 {
				require.Len(t, scrape(t, registry), 6)
			}
			buffer.IncrCounter("jobs", 1)
			buffer.IncrTimer("latency", 1)
			buffer.SetGauge("depth", 7)
			buffer.SetGauge("churn", 1, tag{Key: "i", Value: strconv.Itoa(i)})
			buffer.Histogram("size", "").Observe(1)
			time.Sleep(40 * time.Second)
		}
		families := scrape(t, registry)
		require.Len(t, families, 6)
		require.InDelta(t, 10, families["jobs_total"].Metric[0].Counter.GetValue(), 0)
		require.EqualValues(t, 10, families["latency_seconds"].Metric[0].Histogram.GetSampleCount())
		require.EqualValues(t, 10, families["size"].Metric[0].Histogram.GetSampleCount())
		require.InDelta(t, 7, families["depth"].Metric[0].Gauge.GetValue(), 0)
		require.InDelta(t, 3, families["version"].Metric[0].Gauge.GetValue(), 0, "set once, and held")
		require.Less(t, len(families["churn"].Metric), 4)
		runtime.KeepAlive(version)
		require.NoError(t, buffer.Close())
	})
}

// A series that was dropped because another one had its name is served when the buffer has forgotten that one.
func TestNameIsFreeAgain(t *testing.T) {
	sink := detached(t)
	registry := registryOf(sink)
	owner, other := counter("a.b", 1), counter("a-b", 2)
	require.NoError(t, sink.Write(t.Context(), second(owner)))
	require.ErrorContains(t, sink.Write(t.Context(), second(other)), "a-b")
	end := second(other)
	end.Ended = []metricsbuffer.Point{owner}
	require.NoError(t, sink.Write(t.Context(), end))
	require.InDelta(t, 2, scrape(t, registry)["a_b_total"].Metric[0].Counter.GetValue(), 0)
}
