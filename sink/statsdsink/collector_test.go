package statsdsink_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

const (
	flushes    = 10
	perFlush   = 100 // observations of 1 to 100 milliseconds
	millis     = flushes * perFlush * (perFlush + 1) / 2
	everything = flushes * perFlush
)

// sendToCollector flushes ten times. A gauge goes down from 0 to -9.
func sendToCollector(t *testing.T, c *receivers.Collector, network string, opts ...statsdsink.Option) {
	t.Helper()
	b := newBuffer(t, network, c.Address, opts...)
	for n := range flushes {
		b.IncrCounter("jobs", 3, tag("queue", "a"))
		b.SetGauge("level", -float64(n))
		for i := range perFlush {
			b.IncrTimer("latency", time.Duration(i+1)*time.Millisecond)
			b.Histogram("size", "bytes").Observe(int64(i + 1))
		}
		require.NoError(t, b.Flush(t.Context()))
	}
}

// totals adds up the points of a series, as a backend does with deltas.
func totals(c *receivers.Collector, series string) (points int, all receivers.CollectorPoint) {
	for _, p := range c.Points() {
		if p.Series == series {
			points++
			all.Kind = p.Kind
			all.Value += p.Value
			all.Count += p.Count
			all.Sum += p.Sum
		}
	}
	return points, all
}

// Every figure of the Collector is exact or as near as the middles of buckets, over UDP, over a kept connection, and
// with ignore_host over connections for one batch each.
func TestCollector(t *testing.T) {
	type opts = []statsdsink.Option
	distributions := statsdsink.WithTimers(statsdsink.Distributions)
	for name, test := range map[string]struct {
		network  string
		settings map[string]any
		opts     opts
	}{
		"Timings, udp":              {"udp", nil, nil},
		"Timings, kept connection":  {"tcp", nil, opts{statsdsink.WithKeptConnection()}},
		"Timings, tcp, ignore_host": {"tcp", map[string]any{"ignore_host": true}, nil},
		"Histograms, udp":           {"udp", nil, opts{statsdsink.WithTimers(statsdsink.Histograms)}},
		"Distributions, udp":        {"udp", nil, opts{distributions}},
		"Parts, udp":                {"udp", nil, opts{parts}},
	} {
		t.Run(name, func(t *testing.T) {
			c := receivers.StartCollector(t, test.network, test.settings)
			sendToCollector(t, c, test.network, test.opts...)
			require.EventuallyWithT(t, func(t *assert.CollectT) {
				_, jobs := totals(c, "jobs;queue=a")
				assert.Equal(t, 3*flushes, int(jobs.Value))
				if name == "Parts, udp" {
					_, count := totals(c, "latency.ns.count")
					_, sum := totals(c, "latency.ns.sum")
					assert.Equal(t, everything, int(count.Value))
					assert.Equal(t, int64(millis*time.Millisecond), int64(sum.Value))
					return
				}
				_, latency := totals(c, "latency")
				assert.Equal(t, everything, int(latency.Count))
				assert.InEpsilon(t, float64(millis), latency.Sum, 0.022)
			}, 5*time.Second, 20*time.Millisecond)
			last := receivers.CollectorPoint{Value: 1}
			for _, p := range c.Points() {
				switch p.Series {
				case "level":
					last = p
				case "latency":
					require.Equal(t, []float64{1, perFlush}, []float64{p.Min, p.Max})
				}
			}
			require.Equal(t, 1-flushes, int(last.Value))
		})
	}
}

// The Collector takes each connection for another client. With its default settings every batch that comes over TCP is
// one point of each series, within one interval.
func TestCollectorOfConnections(t *testing.T) {
	long := map[string]any{"aggregation_interval": "1s"}
	c := receivers.StartCollector(t, "tcp", long)
	sendToCollector(t, c, "tcp")
	require.Eventually(t, func() bool { n, _ := totals(c, "jobs;queue=a"); return n == flushes },
		5*time.Second, 20*time.Millisecond)

	c = receivers.StartCollector(t, "tcp", long)
	sendToCollector(t, c, "tcp", statsdsink.WithKeptConnection())
	require.Eventually(t, func() bool { _, jobs := totals(c, "jobs;queue=a"); return int(jobs.Value) == 3*flushes },
		5*time.Second, 20*time.Millisecond)
	n, _ := totals(c, "jobs;queue=a")
	require.LessOrEqual(t, n, 3, "one for each interval")
}

// The Collector refuses lines with several values, adds up signed gauges, and makes a gauge of each line unless its
// configuration says otherwise.
func TestCollectorHasWrongFigures(t *testing.T) {
	c := receivers.StartCollector(t, "udp", map[string]any{"aggregation_interval": "1s"})
	sendToCollector(t, c, "udp", statsdsink.WithPacking(), statsdsink.WithSignedGauges())
	require.Eventually(t, func() bool { n, _ := totals(c, "level"); return n > 0 }, 5*time.Second, 20*time.Millisecond)
	_, latency := totals(c, "latency")
	require.Less(t, int(latency.Count), everything, "values are lost")
	_, level := totals(c, "level")
	require.NotEqual(t, 1-flushes, int(level.Value))

	c = receivers.StartCollector(t, "udp", map[string]any{"timer_histogram_mapping": nil})
	sendToCollector(t, c, "udp")
	require.Eventually(t, func() bool { n, _ := totals(c, "latency"); return n > flushes },
		5*time.Second, 20*time.Millisecond)
	_, latency = totals(c, "latency")
	require.Equal(t, "Gauge", latency.Kind)
}
