package promsink_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

type tag = metricsbuffer.Tag

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func counter(name string, count int64, tags ...tag) metricsbuffer.Point {
	return metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Count: count, Tags: tags}
}

func gauge(name string, value float64, tags ...tag) metricsbuffer.Point {
	return metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: name, Value: value, Tags: tags}
}

// served is a buffer with a sink, served by a registry.
func served(t testing.TB, opts ...promsink.Option) (*metricsbuffer.Buffer, *prometheus.Registry) {
	t.Helper()
	sink := newSink(t, opts...)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	return buffer, registryOf(sink)
}

func newSink(t testing.TB, opts ...promsink.Option) *promsink.Sink {
	t.Helper()
	sink, err := promsink.New(opts...)
	require.NoError(t, err)
	return sink
}

// detached is a sink whose only batches are those that the test writes.
func detached(t testing.TB, opts ...promsink.Option) *promsink.Sink {
	t.Helper()
	sink := newSink(t, opts...)
	require.NoError(t, sink.Attach(func(context.Context) error { return nil }))
	return sink
}

func registryOf(collectors ...prometheus.Collector) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors...)
	return registry
}

// text is the page that a scraper of the text format gets.
func text(t testing.TB, registry prometheus.Gatherer) string {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	var out bytes.Buffer
	for _, family := range families {
		_, err := expfmt.MetricFamilyToText(&out, family)
		require.NoError(t, err)
	}
	return out.String()
}

func scrape(t testing.TB, registry prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	byName := make(map[string]*dto.MetricFamily)
	for _, family := range families {
		byName[family.GetName()] = family
	}
	return byName
}

func TestKinds(t *testing.T) {
	buffer, registry := served(t)
	buffer.IncrCounter("jobs.done", 2, tag{Key: "queue", Value: "a\n\"b\""}, tag{Key: "empty", Value: ""})
	buffer.IncrCounter("jobs.done", 3, tag{Key: "queue", Value: "c"})
	buffer.IncrCounter("bytes_total", math.MaxInt32)
	buffer.SetGauge("queue-depth", math.Inf(-1))
	require.Equal(t, `# HELP bytes_total The counter "bytes_total".
# TYPE bytes_total counter
bytes_total 2.147483647e+09
# HELP jobs_done_total The counter "jobs.done".
# TYPE jobs_done_total counter
jobs_done_total{queue="a\n\"b\""} 2
jobs_done_total{queue="c"} 3
# HELP queue_depth The gauge "queue-depth".
# TYPE queue_depth gauge
queue_depth -Inf
`, text(t, registry))

	buffer.IncrCounter("jobs.done", 10, tag{Key: "queue", Value: "c"})
	buffer.SetGauge("queue-depth", 5)
	require.Contains(t, text(t, registry), "jobs_done_total{queue=\"c\"} 13\n")
	require.Contains(t, text(t, registry), "queue_depth 5\n")

	require.NoError(t, buffer.Close())
	require.Contains(t, text(t, registry), "jobs_done_total{queue=\"c\"} 13\n", "totals outlive the buffer")
}

func TestCreated(t *testing.T) {
	sink := detached(t)
	registry := registryOf(sink)
	require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 1))))
	later := second(counter("jobs", 1))
	later.Start = start.Add(time.Hour)
	require.NoError(t, sink.Write(t.Context(), later))
	c := scrape(t, registry)["jobs_total"].Metric[0].Counter
	require.Equal(t, start, c.GetCreatedTimestamp().AsTime())
	require.InDelta(t, 2, c.GetValue(), 0)
}

// A counter that exceeds an int64 begins at zero, and its creation time tells. The same holds for a timer's sum.
func TestCreatedMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer, registry := served(t)
		jobs, latency := buffer.Counter("jobs"), buffer.Timer("latency")
		var before time.Time
		for range 3 {
			time.Sleep(time.Minute)
			jobs.Add(math.MaxInt64)
			latency.Observe(math.MaxInt64)
			families := scrape(t, registry)
			c, h := families["jobs_total"].Metric[0].Counter, families["latency_seconds"].Metric[0].Histogram
			require.InDelta(t, float64(math.MaxInt64), c.GetValue(), 0)
			require.EqualValues(t, 1, h.GetSampleCount())
			created := c.GetCreatedTimestamp().AsTime()
			require.True(t, created.After(before), "%v after %v", created, before)
			require.Equal(t, created, h.GetCreatedTimestamp().AsTime())
			before = created
		}
		require.NoError(t, buffer.Close())
	})
}

// wrapper is a sink around another one.
type wrapper struct{ metricsbuffer.Sink }

func (w wrapper) Unwrap() metricsbuffer.Sink { return w.Sink }

// TestScrapeAndOtherSinks: a scrape does not wait for other sinks, and finds its buffer through a wrapper.
func TestScrapeAndOtherSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for i := range 2 {
			sink := newSink(t)
			given := metricsbuffer.Sink(sink)
			if i == 1 {
				given = wrapper{sink}
			}
			hanging, release := sinktest.Hanging(new(sinktest.Recorder))
			buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(given),
				metricsbuffer.WithSink(hanging), metricsbuffer.WithCloseTimeout(time.Second))
			require.NoError(t, err)
			buffer.IncrCounter("recorded", 1)
			begin := time.Now()
			require.Contains(t, text(t, registryOf(sink)), "recorded_total 1")
			require.Equal(t, begin, time.Now())
			require.Error(t, buffer.Close(), "the other sink hangs")
			release()
		}
	})
}

// Labels that a registry adds must not end up in the sink's.
func TestWrapped(t *testing.T) {
	sink := detached(t)
	registry := prometheus.NewRegistry()
	for i := range 2 {
		labels := prometheus.Labels{"a": fmt.Sprint(i)}
		wrapped := prometheus.WrapRegistererWithPrefix("app_", prometheus.WrapRegistererWith(labels, registry))
		wrapped.MustRegister(sink)
	}
	require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 1,
		tag{Key: "k", Value: "v"}, tag{Key: "l", Value: "v"}, tag{Key: "m", Value: "v"})))) // in a slice with room for four
	for range 2 {
		page := text(t, registry)
		require.Contains(t, page, `app_jobs_total{a="0",k="v",l="v",m="v"} 1`)
		require.Contains(t, page, `app_jobs_total{a="1",k="v",l="v",m="v"} 1`)
	}
}

// Two scrapers and many writers: no total ever goes down, and the last is exact.
func TestConcurrentScrapes(t *testing.T) {
	const writers, updates = 8, 20_000
	buffer, registry := served(t)
	jobs, latency := buffer.Counter("jobs"), buffer.Timer("latency")
	var writing, scraping sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range updates {
				jobs.Inc()
				latency.Observe(1 << 20)
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		scraping.Go(func() {
			var before float64
			for {
				select {
				case <-done:
					return
				default:
				}
				families, err := registry.Gather()
				if err != nil {
					t.Error(err)
					return
				}
				for _, family := range families {
					metric := family.Metric[0]
					switch family.GetName() {
					case "jobs_total":
						if metric.Counter.GetValue() < before {
							t.Errorf("jobs_total went from %v to %v", before, metric.Counter.GetValue())
						}
						before = metric.Counter.GetValue()
					case "latency_seconds":
						h := metric.Histogram
						if want := float64(h.GetSampleCount()<<20) / 1e9; h.GetSampleSum() != want {
							t.Errorf("%d observations have the sum %v, want %v", h.GetSampleCount(), h.GetSampleSum(), want)
						}
					}
				}
			}
		})
	}
	writing.Wait()
	close(done)
	scraping.Wait()
	families := scrape(t, registry)
	require.InDelta(t, writers*updates, families["jobs_total"].Metric[0].Counter.GetValue(), 0)
	require.EqualValues(t, writers*updates, families["latency_seconds"].Metric[0].Histogram.GetSampleCount())
}
