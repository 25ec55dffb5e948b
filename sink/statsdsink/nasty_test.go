package statsdsink_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

// Names, keys and values that try to be lines, tags, values, other series, or nothing at all.
var nasty = []string{
	"", " ", "_", "_x_", "_x20_", "a b", "a_b", "a/b", "a-b", "a\nb:1|c", "a:2|c", "a|b", "a,b", "a#b", "a;b=c", "a=b",
	"a|#k:v", "é", "\xff", "\x00", "a[b]", "@0.1", "x.ns.count", "constructor", "__proto__", "toString", "_sc",
	"_e{1,1}", "-.", "..",
}

func TestNastySeriesStayApart(t *testing.T) {
	record := func(t *testing.T, b *metricsbuffer.Buffer) (series int) {
		for _, s := range nasty {
			b.IncrCounter(s, 1)
			b.IncrCounter("value", 1, tag("k", s))
			b.IncrCounter("key", 1, tag(s, "v"))
			b.IncrCounter("both", 1, tag("k", s), tag("k2", s))
			series += 4
		}
		require.NoError(t, b.Flush(t.Context()))
		return series
	}
	allOnes := func(t *testing.T, want int, read func() map[string]float64) {
		t.Helper()
		require.Eventually(t, func() bool { return len(read()) >= want }, 5*time.Second, 20*time.Millisecond)
		got := read()
		require.Len(t, got, want)
		for name, count := range got {
			require.Equal(t, 1, int(count), name)
		}
	}
	t.Run("etsy", func(t *testing.T) {
		for _, opts := range [][]statsdsink.Option{nil, {statsdsink.WithGraphiteTags()}} {
			etsy := receivers.StartEtsy(t)
			allOnes(t, record(t, newBuffer(t, "tcp", etsy.Address, opts...)), etsy.Counters)
			require.Zero(t, etsy.BadLines())
		}
	})
	t.Run("exporter", func(t *testing.T) {
		exporter := receivers.StartExporter(t)
		series := record(t, newBuffer(t, "tcp", exporter.Address, statsdsink.WithPrefix("ours.")))
		// It writes a-b as a_b. So one name and one key are lost, and the sink cannot prevent it.
		read := exported(exporter, "ours_")
		require.Eventually(t, func() bool { return len(read()) >= series-2 }, 5*time.Second, 20*time.Millisecond)
		require.Len(t, read(), series-2)
		var sum float64
		for _, count := range read() {
			sum += count
		}
		require.Equal(t, series, int(sum))
	})
}

// A timer with one of Prometheus' own labels made statsd_exporter panic, and all that it had was lost.
func TestTagsThatEndTheExporter(t *testing.T) {
	for _, form := range []statsdsink.Form{statsdsink.Timings, statsdsink.Distributions} {
		exporter := receivers.StartExporter(t)
		b := newBuffer(t, "tcp", exporter.Address, statsdsink.WithTimers(form), statsdsink.WithTags(tag("le", "1")))
		b.IncrTimer("t", time.Second, tag("quantile", "0.5"))
		require.NoError(t, b.Flush(t.Context()))
		require.Eventually(t, func() bool {
			return exporter.Metrics()[`t_count{_x6C_e="1",_x71_uantile="0.5"}`] == 1
		}, 5*time.Second, 20*time.Millisecond)
	}
}

func TestNegativeValuesAtTheServers(t *testing.T) {
	send := func(t *testing.T, b *metricsbuffer.Buffer) {
		for _, v := range []float64{5, -5, -7.25, 3} {
			b.SetGauge("g", v)
			b.SetGauge("negative", -math.Abs(v))
			require.NoError(t, b.Flush(t.Context()))
		}
		b.IncrCounter("negatives", -12)
		b.IncrTimer("t", -3)
		require.NoError(t, b.Flush(t.Context()))
	}
	etsy := receivers.StartEtsy(t)
	send(t, newBuffer(t, "tcp", etsy.Address))
	gauges := etsy.Gauges()
	require.Equal(t, 3, int(gauges["g"]))
	require.Equal(t, -3, int(gauges["negative"]))
	require.Equal(t, -12, int(etsy.Counters()["negatives"]))

	exporter := receivers.StartExporter(t)
	send(t, newBuffer(t, "unixgram", exporter.Socket))
	const refused = `statsd_exporter_events_error_total{reason="illegal_negative_counter"}`
	require.Eventually(t, func() bool { return exporter.Metrics()[refused] > 0 }, 5*time.Second, 20*time.Millisecond)
	metrics := exporter.Metrics()
	require.Equal(t, 3, int(metrics["g"]))
	require.Equal(t, -3, int(metrics["negative"]))
	require.NotContains(t, metrics, "negatives")
}
