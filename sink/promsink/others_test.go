package promsink_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
)

// One series that another collector serves already does not blank the page: it is left out, counted and reported.
func TestOthers(t *testing.T) {
	gauge := func(name string) func(*metricsbuffer.Buffer) {
		return func(b *metricsbuffer.Buffer) { b.SetGauge(name, 1) }
	}
	for series, record := range map[string]func(*metricsbuffer.Buffer){
		`counter "requests.total" would be requests_total`: func(b *metricsbuffer.Buffer) {
			b.IncrCounter("requests.total", 1)
		},
		`counter "requests" would be requests_total, which`: func(b *metricsbuffer.Buffer) {
			b.IncrCounter("requests", 1, tag{Key: "code", Value: "200"})
		},
		`timer "took" would be took_seconds_sum`: func(b *metricsbuffer.Buffer) { b.IncrTimer("took", 1) },
		`histogram "size" would be size,`:        func(b *metricsbuffer.Buffer) { b.Histogram("size", "").Observe(1) },

		`gauge "requests" would be requests,`:                 gauge("requests"),
		`gauge "size-count" would be size_count`:              gauge("size-count"),
		`gauge "summary_sum" would be summary_sum`:            gauge("summary_sum"),
		`gauge "go.goroutines" would be go_goroutines`:        gauge("go.goroutines"),
		`gauge "go.gc.duration.seconds" would be go_gc_durat`: gauge("go.gc.duration.seconds"),
	} {
		registry := registryOf(collectors.NewGoCollector(),
			prometheus.NewHistogram(prometheus.HistogramOpts{Name: "size", Help: "All."}),
			prometheus.NewSummary(prometheus.SummaryOpts{Name: "summary", Help: "All."}),
			prometheus.NewGauge(prometheus.GaugeOpts{Name: "took_seconds_sum", Help: "All."}),
		)
		requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "All."}, []string{"code"})
		registry.MustRegister(requests)
		requests.WithLabelValues("200").Add(5)

		sink := newSink(t, promsink.WithGatherer(registry))
		reports := make(chan error, 10)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink),
			metricsbuffer.WithErrorHandler(func(err error) { reports <- err }))
		require.NoError(t, err)
		buffer.IncrCounter("fine", 1)
		record(buffer)
		for range 2 {
			status, page := get(t, sink)
			require.Equal(t, http.StatusOK, status, page)
			require.Contains(t, page, "\nfine_total 1\n", series)
			require.Contains(t, page, "\nrequests_total{code=\"200\"} 5\n", series)
			require.Contains(t, page, "\ngo_goroutines ", series)
			record(buffer)
		}
		both := errors.Join(<-reports, <-reports) // the sink says which name is taken, the buffer that a point was dropped
		require.ErrorContains(t, both, series)
		require.ErrorContains(t, both, "it dropped the")
		require.NoError(t, buffer.Close())
		require.Equal(t, map[string]int64{"its name in Prometheus is another's": 3}, buffer.Stats().Sinks[0].Drops)
		require.Empty(t, reports, "reported once")

		// The registry alone cannot serve it.
		plain := newSink(t)
		buffer, err = metricsbuffer.New(metricsbuffer.WithSink(plain))
		require.NoError(t, err)
		record(buffer)
		require.NoError(t, buffer.Close())
		registry.MustRegister(plain)
		status, _ := get(t, registry)
		if !strings.HasPrefix(series, `gauge "requests"`) { // which collides in OpenMetrics only: a registry does not look
			require.Equal(t, http.StatusInternalServerError, status, series)
		}
	}
}

// A collector that appears later takes the name from the sink's series.
func TestOthersAppear(t *testing.T) {
	registry := prometheus.NewRegistry()
	sink := detached(t, promsink.WithGatherer(registry))
	require.NoError(t, sink.Write(t.Context(),
		second(gauge("a", 1), gauge("a", 2, tag{Key: "k", Value: "v"}), gauge("b", 3))))
	require.Len(t, scrape(t, sink), 2)
	theirs := prometheus.NewGauge(prometheus.GaugeOpts{Name: "a"})
	registry.MustRegister(theirs)
	require.Contains(t, text(t, sink), "\na 0\n")
	require.NotContains(t, text(t, sink), "a{")
	batch := second(gauge("a", 1), gauge("a", 2, tag{Key: "k", Value: "v"}), gauge("b", 4))
	err := sink.Write(t.Context(), batch)
	require.EqualError(t, err, `promsink: gauge "a" would be a, which another collector serves: it is dropped; rename one`,
		"both series have the same name")
	require.Contains(t, text(t, sink), "\nb 4\n")
	for i := range batch.Points {
		_, dropped := batch.Dropped(i)
		require.Equal(t, i < 2, dropped)
	}
	require.NoError(t, sink.Write(t.Context(), batch), "reported once")
}

// Both serve a family, and one series of it is in both.
func TestOthersHaveTheSeries(t *testing.T) {
	registry := prometheus.NewRegistry()
	theirs := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "x", Help: `The gauge "x".`}, []string{"k"})
	theirs.WithLabelValues("v").Set(1)
	registry.MustRegister(theirs)
	sink := detached(t, promsink.WithGatherer(registry))
	_ = text(t, sink)
	err := sink.Write(t.Context(),
		second(gauge("x", 2, tag{Key: "k", Value: "v"}), gauge("x", 3, tag{Key: "k", Value: "w"})))
	require.EqualError(t, err, `promsink: gauge "x" with the keys ["k"] would be x with the same labels, `+
		"which another collector serves: it is dropped; rename one")
	require.Contains(t, text(t, sink), "\nx{k=\"v\"} 1\nx{k=\"w\"} 3\n")
}

// The self-metrics of two buffers share their names. The second one's are left out, unless labels tell them apart.
func TestTwoBuffersOnAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		buffers := make([]*metricsbuffer.Buffer, 3)
		var sinks []*promsink.Sink
		for i, opts := range [][]promsink.Option{
			nil,
			{promsink.WithGatherer(registry)},
			{promsink.WithGatherer(registry), promsink.WithLabels(prometheus.Labels{"buffer": "other"})},
		} {
			sinks = append(sinks, newSink(t, opts...))
			var err error
			buffers[i], err = metricsbuffer.New(metricsbuffer.WithSink(sinks[i]), metricsbuffer.WithSelfMetrics())
			require.NoError(t, err)
			buffers[i].IncrCounter(fmt.Sprint("own.", i), 1)
		}
		registry.MustRegister(sinks[0])
		for range 3 {
			require.Len(t, scrape(t, sinks[1])["metricsbuffer_series"].Metric, 1)
			require.Len(t, scrape(t, sinks[2])["metricsbuffer_series"].Metric, 2)
		}
		require.Contains(t, text(t, sinks[1]), "own_1_total 1\n")
		require.Contains(t, text(t, sinks[1]), "own_0_total 1\n")
		require.Contains(t, text(t, sinks[2]), "own_2_total{buffer=\"other\"} 1\n")
		for _, b := range buffers {
			require.NoError(t, b.Close())
		}
		require.Positive(t, buffers[1].Stats().Sinks[0].Drops["its name in Prometheus is another's"])
		require.Empty(t, buffers[2].Stats().Sinks[0].Drops)
	})
}

// Two buffers share a family, and each may describe it at any time: the page remains, with one description.
func TestDescriptionOfTwoBuffers(t *testing.T) {
	const (
		unnamed = "# HELP x_total The counter \"x\".\n"
		the     = "# HELP x_total The x.\n"
		another = "# HELP x_total Another x.\n"
	)
	for name, test := range map[string]struct {
		first, second string // the descriptions that the buffers give
		want          string // on the page
	}{
		"alike":     {"The x.", "The x.", the},
		"first":     {"The x.", "", the},
		"second":    {"", "The x.", unnamed},
		"different": {"The x.", "Another x.", the},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			first := newSink(t)
			registry.MustRegister(first)
			second := newSink(t, promsink.WithGatherer(registry), promsink.WithLabels(prometheus.Labels{"buffer": "b"}))
			a := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(first)))
			b := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(second)))
			defer a.Close()
			defer b.Close()
			a.IncrCounter("x", 1)
			b.IncrCounter("x", 100)
			_, page := get(t, second)
			require.Contains(t, page, unnamed)
			a.Describe("x", test.first, "")
			b.Describe("x", test.second, "")
			for i := range 3 {
				b.IncrCounter("x", 1)
				b.IncrCounter("x", 1, tag{Key: "new", Value: fmt.Sprint(i)}) // it enters the family that is shared
				status, page := get(t, second)
				require.Equal(t, http.StatusOK, status, page)
				require.Contains(t, page, test.want)
				require.Contains(t, page, "\nx_total 1\n")
				require.Contains(t, page, fmt.Sprintf("\nx_total{buffer=\"b\"} %d\n", 101+i))
				require.Contains(t, page, fmt.Sprintf("\nx_total{buffer=\"b\",new=\"%d\"} 1\n", i))
			}
			require.Empty(t, b.Stats().Sinks[0].Drops)

			// They share it no longer once the other one was gone.
			registry.Unregister(first)
			_, page = get(t, second)
			require.Contains(t, page, map[string]string{"": unnamed, "The x.": the, "Another x.": another}[test.second])
			registry.MustRegister(first)
			status, page := get(t, second)
			require.Equal(t, http.StatusOK, status, page)
			require.Equal(t, test.first == test.second, strings.Contains(page, "\nx_total{buffer=\"b\"} 103\n"), page)
		})
	}
}

// A series that was refused because of its description is served once the description is that of the others.
func TestDescribedAsOthers(t *testing.T) {
	registry := prometheus.NewRegistry()
	theirs := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "x", Help: "The x."}, []string{"k"})
	theirs.WithLabelValues("v").Set(1)
	registry.MustRegister(theirs)
	sink := newSink(t, promsink.WithGatherer(registry))
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(sink)))
	defer buffer.Close()
	buffer.SetGauge("x", 2)
	require.NotContains(t, text(t, sink), "\nx 2\n")
	buffer.Describe("x", "The x.", "")
	buffer.SetGauge("x", 3)
	require.Contains(t, text(t, sink), "\nx 3\n")
	buffer.Describe("x", "It is theirs, too.", "")
	status, page := get(t, sink)
	require.Equal(t, http.StatusOK, status, page)
	require.Contains(t, page, "# HELP x The x.\n")
	require.Contains(t, page, "\nx 3\n")
}

// A tag of the same name as a constant label drops the series and nothing else. A registry's wrapper fails the scrape.
func TestConstantLabels(t *testing.T) {
	labels := prometheus.Labels{"host": "a"}
	points := []metricsbuffer.Point{gauge("fine", 1), gauge("bad", 1, tag{Key: "host", Value: "b"})}
	sink := detached(t, promsink.WithLabels(labels))
	batch := second(points...)
	require.NoError(t, sink.Write(t.Context(), batch))
	reason, _ := batch.Dropped(1)
	require.Equal(t, "a label with two values", reason)
	status, page := get(t, registryOf(sink))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "\nfine{host=\"a\"} 1\n")
	require.NotContains(t, page, "bad")

	// A handler can serve the rest of a page that a wrapper breaks.
	sink, registry := detached(t), prometheus.NewRegistry()
	prometheus.WrapRegistererWith(labels, registry).MustRegister(sink)
	require.NoError(t, sink.Write(t.Context(), second(points...)))
	status, _ = get(t, registry)
	require.Equal(t, http.StatusInternalServerError, status)
	status, page = get(t, registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "\nfine{host=\"a\"} 1\n")
}

// The sink is not registered in the registry that it serves.
func TestGathererIsNotRegistered(t *testing.T) {
	registry := prometheus.NewRegistry()
	sink := detached(t, promsink.WithGatherer(registry))
	err := registry.Register(sink)
	require.ErrorContains(t, err, "promsink: the sink was made with WithGatherer")
	require.True(t, strings.HasSuffix(err.Error(), "do not register it"), err)
}

// The error of the others is theirs.
func TestOthersFail(t *testing.T) {
	registry := registryOf(newSink(t)) // which has no buffer
	sink := detached(t, promsink.WithGatherer(registry))
	require.NoError(t, sink.Write(t.Context(), second(gauge("a", 1))))
	families, err := sink.Gather()
	require.ErrorContains(t, err, "has no buffer")
	require.Len(t, families, 1)
}

// A gatherer whose metrics cannot be read fails its own scrape, and not all later ones.
func TestOthersPanic(t *testing.T) {
	help, kind := "A gauge.", dto.MetricType_GAUGE
	name, others := "a", []*dto.Metric{nil}
	sink := detached(t, promsink.WithGatherer(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		if others == nil {
			return nil, nil
		}
		return []*dto.MetricFamily{{Name: &name, Help: &help, Type: &kind, Metric: others}}, nil
	})))
	described := gauge("a", 1)
	described.Help = help
	require.NoError(t, sink.Write(t.Context(), second(described)))
	require.Panics(t, func() { _, _ = sink.Gather() })
	others = nil
	families, err := sink.Gather() // does not wait for ever
	require.NoError(t, err)
	require.Len(t, families, 1)
}
