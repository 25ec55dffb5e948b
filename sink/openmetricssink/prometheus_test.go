package openmetricssink_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
)

// A real Prometheus is stopped and started again in the middle of updates, and sees every one of them, in each format.
// It asks for protobuf first, as it is told to store native histograms.
func TestPrometheus(t *testing.T) {
	for format, withheld := range map[string][]string{
		"application/vnd.google.protobuf": nil,
		"application/openmetrics-text":    {"protobuf"},
		"text/plain":                      {"protobuf", "openmetrics"},
	} {
		t.Run(format, func(t *testing.T) {
			buffer, sink := served(t, openmetricssink.WithBuckets("bytes", 65536))
			var answered atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var accept []string
				for _, part := range strings.Split(r.Header.Get("Accept"), ",") {
					if !containsAny(part, withheld) {
						accept = append(accept, part)
					}
				}
				r.Header.Set("Accept", strings.Join(accept, ","))
				sink.ServeHTTP(w, r)
				if strings.HasPrefix(w.Header().Get("Content-Type"), format) && w.Header().Get("Content-Encoding") == "gzip" {
					answered.Add(1)
				}
			}))
			defer server.Close()
			prometheus := receivers.StartPrometheus(t, strings.TrimPrefix(server.URL, "http://"))

			const writers, updates = 4, 100_000
			const half = int64(updates / 2)
			jobs := buffer.Counter("jobs.done", tag{Key: "queue", Value: "\"\n\\é\x01"})
			latency, size := buffer.Timer("latency"), buffer.Histogram("size", "bytes")
			write := func() {
				var writing sync.WaitGroup
				for range writers {
					writing.Go(func() {
						for i := range half {
							jobs.Inc()
							latency.Observe(time.Duration(i) * time.Microsecond)
							size.Observe(i)
						}
					})
				}
				writing.Wait()
			}
			span := metricsbuffer.TraceContext{TraceID: [16]byte{0xab, 15: 1}, SpanID: [8]byte{7: 2}}
			traced := buffer.Timer("traced", tag{Key: "mailed", Value: "yes"})
			traced.ObserveExemplar(50*time.Millisecond, metricsbuffer.TraceContext{TraceID: span.TraceID})
			write()
			prometheus.Stop()
			write()
			traced.ObserveExemplar(3*time.Hour, span)
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
			const total = writers * updates
			see("done", `{"__name__":"done"}`, 1)
			see("jobs_done_total", `{"__name__":"jobs_done_total","queue":"\"\n\\é\u0001"}`, total)
			sum := float64(2 * writers * (half - 1) * half / 2)
			if format == "application/vnd.google.protobuf" {
				see("histogram_count(latency_seconds)", "{}", total)
				see("histogram_sum(latency_seconds)", "{}", sum*1e3/1e9)
				see("histogram_count(size_bytes)", "{}", total)
				median := prometheus.Query("histogram_quantile(0.5, latency_seconds)")["{}"]
				require.InEpsilon(t, float64(half)/2*1e-6, median, 0.038)
			} else {
				see("latency_seconds_count", `{"__name__":"latency_seconds_count"}`, total)
				see("latency_seconds_sum", `{"__name__":"latency_seconds_sum"}`, sum*1e3/1e9)
				see("size_bytes_sum", `{"__name__":"size_bytes_sum"}`, sum)
				see("size_bytes_bucket", `{"__name__":"size_bytes_bucket","le":"+Inf"}`, total)
				le := map[string]string{"application/openmetrics-text": "65536.0", "text/plain": "65536"}[format]
				see("size_bytes_bucket", `{"__name__":"size_bytes_bucket","le":"`+le+`"}`, total)
				see("count(latency_seconds_bucket)", "{}", 28)
			}

			const trace = `"trace_id":"ab000000000000000000000000000001"`
			want := map[string]float64{`{"span_id":"0000000000000002",` + trace + `}`: 10800, `{` + trace + `}`: 0.05}
			got := prometheus.Exemplars(`{mailed="yes"}`)
			switch format {
			case "text/plain":
				require.Empty(t, got)
			case "application/openmetrics-text":
				require.Equal(t, want, got)
			default: // Prometheus 2.42 takes one exemplar of a native histogram
				require.NotEmpty(t, got)
				require.Subset(t, want, got)
			}
			require.Positive(t, answered.Load(), "it asked for the format, with gzip")
		})
	}
}

func containsAny(s string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func TestPromtool(t *testing.T) {
	promtool := receivers.Promtool(t)
	buffer, sink := served(t)
	buffer.IncrCounter("arroyo.producer.produce_status", 5, tag{Key: "status", Value: "a\\\"\n\x00é"})
	buffer.IncrCounter("1st", 5, tag{Key: "1st", Value: "1"}, tag{Key: "__name__", Value: "2"})
	buffer.SetGauge("queue-depth", 1)
	buffer.IncrTimer("arroyo.producer.callback_latency", time.Second, tag{Key: "le", Value: "1"})
	buffer.Histogram("message.size", "bytes").Observe(1)

	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(get(t, sink, acceptClassic))
	out, err := check.CombinedOutput()
	require.NoError(t, err, "promtool: %s", out)
	require.Empty(t, string(out))
}
