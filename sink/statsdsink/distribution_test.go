package statsdsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
)

type buckets = metricsbuffer.Buckets

// The shares of a bucket add up to its observations, they are few, and each is exact after every server's arithmetic:
// the rate is read from the line as StatsD's pattern finds it, and 1/rate is taken in float64 (StatsD, OpenTelemetry),
// cut off to an integer (statsd_exporter, telegraf, Datadog), and with packing, where all weights are powers of two,
// in float32.
func TestSharesAreExact(t *testing.T) {
	rate := regexp.MustCompile(`^\|d(?:\|@([\d.]+))?\n$`)
	read := func(tail string, packing bool) (weight float64, ok bool) {
		match := rate.FindStringSubmatch(tail)
		if match == nil || match[1] == "" {
			return 1, match != nil
		}
		read, err := strconv.ParseFloat(match[1], 64)
		weight = 1 / read
		return weight, err == nil && weight == math.Trunc(weight) && (!packing || weight == float64(1/float32(read)))
	}
	e := newEncoder(t, WithTimers(Distributions))
	var known map[uint64]bool // the weights whose line was read already
	check := func(n uint64, packing bool) {
		d := distribution{buckets: &buckets{Zeros: n}, packing: packing}
		shares, sum := 0, uint64(0)
		for share := range d.each {
			if !known[share.weight] {
				known[share.weight] = true
				tail := string(e.appendTail(nil, share.weight))
				if weight, ok := read(tail, packing); !ok || weight != float64(share.weight) {
					t.Fatalf("of %d, a share of %d is written %q, which reads %v", n, share.weight, tail, weight)
				}
			}
			if share.weight > max(1<<16, n/1024) || share.bucket != zeros {
				t.Fatalf("of %d, a share has the weight %d and is in bucket %d", n, share.weight, share.bucket)
			}
			shares, sum = shares+1, sum+share.weight
		}
		require.Equal(t, n, sum)
		require.LessOrEqual(t, shares, int(min(n>>16, 2047)+64))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, packing := range []bool{false, true} {
		known = make(map[uint64]bool)
		for n := range uint64(2000) {
			check(n, packing)
		}
		for range 2000 {
			check(random.Uint64()>>random.IntN(64), packing)
		}
		for _, n := range []uint64{1<<16 - 1, 1 << 16, 1<<16 + 1, 1 << 27, 1<<27 - 1, 1 << 63, math.MaxUint64} {
			check(n, packing)
		}
	}
}

// Shares come in the order of buckets. A bucket is one share if that is exact.
func TestSharesOfEachBucket(t *testing.T) {
	b := &buckets{Zeros: 2, Offset: 5, Counts: []uint64{0, 10, 49, 0, 1, 0}}
	collect := func(d distribution) (shares []share) {
		d.each(func(s share) bool { shares = append(shares, s); return true })
		return shares
	}
	require.Equal(t, []share{{zeros, 2}, {6, 10}, {7, 32}, {7, 17}, {9, 1}}, collect(distribution{buckets: b}))
	require.Equal(t, []share{
		{7, 32}, {7, 16}, {6, 8}, {zeros, 2}, {6, 2}, {7, 1}, {9, 1},
	}, collect(distribution{buckets: b, packing: true}))
	credit := &buckets{Zeros: 1, Offset: 6, Counts: []uint64{10, 50, 7}}
	require.Equal(t, []share{{zeros, 1}, {9, 1}}, collect(distribution{buckets: b, credit: credit}))
}

func TestFormsOfTimers(t *testing.T) {
	// Ten observations of about 1.5 ms, one of zero.
	timing := point{
		Name: "t", Tags: tags{tag("k", "v")}, Kind: timer, Count: 11, Sum: 15_000_001, Min: 0, Max: 1_500_000,
		Buckets: &buckets{Zeros: 1, Offset: 327, Counts: []uint64{3, 0, 7}},
	}
	sizes := timing
	sizes.Name, sizes.Kind, sizes.Unit = "h", metricsbuffer.KindHistogram, "bytes"
	const parts = "h.hist-bytes.count:11|c|#k:v\nh.hist-bytes.sum:15000001|c|#k:v\n" +
		"h.hist-bytes.min:0|g|#k:v\nh.hist-bytes.max:1500000|g|#k:v\n"
	for _, test := range []struct {
		opts []Option
		want string
	}{
		{[]Option{WithTimers(Sum)}, "t:15.000001|ms|#k:v\n" + parts},
		{
			[]Option{WithTimers(Sum), WithGraphiteTags()},
			"t;k=v:15.000001|ms\n" + regexp.MustCompile(`(.*):(.*)\|#k:v`).ReplaceAllString(parts, "$1;k=v:$2"),
		},
		{
			[]Option{WithTimers(Timings)},
			"t:0|ms|#k:v\nt:1.451135|ms|@0.3333333333333333|#k:v\nt:1.5|ms|@0.14285714285714285|#k:v\n" + parts,
		},
		{
			[]Option{WithTimers(Histograms), WithPacking(), WithContainerID("id")},
			"t:1.5|h|@0.25|#k:v|c:id\nt:1.451135:1.5|h|@0.5|#k:v|c:id\nt:0:1.451135:1.5|h|#k:v|c:id\n" +
				"h.hist-bytes:1500000|h|@0.25|#k:v|c:id\nh.hist-bytes:1451135:1500000|h|@0.5|#k:v|c:id\n" +
				"h.hist-bytes:0:1451135:1500000|h|#k:v|c:id\n",
		},
		{
			[]Option{WithTimers(Distributions), WithTags(tag("k", "w"))},
			"t:0|d|#k:w,_x_k:v\nt:1.451135|d|@0.3333333333333333|#k:w,_x_k:v\n" +
				"t:1.5|d|@0.14285714285714285|#k:w,_x_k:v\n" +
				"h.hist-bytes:0|d|#k:w,_x_k:v\nh.hist-bytes:1451135|d|@0.3333333333333333|#k:w,_x_k:v\n" +
				"h.hist-bytes:1500000|d|@0.14285714285714285|#k:w,_x_k:v\n",
		},
	} {
		var got strings.Builder
		s, err := NewWriter(&got, test.opts...)
		require.NoError(t, err)
		batch := &metricsbuffer.Batch{Points: []point{timing, sizes}}
		require.NoError(t, s.Write(t.Context(), batch))
		require.Equal(t, test.want, got.String())
	}
}

// A value stands for its bucket, lies between minimum and maximum, and is exact if all observations are equal.
func TestValuesOfShares(t *testing.T) {
	for _, v := range []int64{1, 2, 3, 10, 1000, 123_456_789, math.MaxInt64 - 1, math.MaxInt64} {
		b, err := metricsbuffer.New(metricsbuffer.WithSink(metricsbuffer.SinkFunc(
			func(_ context.Context, batch *metricsbuffer.Batch) error {
				p := &batch.Points[0]
				i := 0
				for p.Buckets.Counts[i] == 0 {
					i++
				}
				require.Equal(t, v, value(p, p.Buckets.Offset+i))
				p = &point{Min: 0, Max: math.MaxInt64}
				got := value(p, batch.Points[0].Buckets.Offset+i)
				require.InEpsilon(t, float64(v), float64(got), 0.022)
				return nil
			})), metricsbuffer.WithInterval(0))
		require.NoError(t, err)
		b.Histogram("h", "").Observe(v)
		require.NoError(t, b.Flush(t.Context()))
		require.NoError(t, b.Close())
	}
	for _, at := range []int{math.MinInt + 1, -2, 1008, math.MaxInt} { // none of a buffer's
		p := &point{Min: 3, Max: 5}
		require.Contains(t, []int64{3, 5}, value(p, at))
	}
}

func TestDistributionsThatCannotBeSent(t *testing.T) {
	var written strings.Builder
	s, err := NewWriter(&written, WithTimers(Timings), WithMaxPacket(100))
	require.NoError(t, err)
	one := &buckets{Offset: 10, Counts: []uint64{1}}
	batch := &metricsbuffer.Batch{Points: []point{
		{Name: "a", Kind: timer, Count: 1},
		{Name: "b", Kind: timer, Count: 1, Min: -3, Max: -3, Buckets: one},
		{Name: strings.Repeat("c", 100), Kind: timer, Count: 1, Min: 2, Max: 2, Buckets: one},
		{Name: "d", Kind: timer, Count: 1, Min: 2, Max: 2, Buckets: one},
	}}
	require.NoError(t, s.Write(t.Context(), batch))
	for i, want := range []string{noBuckets, negative, tooLong, ""} {
		got, _ := batch.Dropped(i)
		require.Equal(t, want, got)
	}
	require.Equal(t, "d:0.000002|ms\n", written.String())
}

// A refuser takes a number of packets, then no more.
type refuser struct {
	strings.Builder
	left int
}

var errRefused = errors.New("refused")

func (r *refuser) Write(packet []byte) (int, error) {
	if r.left == 0 {
		return 0, errRefused
	}
	r.left--
	return r.Builder.Write(packet)
}

// arrived adds up the observations in the lines, by the text before the colon and by bucket.
func arrived(t *testing.T, lines string) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for line := range strings.Lines(lines) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		fields := strings.Split(rest, "|")
		weight := 1.0
		if len(fields) > 2 && fields[2][0] == '@' {
			rate, err := strconv.ParseFloat(fields[2][1:], 64)
			require.NoError(t, err, line)
			weight = 1 / rate
		}
		for written := range strings.SplitSeq(fields[0], ":") {
			ms, err := strconv.ParseFloat(written, 64)
			require.NoError(t, err, line)
			counts[bucketOf(name, int64(math.Round(ms*1e6)))] += int(weight)
		}
	}
	return counts
}

func bucketOf(name string, v int64) string {
	if v == 0 {
		return name + " zero"
	}
	return fmt.Sprint(name, " ", bucket.Index(v))
}

// Every observation arrives once, even if writing fails often in the middle of a point: also those that are recorded
// in the meantime, in the buckets that have arrived or in others.
func TestInterruptedDistributionsArriveOnce(t *testing.T) {
	for _, opts := range [][]Option{
		{WithTimers(Timings)}, {WithTimers(Distributions), WithPacking()}, {WithTimers(Timings), WithGraphiteTags()},
	} {
		for packets := range 6 {
			w := &refuser{}
			s, err := NewWriter(w, append(opts, WithMaxPacket(120))...)
			b := buffer(t, s, err)
			random := rand.New(rand.NewPCG(uint64(packets), 0))
			want := make(map[string]int)
			record := func(n int) {
				for i := range n {
					name := "t" + strconv.Itoa(i%3)
					v := time.Duration(random.Int64N(20)) * time.Duration(random.Int64N(1_000_000))
					for range 1 + random.IntN(60) {
						b.IncrTimer(name, v)
						want[bucketOf(name, int64(v))]++
					}
				}
			}
			for range 8 {
				record(30)
				w.left = packets
				require.ErrorIs(t, b.Flush(t.Context()), errRefused)
			}
			if packets > 0 {
				require.NotEmpty(t, s.received, "no point was interrupted")
			}
			require.LessOrEqual(t, len(s.received), 3)
			w.left = math.MaxInt
			require.NoError(t, b.Flush(t.Context()))
			require.Equal(t, want, arrived(t, w.String()))
			require.Empty(t, s.received)

			record(3)
			require.NoError(t, b.Flush(t.Context()))
			require.Equal(t, want, arrived(t, w.String()))
		}
	}
}

// Two buffers may share a sink and have a series of the same name. The server gets the observations of both.
func TestInterruptedDistributionsOfTwoBuffers(t *testing.T) {
	w := &refuser{}
	s, err := NewWriter(w, WithTimers(Timings), WithMaxPacket(80))
	b, other := buffer(t, s, err), buffer(t, s, err)
	want := make(map[string]int)
	record := func(b *metricsbuffer.Buffer, n int) {
		for i := range n {
			b.IncrTimer("t", time.Duration(i))
			want[bucketOf("t", int64(i))]++
		}
	}
	record(b, 100)
	w.left = 3
	require.ErrorIs(t, b.Flush(t.Context()), errRefused)
	require.NotEmpty(t, s.received)
	w.left = math.MaxInt
	record(other, 2)
	require.NoError(t, other.Flush(t.Context()))
	require.NotEmpty(t, s.received, "more has arrived than the other buffer recorded")
	require.NoError(t, b.Flush(t.Context()))
	require.Empty(t, s.received)
	require.Equal(t, want, arrived(t, w.String()))
}

// The shares of a point fill each packet as far as possible.
func TestDistributionsFillPackets(t *testing.T) {
	const limit = 200
	for _, opts := range [][]Option{{WithTimers(Timings)}, {WithTimers(Distributions), WithPacking()}} {
		p := point{Name: "t", Kind: timer, Max: math.MaxInt64, Buckets: &buckets{Counts: make([]uint64, 1000)}}
		for i := range p.Buckets.Counts {
			p.Buckets.Counts[i] = uint64(i)
			p.Count += int64(i)
		}
		s, err := NewWriter(io.Discard, append(opts, WithMaxPacket(limit))...)
		require.NoError(t, err)
		packets, short := 0, 0
		sum := 0
		require.NoError(t, s.pack(&metricsbuffer.Batch{Points: []point{p}}, func(packet []byte, _ place) error {
			require.LessOrEqual(t, len(packet), limit)
			require.Equal(t, byte('\n'), packet[len(packet)-1])
			if packets++; len(packet) < limit-60 {
				short++
			}
			for _, n := range arrived(t, string(packet)) {
				sum += n
			}
			return nil
		}))
		require.Greater(t, packets, 10)
		require.LessOrEqual(t, short, 1)
		require.EqualValues(t, p.Count, sum)
	}
}
