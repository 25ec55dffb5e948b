package statsdsink_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

// A timerAt is a server's account of one timer. Times are in milliseconds. A figure that the server does not have is
// NaN.
type timerAt struct{ count, sum, lower, upper float64 }

// The package documentation has a table of forms and servers. This test shows its rows for the servers that run here:
// each form sends the same observations in two batches, and the server's figures are compared with them.
func TestFormTable(t *testing.T) {
	const observations, batches = 1000, 2 // of 1 to 1000 milliseconds in each batch
	const sum = batches * observations * (observations + 1) / 2
	no := math.NaN()
	exact := timerAt{batches * observations, sum, 1, observations}
	forms := map[string][]statsdsink.Option{
		"Timings":               nil,
		"Parts":                 {parts},
		"Sum":                   {statsdsink.WithTimers(statsdsink.Sum)},
		"Histograms":            {statsdsink.WithTimers(statsdsink.Histograms)},
		"Distributions":         {statsdsink.WithTimers(statsdsink.Distributions)},
		"Timings, packed":       {statsdsink.WithPacking()},
		"Distributions, packed": {statsdsink.WithTimers(statsdsink.Distributions), statsdsink.WithPacking()},
	}
	send := func(t *testing.T, address string, opts []statsdsink.Option) {
		b := newBuffer(t, "tcp", address, opts...)
		for range batches {
			for i := range observations {
				b.IncrTimer("t", time.Duration(i+1)*time.Millisecond)
			}
			require.NoError(t, b.Flush(t.Context()))
		}
	}
	requireTimer := func(t *testing.T, want timerAt, tolerance float64, read func() timerAt) {
		t.Helper()
		near := func(t assert.TestingT, want, got, tolerance float64, figure string) {
			if math.IsNaN(want) {
				assert.True(t, math.IsNaN(got), "%s is %v", figure, got)
				return
			}
			assert.InDelta(t, want, got, want*tolerance+1e-6, figure)
		}
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			got := read()
			near(t, want.count, got.count, 0, "count")
			near(t, want.sum, got.sum, tolerance, "sum")
			near(t, want.lower, got.lower, tolerance, "lower")
			near(t, want.upper, got.upper, tolerance, "upper")
		}, 5*time.Second, 20*time.Millisecond)
	}
	find := func(values map[string]float64, key string, scale float64) float64 {
		if v, found := values[key]; found {
			return v * scale
		}
		return no
	}
	const ns = 1e-6
	const bucket = 0.022 // the error of a bucket's middle

	t.Run("StatsD", func(t *testing.T) {
		for form, want := range map[string]timerAt{
			"Timings": {exact.count, no, 1, observations}, // its sum is of lines; see below
			"Parts":   exact,
			"Sum":     {batches, sum, sum / batches, sum / batches},
		} {
			t.Run(form, func(t *testing.T) {
				etsy := receivers.StartEtsyWithTimers(t)
				if form == "Parts" {
					etsy = receivers.StartEtsy(t)
				}
				send(t, etsy.Address, forms[form])
				requireTimer(t, want, bucket, func() timerAt {
					if form == "Parts" {
						counters, gauges := etsy.Counters(), etsy.Gauges()
						return timerAt{
							find(counters, "t.ns.count", 1), find(counters, "t.ns.sum", ns),
							find(gauges, "t.ns.min", ns), find(gauges, "t.ns.max", ns),
						}
					}
					timers := etsy.Timers()
					got := timerAt{
						find(timers, "t.count", 1), find(timers, "t.sum", 1),
						find(timers, "t.lower", 1), find(timers, "t.upper", 1),
					}
					if form == "Timings" && got.count == exact.count {
						assert.Less(t, got.sum, sum*0.9, "each line is one observation to the sum")
						got.sum = no
					}
					return got
				})
				require.Zero(t, etsy.BadLines())
			})
		}
		for _, form := range []string{"Histograms", "Distributions"} { // a counter of milliseconds, which is no use
			t.Run(form, func(t *testing.T) {
				etsy := receivers.StartEtsy(t)
				send(t, etsy.Address, forms[form])
				require.Eventually(t, func() bool { return etsy.Counters()["t"] > 0 }, 5*time.Second, 20*time.Millisecond)
			})
		}
		t.Run("packed", func(t *testing.T) {
			etsy := receivers.StartEtsyWithTimers(t)
			send(t, etsy.Address, forms["Timings, packed"])
			require.Eventually(t, func() bool { return etsy.Timers()["t.count"] > 0 }, 5*time.Second, 20*time.Millisecond)
			time.Sleep(200 * time.Millisecond)
			require.Less(t, etsy.Timers()["t.count"], exact.count, "values are lost")
		})
	})

	t.Run("statsd_exporter", func(t *testing.T) {
		for form, scale := range map[string]float64{ // to milliseconds; it shows |ms in seconds, and |h and |d as they come
			"Timings": 1000, "Parts": ns, "Sum": 1000, "Histograms": 1, "Distributions": 1,
			"Timings, packed": 1000, "Distributions, packed": 1,
		} {
			t.Run(form, func(t *testing.T) {
				exporter := receivers.StartExporter(t)
				send(t, exporter.Address, forms[form])
				name, want, tolerance := "t", timerAt{exact.count, sum, no, no}, bucket
				switch form {
				case "Parts":
					name, want, tolerance = "t_ns", exact, 0
				case "Sum":
					want, tolerance = timerAt{batches, sum, no, no}, 0
				}
				requireTimer(t, want, tolerance, func() timerAt {
					values := exporter.Metrics()
					return timerAt{
						find(values, name+"_count", 1), find(values, name+"_sum", scale),
						find(values, name+"_min", scale), find(values, name+"_max", scale),
					}
				})
			})
		}
	})

	t.Run("telegraf", func(t *testing.T) {
		for form, kind := range map[string]string{
			"Timings": "timing", "Parts": "", "Sum": "timing", "Histograms": "histogram",
		} {
			t.Run(form, func(t *testing.T) {
				telegraf := receivers.StartTelegraf(t)
				send(t, telegraf.Address, forms[form])
				want, tolerance := exact, bucket
				switch form {
				case "Parts":
					tolerance = 0
				case "Sum":
					want, tolerance = timerAt{batches, sum, sum / batches, sum / batches}, 0
				}
				requireTimer(t, want, tolerance, func() timerAt {
					if form == "Parts" {
						counters, gauges := telegraf.Counters(), telegraf.Gauges()
						return timerAt{
							find(counters, "t.ns.count", 1), find(counters, "t.ns.sum", ns),
							find(gauges, "t.ns.min", ns), find(gauges, "t.ns.max", ns),
						}
					}
					got := telegraf.Timings(kind)["t"]
					return timerAt{got.Count, got.Sum, got.Lower, got.Upper}
				})
				require.Empty(t, telegraf.Errors())
			})
		}
		t.Run("Distributions", func(t *testing.T) { // it passes on each value, and not the sample rates
			telegraf := receivers.StartTelegraf(t)
			send(t, telegraf.Address, forms["Distributions"])
			require.Eventually(t, func() bool { return len(telegraf.Distributions()) > 0 }, 5*time.Second, 20*time.Millisecond)
			time.Sleep(200 * time.Millisecond)
			require.Less(t, len(telegraf.Distributions()), batches*observations/2)
		})
		t.Run("packed", func(t *testing.T) {
			telegraf := receivers.StartTelegraf(t)
			send(t, telegraf.Address, forms["Timings, packed"])
			require.Eventually(t, func() bool { return len(telegraf.Errors()) > 0 }, 5*time.Second, 20*time.Millisecond)
			require.Contains(t, strings.Join(telegraf.Errors(), ""), "unable to parse metric")
		})
	})
}

// With the option of servers that take signs literally, all others add a negative gauge to the value before. Without
// it, all that run here are right.
func TestSignsAtTheServers(t *testing.T) {
	for name, test := range map[string]struct {
		opts []statsdsink.Option
		want float64
	}{
		"two lines": {nil, -4},
		"signed":    {[]statsdsink.Option{statsdsink.WithSignedGauges()}, 2 - 3 - 4},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(address string) {
				b := newBuffer(t, "tcp", address, test.opts...)
				for _, v := range []float64{2, -3, -4} {
					b.SetGauge("g", v)
					require.NoError(t, b.Flush(t.Context()))
				}
			}
			etsy, exporter := receivers.StartEtsy(t), receivers.StartExporter(t)
			servers := map[string]func() map[string]float64{
				etsy.Address: etsy.Gauges, exporter.Address: exporter.Metrics,
			}
			if test.opts == nil { // telegraf forgets gauges after an interval, so that it adds to the value or to zero
				telegraf := receivers.StartTelegraf(t)
				servers[telegraf.Address] = telegraf.Gauges
			}
			for server, read := range servers {
				set(server)
				require.EventuallyWithT(t, func(t *assert.CollectT) {
					assert.Equal(t, int(test.want), int(read()["g"]))
				}, 5*time.Second, 20*time.Millisecond)
			}
		})
	}
}

// A kept connection has the same totals at the servers, also at one that is stopped and started between two batches.
func TestKeptConnectionAtTheServers(t *testing.T) {
	kept := statsdsink.WithKeptConnection()
	t.Run("StatsD", func(t *testing.T) {
		etsy := receivers.StartEtsy(t)
		b := newBuffer(t, "tcp", etsy.Address, parts, kept)
		b.IncrCounter("told to the server that is stopped", 1)
		require.NoError(t, b.Flush(t.Context()))
		etsy.Stop()
		etsy.Start()
		work(t, b)
		requireWork(t, etsy.Counters, etsyName, 0)
		require.Zero(t, etsy.BadLines())
	})
	t.Run("statsd_exporter", func(t *testing.T) {
		exporter := receivers.StartExporter(t)
		work(t, newBuffer(t, "tcp", exporter.Address, parts, kept))
		requireWork(t, exported(exporter, "plain", "produce_status", "callback"), exporterName, 0)
	})
	t.Run("telegraf", func(t *testing.T) {
		telegraf := receivers.StartTelegraf(t)
		work(t, newBuffer(t, "tcp", telegraf.Address, parts, kept))
		requireWork(t, telegraf.Counters, etsyName, 0)
		require.Empty(t, telegraf.Errors())
	})
}
