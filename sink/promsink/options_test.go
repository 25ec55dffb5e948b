package promsink_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
)

func TestOptionErrors(t *testing.T) {
	var none *prometheus.Registry
	for want, opt := range map[string]promsink.Option{
		"promsink: New: option 1 of 1 is nil":                      nil,
		"promsink: New: WithGatherer: the gatherer is nil":         promsink.WithGatherer(nil),
		"WithGatherer: the gatherer is a nil *prometheus.Registry": promsink.WithGatherer(none),
		`promsink: New: WithLabels: "a.b" cannot be`:               promsink.WithLabels(prometheus.Labels{"a.b": "c"}),
		`promsink: New: WithLabels: "" cannot be`:                  promsink.WithLabels(prometheus.Labels{"": "c"}),
		`promsink: New: WithLabels: "le" cannot be`:                promsink.WithLabels(prometheus.Labels{"le": "c"}),
		`promsink: New: WithLabels: "__a" cannot be`:               promsink.WithLabels(prometheus.Labels{"__a": "c"}),
		`promsink: New: WithLabels: a=""`:                          promsink.WithLabels(prometheus.Labels{"a": ""}),
		`promsink: New: WithBuckets: the bound -1 for "" is not`:   promsink.WithBuckets("", -1),
	} {
		sink, err := promsink.New(opt)
		require.ErrorContains(t, err, want)
		require.Nil(t, sink)
	}
	_, err := promsink.New(promsink.WithBuckets(""), nil)
	require.ErrorContains(t, err, "option 2 of 2 is nil")
	labels := promsink.WithLabels(prometheus.Labels{"a": "b"})
	_, err = promsink.New(labels, labels)
	require.ErrorContains(t, err, `"a" is given twice`)
	others := promsink.WithGatherer(prometheus.NewRegistry())
	_, err = promsink.New(others, others)
	require.ErrorContains(t, err, "WithGatherer is given twice")
}

// get returns the page that promhttp serves, with its default options unless others are given.
func get(t testing.TB, gatherer prometheus.Gatherer, opts ...promhttp.HandlerOpts) (status int, body string) {
	t.Helper()
	server := httptest.NewServer(promhttp.HandlerFor(gatherer, append(opts, promhttp.HandlerOpts{})[0]))
	defer server.Close()
	response, err := http.Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(page)
}

// A sink without a buffer says so at every scrape.
func TestNoBuffer(t *testing.T) {
	sink := newSink(t)
	for _, gatherer := range []prometheus.Gatherer{registryOf(sink), sink} {
		status, body := get(t, gatherer)
		require.Equal(t, http.StatusInternalServerError, status)
		require.Contains(t, body, "promsink: the sink has no buffer")
		require.Contains(t, body, "metricsbuffer.WithSink(sink)")
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.NoError(t, err)
	defer buffer.Close()
	buffer.IncrCounter("jobs", 1)
	status, body := get(t, registryOf(sink))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "jobs_total 1\n")
}

func TestTwoBuffers(t *testing.T) {
	sink := newSink(t)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.NoError(t, err)
	defer buffer.Close()
	_, err = metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.ErrorContains(t, err, "promsink: the sink has been given to another buffer; make a sink for each")
}

// A registry refuses a sink that it has, takes any number of them, and can give one up.
func TestRegistration(t *testing.T) {
	a, b := detached(t), detached(t)
	registry := registryOf(a, b)
	require.NoError(t, a.Write(t.Context(), second(gauge("a", 1))))
	require.NoError(t, b.Write(t.Context(), second(gauge("b", 1))))
	var already prometheus.AlreadyRegisteredError
	require.ErrorAs(t, registry.Register(a), &already)
	require.Same(t, a, already.ExistingCollector)
	require.Len(t, scrape(t, registry), 2)
	require.True(t, registry.Unregister(a))
	require.Len(t, scrape(t, registry), 1)
	require.NoError(t, registry.Register(a))
	require.Len(t, scrape(t, registry), 2)
	require.Len(t, scrape(t, registryOf(a, b)), 2, "another registry")
	require.NoError(t, prometheus.WrapRegistererWithPrefix("x_", registry).Register(a))
	require.Len(t, scrape(t, registry), 3)
}
