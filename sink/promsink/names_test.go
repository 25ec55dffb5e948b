package promsink_test

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
)

func TestCollisions(t *testing.T) {
	timer := func(name string) metricsbuffer.Point {
		return metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: name, Count: 1,
			Buckets: &metricsbuffer.Buckets{Zeros: 1}}
	}
	a, b := tag{Key: "k", Value: "a"}, tag{Key: "k", Value: "b"}
	for _, c := range []struct {
		first, second       metricsbuffer.Point
		one, two, contested string
	}{
		{counter("a.b", 1), counter("a-b", 2), `counter "a.b"`, `counter "a-b"`, "a_b_total"},
		{counter("a.b", 1, a), counter("a-b", 2, b), `counter "a.b"{"k"="a"}`, `counter "a-b"{"k"="b"}`, "a_b_total"},
		{counter("a", 1), counter("a.total", 2), `counter "a"`, `counter "a.total"`, "a_total"},
		{counter("a", 1), gauge("a", 2), `counter "a"`, `gauge "a"`, "a"},
		{counter("a", 1), gauge("a.total", 2), `counter "a"`, `gauge "a.total"`, "a_total"},
		{counter("a", 1), gauge("a.created", 2), `counter "a"`, `gauge "a.created"`, "a_created"},
		{timer("a"), gauge("a.seconds.created", 2), `timer "a"`, `gauge "a.seconds.created"`, "a_seconds_created"},
		{timer("a"), gauge("a.seconds.count", 2), `timer "a"`, `gauge "a.seconds.count"`, "a_seconds_count"},
		{gauge("a.seconds.count", 2), timer("a"), `gauge "a.seconds.count"`, `timer "a"`, "a_seconds_count"},
		{counter("a", 1, tag{Key: "x.y", Value: "1"}), counter("a", 1, tag{Key: "x_y", Value: "1"}),
			`counter "a"{"x.y"="1"}`, `counter "a"{"x_y"="1"}`, "a_total"},
		{counter("a", 1, tag{Key: "x", Value: ""}), counter("a", 1), `counter "a"{"x"=""}`, `counter "a"`, "a_total"},
	} {
		sink := promsink.New()
		batch := second(c.first, c.second)
		err := sink.Write(t.Context(), batch)
		require.ErrorContains(t, err, "promsink: "+c.one+" and "+c.two+" would both be "+c.contested+":")
		_, dropped := batch.Dropped(0)
		require.False(t, dropped)
		reason, dropped := batch.Dropped(1)
		require.True(t, dropped)
		require.Contains(t, reason, "another's")
		require.Equal(t, 2, batch.Acknowledged())

		batch = second(c.second, c.first)
		require.NoError(t, sink.Write(t.Context(), batch), "reported once")
		_, dropped = batch.Dropped(0)
		require.True(t, dropped, "and dropped again")
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(sink.Collector(nil))
		_ = text(t, registry)
	}
}

func TestDropped(t *testing.T) {
	sink := promsink.New()
	batch := second(
		counter("up", 5),
		counter("same", 1, tag{Key: "k", Value: "1"}, tag{Key: "k", Value: "2"}),
		counter("alike", 1, tag{Key: "k-", Value: "1"}, tag{Key: "k_", Value: "2"}),
		counter("bytes", 1, tag{Key: "k", Value: "\xff"}),
		metricsbuffer.Point{Kind: 200, Name: "new"},
	)
	require.NoError(t, sink.Write(t.Context(), batch))
	for i, want := range []string{"", "two values", "two values", "UTF-8", "kind"} {
		reason, dropped := batch.Dropped(i)
		require.Equal(t, want != "", dropped)
		require.Contains(t, reason, want)
	}

	batch = second(counter("up", math.MinInt64))
	require.NoError(t, sink.Write(t.Context(), batch))
	reason, dropped := batch.Dropped(0)
	require.True(t, dropped)
	require.Equal(t, "negative counter delta", reason)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(sink.Collector(nil))
	require.Equal(t, "# HELP up_total The counter \"up\".\n# TYPE up_total counter\nup_total 5\n", text(t, registry))
}

// Series that come and go, with their names, leave nothing behind; one that comes back begins anew.
func TestIdleExpiry(t *testing.T) {
	sink := promsink.New(promsink.WithIdleExpiry(time.Minute))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(sink.Collector(nil))
	at := func(after time.Duration, points ...metricsbuffer.Point) error {
		batch := second(points...)
		batch.Start, batch.End = start.Add(after), start.Add(after+time.Second)
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
	require.Equal(t, start.Add(90*time.Second), again.GetCreatedTimestamp().AsTime())
}
