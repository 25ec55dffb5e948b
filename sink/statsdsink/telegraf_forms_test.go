package statsdsink_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

// Telegraf counts every observation of a timer as Timings and as Histograms. Its sum adds up the middles of buckets.
func TestTimersInTelegraf(t *testing.T) {
	for kind, form := range map[string]statsdsink.Form{
		"timing": statsdsink.Timings, "histogram": statsdsink.Histograms,
	} {
		t.Run(kind, func(t *testing.T) {
			telegraf := receivers.StartTelegraf(t)
			b := newBuffer(t, "tcp", telegraf.Address, statsdsink.WithTimers(form))
			crowd := startCrowd(b)
			for range 10 {
				require.NoError(t, b.Flush(t.Context()))
			}
			recorded := crowd.stop()
			require.NoError(t, b.Flush(t.Context()))

			counts, sums := make(map[string]float64), make(map[string]float64)
			for series, value := range recorded {
				name, tags, _ := strings.Cut(series, ";")
				switch name {
				case "callback.latency.ns.count":
					counts["callback.latency;"+tags] = value
				case "callback.latency.ns.sum":
					sums["callback.latency;"+tags] = value / float64(time.Millisecond)
				}
			}
			requireIn(t, func() map[string]float64 {
				got := make(map[string]float64)
				for series, timing := range telegraf.Timings(kind) {
					got[series] = timing.Count
				}
				return got
			}, counts)
			for series, timing := range telegraf.Timings(kind) {
				require.InEpsilon(t, sums[series], timing.Sum, 0.022, series)
			}
			require.Empty(t, telegraf.Errors())
		})
	}
}

func TestOptionsInTelegraf(t *testing.T) {
	for name, test := range map[string]struct {
		opts               []statsdsink.Option
		counters, gauges   map[string]float64
		timings            map[string]receivers.Timing
		distributions      []float64
		timersAreNotParsed bool
	}{
		"quantiles": {
			opts: []statsdsink.Option{parts, statsdsink.WithQuantiles(0.5, 0.999)},
			counters: map[string]float64{
				"jobs;queue=a": 3, "latency.ns.count": 4, "latency.ns.sum": 4e6,
			},
			gauges: map[string]float64{
				"depth": 5, "latency.ns.min": 1e6, "latency.ns.max": 1e6, "latency.ns.p50": 1e6, "latency.ns.p99_9": 1e6,
			},
		},
		"sum": {
			opts:     []statsdsink.Option{statsdsink.WithTimers(statsdsink.Sum)},
			counters: map[string]float64{"jobs;queue=a": 3},
			gauges:   map[string]float64{"depth": 5},
			timings:  map[string]receivers.Timing{"latency": {Count: 1, Sum: 4, Lower: 4, Upper: 4}},
		},
		"constant tags": {
			opts: []statsdsink.Option{
				statsdsink.WithTags(tag("queue", "b"), tag("service", "s")),
			},
			counters: map[string]float64{"jobs;_x_queue=a;queue=b;service=s": 3},
			gauges:   map[string]float64{"depth;queue=b;service=s": 5},
			timings: map[string]receivers.Timing{
				"latency;queue=b;service=s": {Count: 4, Sum: 4, Lower: 1, Upper: 1},
			},
		},
		"container and timestamps": {
			opts: []statsdsink.Option{
				statsdsink.WithContainerID("abc-1"), statsdsink.WithTimestamps(),
			},
			counters: map[string]float64{"jobs;container=abc-1;queue=a": 3},
			gauges:   map[string]float64{"depth;container=abc-1": 5},
			timings: map[string]receivers.Timing{
				"latency;container=abc-1": {Count: 4, Sum: 4, Lower: 1, Upper: 1},
			},
		},
		// Telegraf passes distributions on line by line, without their sample rates.
		"distributions": {
			opts:          []statsdsink.Option{statsdsink.WithTimers(statsdsink.Distributions)},
			counters:      map[string]float64{"jobs;queue=a": 3},
			gauges:        map[string]float64{"depth": 5},
			distributions: []float64{1},
		},
		// It does not read several values in one line.
		"packing": {
			opts:               []statsdsink.Option{statsdsink.WithPacking()},
			counters:           map[string]float64{"jobs;queue=a": 3},
			gauges:             map[string]float64{"depth": 5},
			timersAreNotParsed: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			telegraf := receivers.StartTelegraf(t)
			b := newBuffer(t, "tcp", telegraf.Address, test.opts...)
			b.IncrCounter("jobs", 3, tag("queue", "a"))
			b.SetGauge("depth", 5)
			for range 4 {
				b.IncrTimer("latency", time.Millisecond)
			}
			if test.timersAreNotParsed { // another bucket with as many observations, to be packed with it
				for range 4 {
					b.IncrTimer("latency", time.Second)
				}
			}
			require.NoError(t, b.Flush(t.Context()))
			requireIn(t, telegraf.Counters, test.counters)
			requireIn(t, telegraf.Gauges, test.gauges)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				assert.Equal(c, fmt.Sprint(test.timings), fmt.Sprint(telegraf.Timings("timing")))
				assert.Equal(c, test.distributions, telegraf.Distributions())
				assert.Equal(c, test.timersAreNotParsed, len(telegraf.Errors()) > 0)
			}, 10*time.Second, 50*time.Millisecond)
		})
	}
}
