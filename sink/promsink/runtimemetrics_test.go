package promsink_test

import (
	"math"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bridge/runtimemetrics"
)

// The series of the runtime and of the process are those of client_golang's collectors: their names, labels, types and
// values are the same, except for those that the documentation of runtimemetrics names.
func TestRuntimeMetrics(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the process is read on Linux only")
	}
	buffer, registry := served(t)
	theirs := registryOf(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
		collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile("^/sched/(latencies|pauses/total/gc):")},
	)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{ReportErrors: true}))

	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // no collection between the scrapes
	runtime.KeepAlive(make([]byte, 300<<20))         // so that the kinds of memory have different sizes
	for range 9 {
		runtime.GC() // so that the quantiles differ
	}
	held := [][]byte{make([]byte, 100<<20)}
	for range 100_000 {
		held = append(held, make([]byte, 64))
	}
	resting := make(chan bool)
	defer close(resting)
	for range 1000 {
		go func() { <-resting }()
	}
	poll, err := runtimemetrics.Start(buffer, runtimemetrics.WithPrometheusNames())
	require.NoError(t, err)
	defer poll.Stop()

	before, ours, after := flattened(t, theirs), flattened(t, registry), flattened(t, theirs)
	runtime.KeepAlive(held)
	otherTypes := map[string]string{
		`go_gc_duration_seconds`:        "SUMMARY, GAUGE",
		`go_memstats_alloc_bytes_total`: "COUNTER, GAUGE",
	}
	for key, was := range before {
		if strings.HasPrefix(key, "process_network_") {
			require.NotContains(t, ours, key)
			continue
		}
		got, ok := ours[key]
		require.True(t, ok, "%s is missing", key)
		types := was.of + ", " + got.of
		if want, differs := otherTypes[was.family]; differs {
			require.Equal(t, want, types, key)
		} else {
			require.Equal(t, was.of, got.of, key)
		}
		low, high := min(was.value, after[key].value), max(was.value, after[key].value)
		switch {
		case fixed.MatchString(key):
			require.InDelta(t, low, got.value, math.Abs(low)*1e-9, key)
		case was.of == "HISTOGRAM" && strings.HasSuffix(key, "_sum"):
			require.GreaterOrEqual(t, got.value, low, "theirs has the lower bounds of buckets that are ten times as high")
			require.LessOrEqual(t, got.value, 10*high+1e-3, key)
		default:
			slack := 50.0 // of goroutines, threads and files of the scrapes
			if strings.HasSuffix(key, "_bytes") {
				slack = 1 << 18
			} else if strings.HasPrefix(key, "process_") && strings.Contains(key, "_seconds") {
				slack = 1.1 // whole seconds here, or there
			}
			require.InDelta(t, (low+high)/2, got.value, (high-low)/2+slack+low/20, key)
		}
		delete(ours, key)
	}
	for key := range ours {
		t.Errorf("%s is not a series of client_golang", key)
	}
	for _, sink := range buffer.Stats().Sinks {
		require.Empty(t, sink.Drops)
	}
}

// fixed are series that do not change between two collections of the garbage collector.
var fixed = regexp.MustCompile("^(go_info,|go_gc_|go_sched_gomaxprocs_threads|go_sched_pauses_total_gc_seconds_count|" +
	"go_memstats_last_gc_time_seconds|process_max_fds|process_virtual_memory_max_bytes)")

type flat struct {
	family, of string
	value      float64
}

// flattened returns the series as Prometheus stores them, without buckets.
func flattened(t *testing.T, from prometheus.Gatherer) map[string]flat {
	series := make(map[string]flat)
	for name, family := range scrape(t, from) {
		for _, m := range family.Metric {
			labels := ""
			for _, l := range m.Label {
				labels += "," + l.GetName() + "=" + l.GetValue()
			}
			set := func(key string, value float64) {
				if strings.HasPrefix(name, "go_gc_duration_seconds") {
					series[key] = flat{"go_gc_duration_seconds", family.GetType().String(), value}
					return
				}
				series[key] = flat{name, family.GetType().String(), value}
			}
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				set(name+labels, m.Counter.GetValue())
			case dto.MetricType_GAUGE:
				set(name+labels, m.Gauge.GetValue())
			case dto.MetricType_SUMMARY:
				for _, q := range m.Summary.Quantile {
					set(name+labels+",quantile="+quantileText(q.GetQuantile()), q.GetValue())
				}
				set(name+"_sum"+labels, m.Summary.GetSampleSum())
				set(name+"_count"+labels, float64(m.Summary.GetSampleCount()))
			case dto.MetricType_HISTOGRAM:
				set(name+"_sum"+labels, m.Histogram.GetSampleSum())
				set(name+"_count"+labels, float64(m.Histogram.GetSampleCount()))
			default:
				t.Fatalf("%s has type %v", name, family.GetType())
			}
		}
	}
	return series
}

func quantileText(q float64) string { return strconv.FormatFloat(q, 'g', -1, 64) }
