package promsink_test

import (
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
)

// A real Prometheus is stopped and started again in the middle of millions of updates, and sees every one of them.
func TestPrometheus(t *testing.T) {
	buffer, registry := served(t)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	prometheus := receivers.StartPrometheus(t, strings.TrimPrefix(server.URL, "http://"))

	const writers, updates = 8, 250_000
	jobs := buffer.Counter("jobs.done", tag{Key: "queue", Value: "\"\n\\é\x01"})
	latency := buffer.Timer("latency")
	size := buffer.Histogram("size", "bytes")
	write := func() {
		var writing sync.WaitGroup
		for range writers {
			writing.Go(func() {
				for i := range int64(updates / 2) {
					jobs.Inc()
					latency.Observe(time.Duration(i) * time.Microsecond)
					size.Observe(i)
				}
			})
		}
		writing.Wait()
	}
	write()
	prometheus.Stop()
	write()
	buffer.SetGauge("done", 1)
	prometheus.Start()

	see := func(query, labels string, want float64) {
		t.Helper()
		var got map[string]float64
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if got = prometheus.Query(query); got[labels] == want {
				return
			}
		}
		t.Fatalf("%s is %v, want %v", query, got, want)
	}
	see("done", `{"__name__":"done"}`, 1)
	const total = writers * updates
	const half = int64(updates / 2)
	see("jobs_done_total", `{"__name__":"jobs_done_total","queue":"\"\n\\é\u0001"}`, total)
	see("histogram_count(latency_seconds)", "{}", total)
	see("histogram_sum(latency_seconds)", "{}", float64(2*writers*(half-1)*half/2)*1e3/1e9)
	see("histogram_count(size_bytes)", "{}", total)
	see("histogram_sum(size_bytes)", "{}", float64(2*writers*(half-1)*half/2))
	// Values up to 2^16 are those in the buckets up to that bound, exactly.
	see("histogram_fraction(0, 65536, size_bytes)", "{}", 65537/float64(half))

	median := prometheus.Query("histogram_quantile(0.5, latency_seconds)")["{}"]
	require.InEpsilon(t, float64(half)/2*1e-6, median, 0.038)
}

func TestPromtool(t *testing.T) {
	promtool := receivers.Promtool(t)
	buffer, registry := served(t)
	buffer.IncrCounter("arroyo.producer.produce_status", 5, tag{Key: "status", Value: "a\\\"\n\x00é"})
	buffer.IncrCounter("1st", 5, tag{Key: "1st", Value: "1"}, tag{Key: "__name__", Value: "2"})
	buffer.SetGauge("queue-depth", 1)
	buffer.IncrTimer("arroyo.producer.callback_latency", time.Second, tag{Key: "le", Value: "1"})
	buffer.Histogram("message.size", "bytes").Observe(1)

	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text(t, registry))
	out, err := check.CombinedOutput()
	require.NoError(t, err, "promtool: %s", out)
	require.Empty(t, string(out))
}
