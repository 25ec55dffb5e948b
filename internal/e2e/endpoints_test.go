package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/backendsink"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
	"github.com/metricsbuffer/metricsbuffer/sink/jsonsink"
	"github.com/metricsbuffer/metricsbuffer/sink/otelsink"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
	"github.com/metricsbuffer/metricsbuffer/sink/slogsink"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

// An endpoint is a sink and its receiver.
type endpoint struct {
	name string
	sink metricsbuffer.Sink

	call   func(total) string        // the receiver's name for a total
	read   func() map[string]float64 // the receiver's values, by its names
	except string                    // the name or the part that the receiver cannot take
}

// counts says whether the receiver can take the total.
func (e *endpoint) counts(w total) bool {
	return e.except == "" || e.except != w.name && e.except != w.part
}

type endpoints struct {
	list      []*endpoint
	otlp      *otlpServer // can be stopped, and has kept its totals when it is started again
	stoppable int         // the index of its endpoint
}

// options returns the options of a buffer that flushes every sink at another interval.
func options(e *endpoints, least time.Duration) (opts []metricsbuffer.Option) {
	for i, endpoint := range e.list {
		interval := least + time.Duration(i)*least/3
		opts = append(opts, metricsbuffer.WithSink(endpoint.sink,
			metricsbuffer.SinkName(endpoint.name), metricsbuffer.SinkInterval(interval)))
	}
	return opts
}

// startAll starts every receiver, and makes a sink for each.
func startAll(t testing.TB) *endpoints {
	t.Helper()
	e := new(endpoints)
	e.list = append(e.list, etsy(t), exporter(t), telegraf(t))
	e.list = append(e.list, inMemory()...)

	e.otlp = startOTLP(t)
	e.stoppable = len(e.list)
	e.list = append(e.list, &endpoint{
		name: "OTLP, gRPC", sink: pushing(t, e.otlp.grpcExporter()), call: inWords, read: e.otlp.rpc.read,
	}, &endpoint{
		name: "OTLP, HTTP", sink: pushing(t, e.otlp.httpExporter()), call: inWords, read: e.otlp.web.read,
	})

	// This sink is flushed in two ways: at its interval, and when it is scraped.
	sink, err := promsink.New()
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	registry.MustRegister(sink)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	e.list = append(e.list, scraped(receivers.StartPrometheus(t, strings.TrimPrefix(server.URL, "http://")), sink))
	return e
}

func pushing(t testing.TB, exporter sdk.Exporter) *otelsink.Sink {
	t.Helper()
	sink, err := otelsink.New(exporter)
	require.NoError(t, err)
	return sink
}

func newStatsd(t testing.TB, network, address string) *statsdsink.Sink {
	t.Helper()
	sink, err := statsdsink.New(network+"://"+address, statsdsink.WithTimers(statsdsink.Parts))
	require.NoError(t, err)
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

// inGraphite returns the name of a total in StatsD, and in telegraf as package receivers reads it.
func inGraphite(w total) string {
	name := w.name
	switch {
	case w.part != "" && w.name == "size":
		name += ".hist-bytes." + w.part
	case w.part != "":
		name += ".ns." + w.part
	}
	if w.label != "" {
		name += ";label=" + w.label
	}
	return name
}

func etsy(t testing.TB) *endpoint {
	server := receivers.StartEtsy(t)
	return &endpoint{
		name: "StatsD, TCP", sink: newStatsd(t, "tcp", server.Address), call: inGraphite,
		read: func() map[string]float64 { return merged(server.Counters(), server.Gauges()) },
	}
}

func telegraf(t testing.TB) *endpoint {
	server := receivers.StartTelegraf(t)
	return &endpoint{
		name: "telegraf, TCP", sink: newStatsd(t, "tcp", server.Address), call: inGraphite,
		read: func() map[string]float64 { return merged(server.Counters(), server.Gauges()) },
	}
}

func merged(a, b map[string]float64) map[string]float64 {
	for series, value := range b {
		a[series] = value
	}
	return a
}

func exporter(t testing.TB) *endpoint {
	server := receivers.StartExporter(t)
	return &endpoint{
		name: "statsd_exporter, unixgram", sink: newStatsd(t, "unixgram", server.Socket), read: server.Metrics,
		call: func(w total) string {
			name, _, _ := strings.Cut(inGraphite(w), ";")
			name = strings.NewReplacer(".", "_", "-", "_").Replace(name)
			if w.label != "" {
				name += fmt.Sprintf("{label=%q}", w.label)
			}
			return name
		},
	}
}

// scraped reads totals back by queries. A native histogram has its count and sum inside.
func scraped(server *receivers.Prometheus, sink metricsbuffer.Sink) *endpoint {
	queries := map[string]string{
		"plain": "plain_total", "jobs": "jobs_total", "depth": "depth",
		"latency count": "histogram_count(latency_seconds)", "latency sum": "histogram_sum(latency_seconds)",
		"size count": "histogram_count(size_bytes)", "size sum": "histogram_sum(size_bytes)",
	}
	return &endpoint{
		name: "Prometheus", sink: sink, call: inWords,
		read: func() map[string]float64 {
			all := make(map[string]float64)
			for name, query := range queries {
				for labels, value := range server.Query(query) {
					var label struct{ Label string }
					_ = json.Unmarshal([]byte(labels), &label)
					if name == "latency sum" {
						value = math.Round(value * 1e9)
					}
					name, part, _ := strings.Cut(name, " ")
					all[inWords(total{name: name, label: label.Label, part: part})] = value
				}
			}
			return all
		},
	}
}

// inWords returns the name of a total for receivers without a format of names.
func inWords(w total) string { return strings.TrimRight(w.name+" "+w.label+" "+w.part, " ") }

// must unwraps the result of a constructor that does not fail here.
func must[S metricsbuffer.Sink](sink S, err error) S {
	if err != nil {
		panic(err)
	}
	return sink
}

// inMemory returns the sinks that deliver within the process. Their output is read back as a person or a program would.
func inMemory() []*endpoint {
	console, lines, logged, calls := new(table), new(objects), new(objects), new(backend)
	handler := slog.NewJSONHandler(logged, nil)
	return []*endpoint{
		{name: "console", sink: must(consolesink.New(console)), call: inWords, read: console.read, except: "sum"},
		{name: "JSON lines", sink: must(jsonsink.New(lines)), call: inWords, read: lines.read},
		{name: "log/slog", sink: must(slogsink.New(handler)), call: inWords, read: logged.read},
		{name: "a backend", sink: must(backendsink.New(calls)), call: inWords, read: calls.read},
	}
}
