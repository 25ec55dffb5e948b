package statsdsink

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

func write(t *testing.T, batch *metricsbuffer.Batch, opts ...Option) string {
	t.Helper()
	var written strings.Builder
	s, err := NewWriter(&written, opts...)
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), batch))
	return written.String()
}

func TestQuantiles(t *testing.T) {
	for q, want := range map[float64]string{
		0.5: ".p50", 0.9: ".p90", 0.99: ".p99", 0.999: ".p99_9", 0.05: ".p5", 0.001: ".p0_1", 0.25: ".p25", 0.123: ".p12_3",
	} {
		require.Equal(t, want, quantilePart(q))
		require.True(t, isPart(want))
	}
	p := point{
		Name: "t", Kind: timer, Count: 3, Sum: 6, Min: 1, Max: 3, Buckets: &buckets{Offset: -1, Counts: make([]uint64, 26)},
	}
	p.Buckets.Counts[0], p.Buckets.Counts[16], p.Buckets.Counts[25] = 1, 1, 1
	batch := &metricsbuffer.Batch{Points: []point{p, {Name: "u", Kind: timer}}}
	require.Equal(t, "t.ns.count:3|c\nt.ns.sum:6|c\nt.ns.min:1|g\nt.ns.max:3|g\nt.ns.p50:2|g\nt.ns.p90:3|g\n"+
		"u.ns.count:0|c\nu.ns.sum:0|c\n", // without an observation
		write(t, batch, WithTimers(Parts), WithQuantiles(0.9, 0.5), WithQuantiles(0.5)))

	empty := &metricsbuffer.Batch{Points: []point{{Name: "t", Kind: timer, Buckets: new(buckets)}}}
	for _, form := range []Form{Timings, Sum, Histograms, Distributions} {
		require.Empty(t, write(t, empty, WithTimers(form)), "an observation of 0 would not be true")
	}

	batch = &metricsbuffer.Batch{Points: []point{{Name: "t.ns.p50", Kind: gauge}, {Name: "t.ns.pool", Kind: gauge}}}
	require.Equal(t, "t.ns_x2E_p50:0|g\nt.ns.pool:0|g\n", write(t, batch))
}

func TestHistogramsAndTimersStayApart(t *testing.T) {
	batch := &metricsbuffer.Batch{Points: []point{
		{Name: "a.hist-b", Kind: timer, Max: 1, Buckets: &buckets{Zeros: 1}},
		{Name: "a", Kind: metricsbuffer.KindHistogram, Unit: "b", Max: 1, Buckets: &buckets{Zeros: 1}},
	}}
	require.Equal(t, "a_x2E_hist-b:0|d\na.hist-b:0|d\n", write(t, batch, WithTimers(Distributions)))
}

func TestTimestamps(t *testing.T) {
	batch := &metricsbuffer.Batch{End: time.Unix(1_700_000_000, 999), Points: []point{
		{Name: "c", Tags: tags{tag("k", "v")}, Count: 2}, {Name: "g", Kind: gauge, Value: -2},
		{Name: "t", Kind: timer, Count: 1, Sum: 1e6, Min: -1},
	}}
	require.Equal(t, "_x63_:2|c|#k:v|c:id|T1700000000\ng:-2|g|c:id|T1700000000\nt:1|ms|c:id\n",
		write(t, batch, WithTimestamps(), WithTimers(Sum), WithContainerID("id")))
	require.Contains(t, write(t, batch, WithTimestamps(), WithTimers(Parts)), "\nt.ns.min:-1|g|T1700000000\n")
	batch.End = time.Time{}
	require.NotContains(t, write(t, batch, WithTimestamps()), "|T")
}

// A series keeps a tag that has the same key as a constant tag.
func TestConstantTags(t *testing.T) {
	constant := []metricsbuffer.Tag{tag("z", ":"), tag("b", "2"), tag("b", "1")}
	batch := &metricsbuffer.Batch{Points: []point{
		{Name: "n"}, {Name: "n", Tags: tags{tag("a", "1"), tag("b", "1"), tag("b", "1"), tag("z", ":")}},
	}}
	opts := []Option{WithTags(constant...), WithTags(tag("y", ""))}
	constant[0] = tag("changed", "since") // the sink has its own copy
	require.Equal(t, "n:0|c|#b:2,_x_b:1,y:_x_,z:_x3A_\n"+
		"n:0|c|#b:2,_x_b:1,y:_x_,z:_x3A_,a:1,_x__x_b:1,_x__x__x_b:1,_x_z:_x3A_\n", write(t, batch, opts...))
	require.Equal(t, "n;b=2;_x_b=1;y=_x_;z=_x3A_:0|c\n",
		write(t, &metricsbuffer.Batch{Points: batch.Points[:1]}, append(opts, WithGraphiteTags())...))
}

// A packet is one Write. Written points are acknowledged, the others stay.
func TestWriter(t *testing.T) {
	w := &refuser{left: 2}
	s, err := NewWriter(w, WithMaxPacket(13))
	b := buffer(t, s, err)
	record(b, 10)
	require.ErrorIs(t, b.Flush(t.Context()), errRefused)
	require.Len(t, values(t, w.String()), 2)
	require.Equal(t, total(10)-pending(b), b.Stats().Sinks[0].Acknowledged.Increments)
	w.left = 8
	require.NoError(t, b.Flush(t.Context()))
	require.Zero(t, w.left)
	requireRecorded(t, w.String(), 10, 1)

	require.Equal(t, "statsd *statsdsink.refuser", s.String())
	require.NoError(t, s.Close())
}
