package promsink_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
)

func TestCollisions(t *testing.T) {
	timer := func(name string) metricsbuffer.Point {
		return metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: name, Count: 1,
			Buckets: &metricsbuffer.Buckets{Zeros: 1}}
	}
	tenths := func(name string, count int64) metricsbuffer.Point {
		return metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Count: count, Decimals: 1}
	}
	a, b := tag{Key: "k", Value: "a"}, tag{Key: "k", Value: "b"}
	for _, c := range []struct {
		first, second       metricsbuffer.Point
		one, two, contested string
	}{
		{counter("a.b", 1), counter("a-b", 2), `counter "a.b"`, `counter "a-b"`, "a_b_total"},
		{counter("a.b", 1, a), counter("a-b", 2, b), `counter "a.b"`, `counter "a-b"`, "a_b_total"},
		{counter("a", 1), counter("a.total", 2), `counter "a"`, `counter "a.total"`, "a_total"},
		{counter("a", 1), gauge("a", 2), `counter "a"`, `gauge "a"`, "a"},
		{counter("a", 1), tenths("a", 2), `counter "a"`, `counter "a" (decimals: 1)`, "a_total"},
		{counter("a", 1), gauge("a.total", 2), `counter "a"`, `gauge "a.total"`, "a_total"},
		{counter("a", 1), gauge("a.created", 2), `counter "a"`, `gauge "a.created"`, "a_created"},
		{timer("a"), gauge("a.seconds.created", 2), `timer "a"`, `gauge "a.seconds.created"`, "a_seconds_created"},
		{timer("a"), gauge("a.seconds.count", 2), `timer "a"`, `gauge "a.seconds.count"`, "a_seconds_count"},
		{gauge("a.seconds.count", 2), timer("a"), `gauge "a.seconds.count"`, `timer "a"`, "a_seconds_count"},
		{counter("a", 1, tag{Key: "x.y", Value: "1"}), counter("a", 1, tag{Key: "x_y", Value: "1"}),
			`counter "a" with the keys ["x.y"]`, `counter "a" with the keys ["x_y"]`, "a_total"},
		{counter("a", 1, tag{Key: "x", Value: ""}), counter("a", 1),
			`counter "a" with the keys ["x"]`, `counter "a"`, "a_total"},
	} {
		sink := detached(t)
		batch := second(c.first, c.second)
		err := sink.Write(t.Context(), batch)
		require.ErrorContains(t, err, "promsink: "+c.one+" and "+c.two+" would both be "+c.contested+":")
		_, dropped := batch.Dropped(0)
		require.False(t, dropped)
		reason, dropped := batch.Dropped(1)
		require.True(t, dropped)
		require.Contains(t, reason, "another's")
		require.Equal(t, 2, batch.Acknowledged())

		batch = second(c.second, c.first)
		require.NoError(t, sink.Write(t.Context(), batch), "reported once")
		_, dropped = batch.Dropped(0)
		require.True(t, dropped, "and dropped again")
		registry := registryOf(sink)
		_ = text(t, registry)
	}
}

// Series that collide are reported once for each pair of names, however many there are, and however long the names.
func TestCollisionsOfManySeries(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "theirs"}))
	sink := detached(t, promsink.WithGatherer(registry))
	long := strings.Repeat("l", 1000)
	batch := second(gauge("a.b", 1), gauge(long+".", 1))
	const n = 1000
	for i := range n {
		value := fmt.Sprint(i)
		batch.Points = append(batch.Points, gauge("a-b", 1, tag{Key: "k", Value: value}),
			gauge("same", 1, tag{Key: "x.y", Value: value}), gauge("same", 1, tag{Key: "x-y", Value: value}),
			gauge(long+"-", 1, tag{Key: "k", Value: value}), gauge("theirs", 1, tag{Key: "k", Value: value}))
	}
	err := sink.Write(t.Context(), batch)
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
	require.Less(t, len(err.Error()), 1500)
	_, err = sink.Gather()
	require.NoError(t, err)
	require.ErrorContains(t, sink.Write(t.Context(), second()), `gauge "theirs" would be theirs`)
	dropped := 0
	batch = second(batch.Points...)
	require.NoError(t, sink.Write(t.Context(), batch))
	for i := range batch.Points {
		if reason, ok := batch.Dropped(i); ok {
			require.Equal(t, "its name in Prometheus is another's", reason)
			dropped++
		}
	}
	require.Equal(t, 4*n, dropped)
}

func TestDropped(t *testing.T) {
	sink := detached(t)
	batch := second(
		counter("up", 5),
		counter("same", 1, tag{Key: "k", Value: "1"}, tag{Key: "k", Value: "2"}),
		counter("alike", 1, tag{Key: "k-", Value: "1"}, tag{Key: "k_", Value: "2"}),
		counter("bytes", 1, tag{Key: "k", Value: "\xff"}),
		metricsbuffer.Point{Kind: 200, Name: "new"},
		gauge("", 1),
		gauge("keyless", 1, tag{Key: "", Value: "v"}),
	)
	require.NoError(t, sink.Write(t.Context(), batch))
	for i, want := range []string{"", "two values", "two values", "UTF-8", "kind", "no name", "without a key"} {
		reason, dropped := batch.Dropped(i)
		require.Equal(t, want != "", dropped)
		require.Contains(t, reason, want)
	}

	batch = second(counter("up", math.MinInt64))
	require.NoError(t, sink.Write(t.Context(), batch))
	reason, dropped := batch.Dropped(0)
	require.True(t, dropped)
	require.Equal(t, "negative counter delta", reason)
	registry := registryOf(sink)
	require.Equal(t, "# HELP up_total The counter \"up\".\n# TYPE up_total counter\nup_total 5\n", text(t, registry))
}

// A unit belongs to the name: the same series in two units is two, and they can collide with others.
func TestUnits(t *testing.T) {
	histogram := func(name, unit string) metricsbuffer.Point {
		return metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: name, Unit: unit, Count: 1,
			Buckets: &metricsbuffer.Buckets{Zeros: 1}}
	}
	sink := detached(t)
	batch := second(histogram("size", "bytes"), histogram("size", "rows"), histogram("size", "b/s"),
		histogram("size", "b-s"), histogram("size.bytes", ""), histogram("size.bytes", "bytes"), histogram("size", "b.s"))
	batch.Points[6].Tags = []tag{{Key: "k", Value: "v"}} // it is of the same metric all the same
	err := sink.Write(t.Context(), batch)
	const once = "would both be size_b"
	require.ErrorContains(t, err, `histogram "size" in "b/s" and histogram "size" in "b-s" would both be size_b_s:`)
	require.ErrorContains(t, err, `histogram "size" in "bytes" and histogram "size.bytes" would both be size_bytes:`)
	require.ErrorContains(t, err,
		`histogram "size" in "bytes" and histogram "size.bytes" in "bytes" would both be size_bytes:`)
	require.ErrorContains(t, err,
		`histogram "size" in "b/s" and histogram "size" in "b.s" would both be size_b_s:`)
	require.Equal(t, 4, strings.Count(err.Error(), once))
	for i, want := range []bool{false, false, false, true, true, true, true} {
		_, dropped := batch.Dropped(i)
		require.Equal(t, want, dropped, batch.Points[i])
	}
	families := scrape(t, registryOf(sink))
	require.Len(t, families, 3)
	for _, name := range []string{"size_bytes", "size_rows", "size_b_s"} {
		require.EqualValues(t, 1, families[name].Metric[0].Histogram.GetSampleCount(), name)
	}
}

// A name does not run into a label, though 'a' is also the length of a label's name of 97 bytes.
func TestKeysDoNotRunTogether(t *testing.T) {
	l, m, v := strings.Repeat("l", 'A'), strings.Repeat("m", 30), strings.Repeat("v", 'B')
	sink := detached(t)
	batch := second(
		gauge("x", 1, tag{Key: "A" + l + "a" + m, Value: v}),
		gauge("xa", 2, tag{Key: l, Value: m + "B" + v}),
	)
	require.NoError(t, sink.Write(t.Context(), batch))
	families := scrape(t, registryOf(sink))
	require.InDelta(t, 1, families["x"].Metric[0].Gauge.GetValue(), 0)
	require.InDelta(t, 2, families["xa"].Metric[0].Gauge.GetValue(), 0)
}

// OpenMetrics has counters without their suffix. A name that is nothing else keeps an underscore.
func TestSuffixAlone(t *testing.T) {
	sink := detached(t)
	require.NoError(t, sink.Write(t.Context(), second(counter("_total", 1))))
	families, err := sink.Gather()
	require.NoError(t, err)
	var page bytes.Buffer
	_, err = expfmt.MetricFamilyToOpenMetrics(&page, families[0])
	require.NoError(t, err)
	require.Contains(t, page.String(), "# TYPE _ counter\n__total 1.0\n")
}

// TestHelp: client_golang's parsers read the description that was given, from the pages of both sinks, whatever it has.
func TestHelp(t *testing.T) {
	own := newSink(t)
	other, err := openmetricssink.New()
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(own), metricsbuffer.WithSink(other))
	require.NoError(t, err)
	defer buffer.Close()
	served := promhttp.HandlerFor(own, promhttp.HandlerOpts{})
	for _, help := range []string{
		"Jobs that are done.", "two\nlines 7", `a "quote"`, `\`, `\n`, "\xff\xfe", "\r", "\x00", "é",
		"jobs_total 7\n# EOF\n", strings.Repeat("long", 10_000),
	} {
		buffer.IncrCounter("jobs", 1, tag{Key: "k", Value: help[:1]})
		buffer.IncrCounter("jobs", 1)
		buffer.Describe("jobs", help, "")
		want := strings.ToValidUTF8(help, "\ufffd")
		for name, handler := range map[string]http.Handler{"promsink": served, "openmetricssink": other} {
			parser := expfmt.NewTextParser(model.LegacyValidation)
			text := page(t, handler, expfmt.NewFormat(expfmt.TypeTextPlain))
			families, err := parser.TextToMetricFamilies(strings.NewReader(text))
			require.NoError(t, err)
			require.Len(t, families, 1)
			require.Equal(t, want, families["jobs_total"].GetHelp(), name)
			decoded, err := decodeFamilies(page(t, handler, expfmt.NewFormat(expfmt.TypeProtoDelim)))
			require.NoError(t, err)
			require.Len(t, decoded, 1)
			require.Equal(t, want, decoded[0].GetHelp(), name)
		}
	}
}
