package statsdsink

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

type (
	point = metricsbuffer.Point
	tags  = []metricsbuffer.Tag
)

func tag(key, value string) metricsbuffer.Tag { return metricsbuffer.Tag{Key: key, Value: value} }

const (
	counter = metricsbuffer.KindCounter
	timer   = metricsbuffer.KindTimer
	gauge   = metricsbuffer.KindGauge
)

// newEncoder returns an encoder of Parts, unless the options say otherwise.
func newEncoder(t testing.TB, opts ...Option) *encoder {
	t.Helper()
	s, err := NewWriter(io.Discard, append([]Option{WithTimers(Parts)}, opts...)...)
	require.NoError(t, err)
	return &s.encoder
}

func dialect(graphite bool, opts ...Option) []Option {
	if graphite {
		opts = append(opts, WithGraphiteTags())
	}
	return opts
}

func TestLines(t *testing.T) {
	status := tags{tag("producer", "p 1"), tag("status", "ok")}
	for _, test := range []struct {
		point                  point
		dogstatsd, graphiteTag string
	}{
		{point{Name: "a", Kind: counter, Count: 3}, "a:3|c\n", "a:3|c\n"},
		{
			point{Name: "a", Kind: counter, Count: math.MinInt64, Decimals: 9},
			"a:-9223372036.854775808|c\n", "a:-9223372036.854775808|c\n",
		},
		{
			point{Name: "a", Tags: status, Kind: counter, Count: math.MinInt64},
			"a:-9223372036854775808|c|#producer:p_x20_1,status:ok\n",
			"a;producer=p_x20_1;status=ok:-9223372036854775808|c\n",
		},
		{
			point{Name: "h", Kind: metricsbuffer.KindHistogram, Unit: "b|c", Count: 2, Sum: 3, Min: 1, Max: 2},
			"h.hist-b_x7C_c.count:2|c\nh.hist-b_x7C_c.sum:3|c\nh.hist-b_x7C_c.min:1|g\nh.hist-b_x7C_c.max:2|g\n",
			"h.hist-b_x7C_c.count:2|c\nh.hist-b_x7C_c.sum:3|c\nh.hist-b_x7C_c.min:1|g\nh.hist-b_x7C_c.max:2|g\n",
		},
		{
			point{Name: "t", Tags: status[1:], Kind: timer, Count: 2, Sum: 5_000, Min: -1, Max: 5_001},
			"t.ns.count:2|c|#status:ok\nt.ns.sum:5000|c|#status:ok\n" +
				"t.ns.min:0|g|#status:ok\nt.ns.min:-1|g|#status:ok\nt.ns.max:5001|g|#status:ok\n",
			"t.ns.count;status=ok:2|c\nt.ns.sum;status=ok:5000|c\n" +
				"t.ns.min;status=ok:0|g\nt.ns.min;status=ok:-1|g\nt.ns.max;status=ok:5001|g\n",
		},
		{point{Name: "g", Kind: gauge, Value: 0.5}, "g:0.5|g\n", "g:0.5|g\n"},
		{point{Name: "g", Kind: gauge, Value: -0.5}, "g:0|g\ng:-0.5|g\n", "g:0|g\ng:-0.5|g\n"},
		{
			point{Name: "a", Tags: tags{
				tag("", ""), tag("k", "1"), tag("k", "2"), tag("k", "3"), tag("l", "4"),
			}, Kind: counter},
			"a:0|c|#_x_:_x_,k:1,_x_k:2,_x__x_k:3,l:4\n",
			"a;_x_=_x_;k=1;_x_k=2;_x__x_k=3;l=4:0|c\n",
		},
	} {
		for graphite, want := range map[bool]string{false: test.dogstatsd, true: test.graphiteTag} {
			e := newEncoder(t, dialect(graphite, WithPrefix("app."))...)
			got, reason := e.append(nil, &test.point)
			require.Empty(t, reason)
			require.Equal(t, want, strings.ReplaceAll(string(got), "app.", ""))
			require.Equal(t, strings.Count(want, "\n"), strings.Count(string(got), "app."))
		}
	}
}

func TestPointsThatCannotBeSent(t *testing.T) {
	for reason, points := range map[string][]point{
		notFinite: {
			{Kind: gauge, Value: math.NaN()}, {Kind: gauge, Value: math.Inf(1)}, {Kind: gauge, Value: math.Inf(-1)},
		},
		unknownKind: {{Kind: 200}},
	} {
		for _, p := range points {
			packet, got := newEncoder(t).append([]byte("before"), &p)
			require.Equal(t, reason, got)
			require.Equal(t, "before", string(packet))
		}
	}
}

func TestFloats(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 1234567: "1234567", 1e20: "100000000000000000000", 1e21: "1e+21",
		0.000001: "0.000001", -0.0000001: "-1e-07", math.MaxFloat64: "1.7976931348623157e+308", 0.1: "0.1",
	} {
		require.Equal(t, want, string(appendFloat(nil, f)))
	}
}

// A parser that knows the protocol's delimiters only reads each series back, and no other line, for any name, key and
// value. StatsD finds nothing to sanitize in it.
func FuzzLines(f *testing.F) {
	f.Add("name", "key", "value", "key", "other", byte(0), int64(3))
	f.Add("a:1|c\nb", "k|#", "v,x:y", "", "", byte(1), int64(-1))
	f.Add("_x_", "_x20_", "_x ", "_sc", "=;", byte(2), int64(math.MinInt64))
	f.Add("-.__", "-._x", ".", "__proto__", "_", byte(0), int64(7))
	f.Add("a.ns.count", "é", "\xff", "toString", "@0.1", byte(16), int64(0))
	f.Add("a.hist.max", "", "", "k", "v", byte(3), int64(1))
	f.Fuzz(func(t *testing.T, name, key, value, key2, value2 string, how byte, number int64) {
		p := point{Name: name, Kind: metricsbuffer.Kind(how & 3), Tags: tags{tag(key, value), tag(key2, value2)}}
		slices.SortFunc(p.Tags, func(a, b metricsbuffer.Tag) int { return strings.Compare(a.Key, b.Key) })
		if how&8 != 0 {
			p.Tags = nil
		}
		if p.Kind == metricsbuffer.KindHistogram {
			p.Unit = value2
		}
		p.Count, p.Sum, p.Min, p.Max, p.Value = number, number, number, number, float64(number)
		e := newEncoder(t, dialect(how&16 != 0)...)
		packet, reason := e.append(nil, &p)
		require.Empty(t, reason)

		want := []string{""}
		if p.Kind == timer {
			want = []string{".ns.count", ".ns.sum", ".ns.min", ".ns.max"}
		}
		if p.Kind == metricsbuffer.KindHistogram {
			unit := ".hist"
			if p.Unit != "" {
				unit += "-" + escapedUnit(p.Unit)
			}
			want = []string{unit + ".count", unit + ".sum", unit + ".min", unit + ".max"}
		}
		var got []string
		for line := range strings.Lines(string(packet)) {
			read := parse(t, strings.TrimSuffix(line, "\n"), p.Kind)
			require.Equal(t, name, read.name)
			require.Equal(t, p.Tags, read.tags)
			if len(got) == 0 || got[len(got)-1] != read.part {
				got = append(got, read.part)
			}
		}
		require.Equal(t, want, got)
	})
}

var aggregate = regexp.MustCompile(`\.(ns|hist|hist-[A-Za-z0-9_]+)\.(count|sum|min|max)$`)

// escapedUnit returns the unit as it arrives.
func escapedUnit(unit string) (escaped string) {
	for _, b := range []byte(unit) {
		if strings.IndexByte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", b) >= 0 {
			escaped += string(rune(b))
		} else {
			escaped += fmt.Sprintf("_x%02X_", b)
		}
	}
	return escaped
}

// parsed is the content of a line.
type parsed struct {
	name, part string
	tags       tags
}

// parse reads a line with either kind of tags. It cuts the line at the delimiters, as StatsD does.
func parse(t *testing.T, line string, kind metricsbuffer.Kind) (read parsed) {
	t.Helper()
	var tags []string
	if before, after, found := strings.Cut(line, "|#"); found {
		tags = strings.Split(after, ",")
		line = before
	}
	series, rest, found := strings.Cut(line, ":")
	require.True(t, found, line)
	value, typ, found := strings.Cut(rest, "|")
	require.True(t, found, line)
	require.Contains(t, []string{"c", "g"}, typ, line)
	_, err := strconv.ParseFloat(value, 64)
	require.NoError(t, err, line)
	require.Regexp(t, `^[a-zA-Z_\-0-9.;=]+$`, series, "StatsD would change it")
	require.NotRegexp(t, `^_(sc|e)`, series, "not a metric to others")

	separator := ":"
	if series, more, found := strings.Cut(series, ";"); found {
		require.Empty(t, tags, line)
		tags = strings.Split(more, ";")
		separator = "="
		read.name = series
	} else {
		read.name = series
	}
	if part := aggregate.FindString(read.name); part != "" {
		require.Contains(t, []metricsbuffer.Kind{timer, metricsbuffer.KindHistogram}, kind, line)
		read.name, read.part = strings.TrimSuffix(read.name, part), part
	}
	read.name = unescape(read.name)
	seen := make(map[string]bool)
	for _, written := range tags {
		key, value, found := strings.Cut(written, separator)
		require.True(t, found && key != "" && value != "" && !strings.Contains(value, separator), line)
		require.Regexp(t, `^[a-zA-Z_\-0-9.]+$`, key+value, "StatsD would change it")
		require.NotRegexp(t, `^[_.-]{2}`, key, "not a label to statsd_exporter")
		require.False(t, seen[key], "the same key twice: %s", line)
		seen[key] = true
		read.tags = append(read.tags, tag(unescape(key), unescape(value)))
	}
	return read
}

// No two of many similar series are written alike, with either kind of tags. This includes the parts of timers.
func TestSeriesStayApart(t *testing.T) {
	strs := []string{"", "_", "k", "v", " ", "_x_", "_x_k", "k,v", "k:v", "k=v", "k;v", "|#", "a", "a.ns.count", "a.ns"}
	series := regexp.MustCompile(`(?m):-?[0-9]+\|([cg])`)
	for _, graphite := range []bool{false, true} {
		e := newEncoder(t, dialect(graphite)...)
		written := make(map[string]string)
		add := func(p point) {
			id := fmt.Sprintf("%q %q %v", p.Name, p.Tags, p.Kind)
			packet, _ := e.append(nil, &p)
			for line := range strings.Lines(string(packet)) {
				key := series.ReplaceAllString(line, ":|$1")
				if other, found := written[key]; found && other != id {
					t.Fatalf("%s and %s are both written %q", id, other, key)
				}
				written[key] = id
			}
		}
		for _, name := range strs {
			for _, kind := range []metricsbuffer.Kind{counter, timer, gauge, metricsbuffer.KindHistogram} {
				add(point{Name: name, Kind: kind})
				for _, key := range strs {
					for _, value := range strs {
						add(point{Name: name, Kind: kind, Tags: tags{tag(key, value)}})
						add(point{Name: name, Kind: kind, Tags: tags{tag(key, "v"), tag(key, value)}})
						add(point{Name: name, Kind: kind, Tags: tags{tag("k", key), tag("v", value)}})
					}
				}
			}
		}
	}
}

func hundredThousand(kind metricsbuffer.Kind, tags ...metricsbuffer.Tag) *metricsbuffer.Batch {
	return newBatch(100_000, kind, tags)
}

func newBatch(points int, kind metricsbuffer.Kind, tags tags) *metricsbuffer.Batch {
	batch := new(metricsbuffer.Batch)
	for i := range points {
		batch.Points = append(batch.Points, point{
			Name: "arroyo.producer.produce_status" + strconv.Itoa(i), Kind: kind, Tags: tags, ID: uint32(1000 + i),
			Count: int64(i), Sum: int64(i) * 1000, Max: int64(i), Value: float64(i),
		})
	}
	return batch
}

var twoTags = tags{tag("producer_name", "events"), tag("status", "success")}

func discard([]byte, place) error { return nil }

// The time is per series, in batches of 100,000. The timers of Timings and Distributions have ten buckets each.
func BenchmarkEncode(b *testing.B) {
	run := func(name string, batch *metricsbuffer.Batch, opts ...Option) {
		b.Run(name, func(b *testing.B) {
			s, err := New("udp://127.0.0.1:8125", opts...)
			require.NoError(b, err)
			all := batch.Points
			defer func() { batch.Points = all }()
			b.ReportAllocs()
			b.ResetTimer()
			for n := b.N; n > 0; n -= len(batch.Points) {
				batch.Points = batch.Points[:min(n, len(batch.Points))]
				if err := s.pack(batch, discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, kind := range []metricsbuffer.Kind{counter, timer, gauge} {
		for _, tags := range []tags{nil, twoTags} {
			run(fmt.Sprintf("%v/tags=%d", kind, len(tags)), hundredThousand(kind, tags...), WithTimers(Parts))
		}
	}
	batch := hundredThousand(timer, twoTags...)
	for i := range batch.Points {
		p := &batch.Points[i]
		p.Max = 1e9
		p.Buckets = &buckets{Offset: 330 + i%64, Counts: []uint64{1, 2, 5, 9, 49, 100, 17, 3, 2, 1}}
	}
	run("Timings/tags=2", batch)
	run("Distributions,packed/tags=2", batch, WithTimers(Distributions), WithPacking())
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	constant := WithTags(tag("env", "prod"))
	for _, opts := range [][]Option{
		nil, {WithGraphiteTags(), constant}, {WithPacking()}, {WithSignedGauges()}, {WithTimers(Parts), constant},
		{WithTimers(Parts), WithTimestamps(), WithContainerID("id"), WithQuantiles(0.5, 0.99)},
		{WithTimers(Sum)}, {WithTimers(Histograms)}, {WithTimers(Distributions), WithPacking(), constant},
	} {
		s, err := NewWriter(io.Discard, opts...)
		require.NoError(t, err)
		for _, kind := range []metricsbuffer.Kind{counter, timer, gauge, metricsbuffer.KindHistogram} {
			batch := newBatch(100, kind, twoTags)
			for i := range batch.Points {
				batch.Points[i].ID = uint32(i) // the first one has none
				batch.Points[i].Buckets = &buckets{Zeros: 1, Offset: 7, Counts: []uint64{uint64(i), 0, 3}}
			}
			// Other goroutines' allocations count, too. Over many runs they are less than one for each.
			require.Zero(t, testing.AllocsPerRun(200, func() { _ = s.pack(batch, discard) }), "%v", kind)
		}
	}
}

// The text of a series is kept if the series has tags, and is written each time otherwise.
func TestTextsThatAreKept(t *testing.T) {
	var e encoder
	e.prepare()
	for _, p := range []point{
		{Name: "plain", ID: 1}, {Name: "a_plain_name_without_tags", ID: 2},
		{Name: "tagged", ID: 3, Tags: tags{tag("k", "v")}},
	} {
		e.series(&p)
		_, known := e.texts.Of(&p)
		require.Equal(t, len(p.Tags) > 0, known)
	}
}

// The lines of a series are the same with its text at hand as without it: also if the ID belongs to another series of
// the buffer by now, or to one of another buffer.
func TestTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, opts := range [][]Option{
		{}, {WithTimers(Parts), WithGraphiteTags(), WithPrefix("p")}, {WithTimers(Distributions), WithTags(tag("k", "1"))},
	} {
		var got, want strings.Builder
		known, err := NewWriter(&got, opts...)
		require.NoError(t, err)
		for range 300 {
			batch := new(metricsbuffer.Batch)
			for id := range uint32(20) {
				p := point{
					Kind: metricsbuffer.Kind(random.IntN(4)), Name: strconv.Itoa(random.IntN(3)),
					Tags: tags{tag("k", strconv.Itoa(random.IntN(2)))}[:random.IntN(2)], ID: id,
					Count: 1, Min: 7, Max: 7, Buckets: &buckets{Offset: 44, Counts: []uint64{1}},
				}
				if p.Kind == metricsbuffer.KindHistogram {
					p.Unit = strconv.Itoa(random.IntN(2))
				}
				if random.IntN(4) > 0 {
					batch.Points = append(batch.Points, p)
				} else {
					batch.Ended = append(batch.Ended, p)
				}
			}
			require.NoError(t, known.Write(t.Context(), batch))
			unknown, err := NewWriter(&want, opts...)
			require.NoError(t, err)
			require.NoError(t, unknown.Write(t.Context(), batch))
			require.Equal(t, want.String(), got.String())
			got.Reset()
			want.Reset()
		}
	}
}
