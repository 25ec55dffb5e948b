package openmetricssink_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bridge/runtimemetrics"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
)

// A real Prometheus has a positive answer to the questions of the usual dashboards of Go programs, in each format.
func TestDashboards(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the process is read on Linux only")
	}
	for format, accept := range map[string]string{"open": acceptOpen, "classic": acceptClassic, "protobuf": ""} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			buffer, sink := served(t)
			poll, err := runtimemetrics.Start(buffer, runtimemetrics.WithPrometheusNames())
			require.NoError(t, err)
			defer poll.Stop()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if accept != "" {
					r.Header.Set("Accept", accept)
				}
				sink.ServeHTTP(w, r)
			}))
			defer server.Close()
			prometheus := receivers.StartPrometheus(t, strings.TrimPrefix(server.URL, "http://"))

			waiting := []string{
				"go_goroutines", "go_threads", `go_info{version="` + runtime.Version() + `"}`,
				`go_gc_duration_seconds{quantile="0.75"}`,
				"rate(go_gc_duration_seconds_sum[1m]) / rate(go_gc_duration_seconds_count[1m])",
				"go_memstats_alloc_bytes", "rate(go_memstats_alloc_bytes_total[1m])", "go_memstats_heap_inuse_bytes",
				"rate(go_memstats_mallocs_total[1m]) + rate(go_memstats_frees_total[1m])",
				"go_memstats_stack_inuse_bytes / go_memstats_sys_bytes",
				"time() - go_memstats_last_gc_time_seconds", "time() - process_start_time_seconds",
				"process_resident_memory_bytes / process_virtual_memory_bytes", "process_open_fds / process_max_fds",
				"process_cpu_seconds_total > 0 and rate(process_cpu_seconds_total[1m]) >= 0",
			}
			if format == "protobuf" {
				waiting = append(waiting, "histogram_quantile(0.99, go_sched_latencies_seconds)")
			} else {
				waiting = append(waiting, "histogram_quantile(0.99, rate(go_sched_latencies_seconds_bucket[1m]))")
			}
			for end := time.Now().Add(30 * time.Second); len(waiting) > 0; {
				runtime.GC() // takes processor time
				for _, value := range prometheus.Query(waiting[0]) {
					if value > 0 {
						waiting = waiting[1:]
						break
					}
				}
				if time.Now().After(end) {
					t.Fatalf("there is no positive answer to %s", waiting[0])
				}
			}
		})
	}
}
