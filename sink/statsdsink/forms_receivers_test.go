package statsdsink_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

// observe records from several goroutines while the buffer is flushed. Each has a timer and a histogram of its own. It
// returns the number of observations of each, and the total of each timer.
func observe(t *testing.T, b *metricsbuffer.Buffer) (observations int, milliseconds float64) {
	t.Helper()
	const writers, updates = 4, 20_000
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			latency := b.Timer("latency", tag("writer", fmt.Sprint(w)))
			size := b.Histogram("size", "bytes", tag("writer", fmt.Sprint(w)))
			for i := range updates {
				latency.Observe(time.Duration(i*i) * time.Nanosecond)
				size.Observe(int64(i))
			}
		})
	}
	for range 5 {
		require.NoError(t, b.Flush(t.Context()))
	}
	running.Wait()
	require.NoError(t, b.Flush(t.Context()))
	stats := b.Stats()
	require.Equal(t, stats.Recorded, stats.Sinks[0].Acknowledged)
	for i := range updates {
		milliseconds += float64(i*i) / 1e6
	}
	return updates, milliseconds
}

// StatsD has the exact number of a timer's observations and, in the form Sum, the exact sum.
func TestTimersInEtsy(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unix"} {
		for dialect, opts := range map[string][]statsdsink.Option{
			"dogstatsd": nil, "graphite": {statsdsink.WithGraphiteTags()},
		} {
			t.Run(network+"/"+dialect, func(t *testing.T) {
				etsy := receivers.StartEtsyWithTimers(t)
				address := etsy.Address
				if network == "unix" {
					address = etsy.Socket
				}
				b := newBuffer(t, network, address, opts...)
				observations, _ := observe(t, b)
				want := make(map[string]float64)
				for w := range 4 {
					want[fmt.Sprintf("latency;writer=%d.count", w)] = float64(observations)
				}
				requireSoon(t, want, func() map[string]float64 {
					got := etsy.Timers()
					for name := range got {
						if !strings.HasSuffix(name, ".count") {
							delete(got, name)
						}
					}
					return got
				})
				for w := range 4 {
					require.Zero(t, etsy.Timers()[fmt.Sprintf("latency;writer=%d.lower", w)])
					upper := etsy.Timers()[fmt.Sprintf("latency;writer=%d.upper", w)]
					require.InEpsilon(t, float64(observations-1)*float64(observations-1)/1e6, upper, 0.022)
				}
				require.Zero(t, etsy.BadLines())
			})
		}
	}
	t.Run("sum", func(t *testing.T) {
		etsy := receivers.StartEtsyWithTimers(t)
		_, sum := observe(t, newBuffer(t, "tcp", etsy.Address, statsdsink.WithTimers(statsdsink.Sum)))
		for w := range 4 {
			name := fmt.Sprintf("latency;writer=%d.sum", w)
			require.Eventually(t, func() bool {
				return fmt.Sprintf("%.5f", etsy.Timers()[name]) == fmt.Sprintf("%.5f", sum)
			}, 5*time.Second, 20*time.Millisecond, "%v", sum)
		}
		require.Zero(t, etsy.BadLines())
	})
}

// The same at statsd_exporter, which reads all forms, and packed values. It shows milliseconds of |ms lines in seconds.
// Its sum adds up the middles of buckets.
func TestTimersInExporter(t *testing.T) {
	packing := statsdsink.WithPacking()
	for _, test := range []struct {
		name, network string
		opts          []statsdsink.Option
		perSecond     float64 // of the timer's unit
	}{
		{"timings", "tcp", nil, 1},
		{"histograms", "udp", []statsdsink.Option{statsdsink.WithTimers(statsdsink.Histograms)}, 1000},
		{
			"distributions", "unixgram", []statsdsink.Option{statsdsink.WithTimers(statsdsink.Distributions)},
			1000,
		},
		{
			"packed timings", "udp", []statsdsink.Option{packing}, 1,
		},
		{
			"packed distributions", "tcp", []statsdsink.Option{statsdsink.WithTimers(statsdsink.Distributions), packing},
			1000,
		},
		{
			"container", "unixgram", []statsdsink.Option{
				statsdsink.WithTimers(statsdsink.Distributions), packing, statsdsink.WithContainerID("ci-0f"),
			}, 1000,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			exporter := receivers.StartExporter(t)
			address := exporter.Address
			if test.network == "unixgram" {
				address = exporter.Socket
			}
			observations, sum := observe(t, newBuffer(t, test.network, address, test.opts...))
			labels := func(w int) string {
				if test.name == "container" {
					return fmt.Sprintf(`{container_id="ci-0f",writer="%d"}`, w)
				}
				return fmt.Sprintf(`{writer="%d"}`, w)
			}
			const histogram = "size_hist_bytes_count" // a counter with Timings, otherwise the count of a summary
			want := make(map[string]float64)
			for w := range 4 {
				want["latency_count"+labels(w)] = float64(observations)
				want[histogram+labels(w)] = float64(observations)
			}
			requireSoon(t, want, func() map[string]float64 {
				got := exporter.Metrics()
				for name := range got {
					if !strings.HasPrefix(name, "latency_count") && !strings.HasPrefix(name, histogram) {
						delete(got, name)
					}
				}
				return got
			})
			for w := range 4 {
				require.InEpsilon(t, sum/1000*test.perSecond, exporter.Metrics()["latency_sum"+labels(w)], 0.022)
			}
			for name, value := range exporter.Metrics() {
				if strings.HasPrefix(name, "statsd_exporter_sample_errors_total") ||
					strings.HasPrefix(name, "statsd_exporter_events_conflict_total") {
					require.Zero(t, value, name)
				}
			}
		})
	}
}

// Constant tags, timestamps and quantiles, and the sum of a timer, as statsd_exporter shows them.
func TestOptionsInExporter(t *testing.T) {
	exporter := receivers.StartExporter(t)
	b := newBuffer(t, "tcp", exporter.Address, statsdsink.WithTags(tag("env", "prod")), statsdsink.WithTimestamps(),
		parts, statsdsink.WithQuantiles(0.5, 0.999), statsdsink.WithContainerID("in-7"))
	b.IncrCounter("jobs", 3, tag("env", "own"))
	b.SetGauge("level", 2.5)
	for i := range 1000 {
		b.IncrTimer("latency", time.Duration(i+1))
	}
	require.NoError(t, b.Flush(t.Context()))
	require.Eventually(t, func() bool {
		metrics := exporter.Metrics()
		return metrics[`latency_ns_p99_9{container_id="in-7",env="prod"}`] > 0 &&
			metrics[`jobs{_x_env="own",container_id="in-7",env="prod"}`] > 0 &&
			metrics[`level{container_id="in-7",env="prod"}`] > 0
	}, 5*time.Second, 20*time.Millisecond)
	metrics := exporter.Metrics()
	require.Equal(t, 1000, int(metrics[`latency_ns_count{container_id="in-7",env="prod"}`]))
	require.Equal(t, 3, int(metrics[`jobs{_x_env="own",container_id="in-7",env="prod"}`]))
	require.Equal(t, 25, int(10*metrics[`level{container_id="in-7",env="prod"}`]))
	require.InEpsilon(t, 500, metrics[`latency_ns_p50{container_id="in-7",env="prod"}`], 0.022)
	require.InEpsilon(t, 999, metrics[`latency_ns_p99_9{container_id="in-7",env="prod"}`], 0.022)

	sum := newBuffer(t, "tcp", exporter.Address, statsdsink.WithTimers(statsdsink.Sum))
	sum.IncrTimer("total", 1500*time.Millisecond)
	sum.IncrTimer("total", 1500*time.Millisecond)
	require.NoError(t, sum.Flush(t.Context()))
	require.Eventually(t, func() bool { return exporter.Metrics()["total_sum"] == 3 }, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, 1, int(exporter.Metrics()["total_count"]))
}
