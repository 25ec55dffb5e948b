package sinktest

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
)

// hostileStrings have a meaning in some protocol, cannot be expressed in it, or become equal to another of them when
// characters are replaced, removed, or read as separators.
var hostileStrings = []string{
	"", "_", ".", "-", "plain", "with space", "a.b", "a-b", "a:b|c", "a#b,c", "a;b=c", `a"b\c'd`, "{a}", "%s%n", "a/b",
	"__a", "1st", "le", "quantile", "constructor", "\x00", "\n", "a\nb:1|c", "a\r\nb", "\t", "\x7f\x1b[0m",
	"é", "e\u0301", "日本", "\u2028", "\ufeff", "\xff", "\ufffd", "a\xc3", "\xed\xa0\x80", strings.Repeat("long", 2560),
	strings.Repeat("long", 256) + "er", // becomes the one before when texts are cut at 1 KiB or less
	"evil\nroot", "evil\nroot,admin", "evil\r\nroot", "evil\rroot", "evil\u2028root", "x 7\nroot", "x,k=v value=7\nroot",
	"x:7|c\nroot", "x:7|c|#root", "root:7|c\nx", "root|c", "root\x00", "root\\", `root"} 7`, `root{admin="x"}`,
	"root{admin=x}", "root,admin=x", "root;admin=x", "root|#admin:x", "root[admin:x]", " root", "root ", "root\t",
	"Root", "root.admin", "root-admin", "root/admin", "root:admin", "root admin", "root=admin", "root,admin", "root\xff",
	`root\nadmin`, "<b>root", `"},{"name":"root","count":7}`, "\x1b[2Jroot",
	// These become others when escaping changes no escape character, collapses it, or guesses types.
	`evil\nroot`, `a\"b\c'd`, "evil%0Aroot", "root+admin", "a__b", "_a", "7", "007",
	// A sink may keep fields beside tags, and several series for one: a field, or a suffix of its own, meets these.
	"name", "kind", "type", "value", "count", "sum", "unit", "time", "tags", "root.count", "root_count", "root.sum",
	"root_sum", "root_total", "root_bucket", "root_created", "root.max", "root_max", "root.mean", "root_seconds",
}

// repeated are tags that become equal to others of the list when a key is given only one of its values, when equal tags
// become one, or when the values of a key are joined.
var repeated = [][]metricsbuffer.Tag{
	twice("a"), twice("b"), twice("c"), twice("a", "a"), twice("a", "b"), twice("b", "c"), twice("a", "b", "c"),
	twice("ab"), twice("a b"), twice("a,b"), twice("a, b"), twice("a;b"), twice("a:b"), twice("a|b"), twice("a/b"),
	twice("[a b]"), twice("[a,b]"), twice(`["a","b"]`), twice("a,twice=b"), twice("a,twice:b"), twice("a;twice=b"),
}

// twice returns tags with one key.
func twice(values ...string) (tags []metricsbuffer.Tag) {
	for _, value := range values {
		tags = append(tags, metricsbuffer.Tag{Key: "twice", Value: value})
	}
	return tags
}

// decoys are ordinary series, into which a hostile series falls if its separators are not escaped.
var decoys = []struct {
	name string
	tags []metricsbuffer.Tag
}{
	{name: "root"}, {name: "evil"}, {name: "x"}, {name: "root_admin"}, {name: "rootadmin"}, {name: "a_b"}, {name: "ab"},
	{"root", []metricsbuffer.Tag{{Key: "admin", Value: "x"}}}, {"plain", []metricsbuffer.Tag{{Key: "key", Value: "root"}}},
	{"plain", []metricsbuffer.Tag{{Key: "root", Value: "x"}}}, {"plain", []metricsbuffer.Tag{{Key: "key", Value: "evil"}}},
}

// descriptions are those of the decoys. A buffer gives valid UTF-8 only.
var descriptions = []string{
	"Jobs that are done.", "evil\nroot 7", `ends in \`, `say "root"`, `root\n`, "\r", "\x00", "\u2028", " ",
	"root 7\n# EOF\n", strings.Repeat("long", 2560),
}

// amongHostile is the name of an ordinary series that is in one batch with hostile ones.
const amongHostile = "conformance_among_hostile"

// hostile returns points of all kinds with hostile names, tags and units, and the decoys with hostile descriptions.
// Within a kind no two points have the same value, and no value is the sum of others: so a value tells which point has
// arrived.
func hostile() (points []metricsbuffer.Point) {
	add := func(name, unit string, tags ...metricsbuffer.Tag) {
		tags = slices.SortedFunc(slices.Values(tags), compareTags)
		for _, kind := range []metricsbuffer.Kind{
			metricsbuffer.KindCounter, metricsbuffer.KindGauge, metricsbuffer.KindTimer, metricsbuffer.KindHistogram,
		} {
			p := metricsbuffer.Point{Name: name, Tags: tags, Kind: kind}
			if kind == metricsbuffer.KindHistogram {
				p.Unit = unit
			}
			points = append(points, p)
		}
	}
	for i, s := range hostileStrings {
		next := hostileStrings[(i+1)%len(hostileStrings)]
		add(s, s)
		add("plain", "", metricsbuffer.Tag{Key: "key", Value: s})
		add("plain", "", metricsbuffer.Tag{Key: s, Value: "x"})
		add(s, s, metricsbuffer.Tag{Key: "key", Value: s}, metricsbuffer.Tag{Key: s, Value: next},
			metricsbuffer.Tag{Key: s, Value: "x"})
		points = append(points, metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "size", Unit: s})
	}
	for _, tags := range repeated {
		add("plain", "", tags...)
	}
	for i, d := range decoys {
		first := len(points)
		add(d.name, "", d.tags...)
		for j := first; j < len(points); j++ {
			p := &points[j]
			p.Help = descriptions[i%len(descriptions)]
			if p.Kind == metricsbuffer.KindCounter || p.Kind == metricsbuffer.KindGauge {
				p.Unit = p.Help
			}
		}
	}
	add(amongHostile, "rows")
	seen := make(map[string]bool)
	points = slices.DeleteFunc(points, func(p metricsbuffer.Point) bool {
		key := seriesKey(&p)
		twice := seen[key]
		seen[key] = true
		return twice
	})
	identify(points)
	next := make(map[metricsbuffer.Kind]int64)
	for i := range points {
		p := &points[i]
		setValue(p, smallestValue+next[p.Kind])
		next[p.Kind]++
	}
	return points
}

// smallestValue of [hostile] is more than there are points of a kind, so that the sum of two is larger than any.
const smallestValue = 1000

// setValue sets a value, of which a timer or histogram has so many observations of typical.
func setValue(p *metricsbuffer.Point, n int64) {
	switch p.Kind {
	case metricsbuffer.KindGauge:
		p.Value = float64(n)
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		p.Sum, p.Min, p.Max = n*typical, typical, typical
		p.Buckets = &metricsbuffer.Buckets{Offset: 20<<metricsbuffer.BucketScale - 1, Counts: []uint64{uint64(n)}}
		fallthrough
	default:
		p.Count = n
	}
}

// typical is an observation, about a millisecond in nanoseconds.
const typical = 1 << 20

func testHostile(t *testing.T, s Subject) {
	points := hostile()
	want := clonePoints(points)
	for i := range want {
		setValue(&want[i], 0)
	}
	var alone []metricsbuffer.Point // those that were dropped
	var at []int                    // their indexes
	for range 2 {
		alone, at = nil, nil
		for i, dropped := range s.writeAll(t, points) {
			p := &points[i]
			if !dropped {
				want[i] = merge(want[i], *p)
				continue
			}
			alone, at = append(alone, *p), append(at, i)
			if p.Name == amongHostile && isUsual(p.Kind) {
				t.Errorf("%s was dropped: a series without an equivalent must not take others of its batch along", describe(*p))
			}
		}
		s.expectAll(t, want)
	}
	for i, dropped := range s.writeAll(t, alone) {
		if !dropped {
			want[at[i]] = merge(want[at[i]], alone[i])
		}
	}
	s.expectAll(t, want)
	s.write(t, some(5))
	s.expectOrdinary(t, 5)
}

// testValues has one ordinary series for each extreme value, and a batch that lasts no time.
func testValues(t *testing.T, s Subject) {
	var points []metricsbuffer.Point
	add := func(p metricsbuffer.Point) {
		p.Name = "conformance_value_" + string(rune('a'+len(points)))
		points = append(points, p)
	}
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		add(metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Count: n})
	}
	for _, v := range []float64{
		0, math.Copysign(0, -1), -1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1.5e308, -1.5e308, 5e-324, 0.1, 12345.678,
	} {
		add(metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Value: v})
	}
	for _, kind := range []metricsbuffer.Kind{metricsbuffer.KindTimer, metricsbuffer.KindHistogram} {
		all := &metricsbuffer.Buckets{Zeros: 1, Offset: -1, Counts: make([]uint64, 64<<metricsbuffer.BucketScale)}
		all.Counts[0], all.Counts[63<<metricsbuffer.BucketScale] = 1, 1
		add(metricsbuffer.Point{Kind: kind, Count: 3, Sum: math.MaxInt64, Max: math.MaxInt64, Buckets: all})
		add(metricsbuffer.Point{Kind: kind, Count: 2, Buckets: &metricsbuffer.Buckets{Zeros: 2}})
		add(spread(kind))
	}
	identify(points)
	dropped := s.writeAll(t, points)
	instant := some(5)
	instant.Start = instant.End
	s.write(t, instant)
	s.expectOrdinary(t, 5)
	if s.Received == nil {
		return
	}
	arrived := s.arrived(t)
	for i, p := range points {
		got, ok := ordinary(arrived, &p)
		switch {
		case dropped[i] && ok:
			t.Errorf("%s was dropped, and has arrived", describe(p))
		case !dropped[i] && !ok && (p.Kind != metricsbuffer.KindCounter || p.Count != 0):
			t.Errorf("%s was acknowledged, and has not arrived: deliver it, or call batch.Drop with a reason", describe(p))
		case ok && !sameValue(got, p):
			t.Errorf("%s has arrived as %s", describe(p), describe(got))
		case ok && p.Sum == spreadSum && !sameSum(got, p):
			t.Errorf("%s has arrived with a sum of %d, want %d: one observation is of %d, and two are of %d",
				describe(p), got.Sum, p.Sum, p.Min, p.Max)
		}
	}
	points = append(points, instant.Points...)
	for _, p := range arrived {
		if !slices.ContainsFunc(points, func(q metricsbuffer.Point) bool { return sameSeries(&p, &q) }) {
			t.Errorf("a series arrived that was not recorded: %s", describe(p))
		}
	}
}

const spreadSum = 300_000 + 2*1_572_864

// spread returns a point whose sum is not a multiple of its maximum. As nanoseconds its observations are not in the
// middle of whole milliseconds.
func spread(kind metricsbuffer.Kind) metricsbuffer.Point {
	buckets := &metricsbuffer.Buckets{Offset: 291, Counts: make([]uint64, 329-291+1)}
	buckets.Counts[0], buckets.Counts[329-291] = 1, 2
	return metricsbuffer.Point{Kind: kind, Count: 3, Sum: spreadSum, Min: 300_000, Max: 1_572_864, Buckets: buckets}
}

// testFractions has counters of fractions, each written twice, but for those of which an int64 holds only one.
func testFractions(t *testing.T, s Subject) {
	var points []metricsbuffer.Point
	for i, p := range []metricsbuffer.Point{
		{Count: 25, Decimals: 2}, {Count: 1, Decimals: 1}, {Count: 300, Decimals: 2}, {Count: -75, Decimals: 2},
		{Count: 1, Decimals: 6}, {Count: 1_234_567_890_123, Decimals: 6}, {Count: 0, Decimals: 3},
		{Count: 1, Decimals: 18}, {Count: math.MaxInt64, Decimals: 9}, {Count: math.MinInt64, Decimals: 18},
	} {
		p.Name = "conformance_fraction_" + string(rune('a'+i))
		points = append(points, p)
	}
	identify(points)
	want := clonePoints(points)
	for i, dropped := range s.writeAll(t, points) {
		if dropped {
			want[i].Count = 0
		}
	}
	s.testDecimals(t)
	again := points[:len(points)-2]
	for i, dropped := range s.writeAll(t, again) {
		if !dropped {
			want[i] = merge(want[i], points[i])
		}
	}
	if s.Received == nil {
		return
	}
	arrived := s.arrived(t)
	for i := range want {
		got, ok := ordinary(arrived, &want[i])
		switch {
		case !ok && want[i].Count != 0:
			t.Errorf("%s has not arrived", describe(want[i]))
		case ok && !sameValue(got, want[i]):
			t.Errorf("%s has arrived as %s", describe(want[i]), describe(got))
		}
	}
}

// testDecimals has a counter in steps of different sizes, which are different series. A backend to which they are one
// gets their sum, without those that were dropped.
func (s Subject) testDecimals(t *testing.T) {
	t.Helper()
	points := make([]metricsbuffer.Point, 3)
	for i, decimals := range []int{1, 0, 2} {
		points[i] = metricsbuffer.Point{Name: "conformance_steps", Count: 5, Decimals: decimals, ID: 800 + uint32(i)}
	}
	total := metricsbuffer.Point{Name: points[0].Name}
	for range 2 {
		for i, dropped := range s.writeAll(t, points) {
			if !dropped {
				total = merge(total, points[i])
			}
		}
	}
	if got, ok := ordinary(s.arrived(t), &total); s.Received != nil && valueOf(&total) != 0 && !sameValue(got, total) {
		t.Errorf("%s, in steps of different decimals, %s", describe(total), arrivedAs(got, ok))
	}
}

// sameValue allows for a backend that has floating-point numbers only.
func sameValue(a, b metricsbuffer.Point) bool {
	x, y := valueOf(&a), valueOf(&b)
	return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= 1e-9*math.Abs(y)
}

func valueOf(p *metricsbuffer.Point) float64 {
	if p.Kind == metricsbuffer.KindGauge {
		return p.Value
	}
	return p.Amount()
}
