package sinktest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// strange are strings that some protocol gives a meaning, or cannot express.
var strange = []string{
	"", "_", ".", "-", "plain", "with space", "a.b", "a-b", "a:b|c", "a#b,c", "a;b=c", `a"b\c'd`, "{a}", "%s%n", "a/b",
	"__a", "1st", "le", "quantile", "constructor", "\x00", "\n", "a\nb:1|c", "a\r\nb", "\t", "\x7f\x1b[0m",
	"é", "日本", "\u2028", "\ufeff", "\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("long", 2560),
}

// anything returns points of all kinds with strange strings and values.
func anything() (points []metricsbuffer.Point) {
	integers := []int64{1, -1, math.MaxInt64, math.MinInt64}
	floats := []float64{0, math.Copysign(0, -1), -1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324}
	distribution := metricsbuffer.Point{
		Count: 3, Sum: math.MaxInt64, Min: 0, Max: math.MaxInt64,
		Buckets: &metricsbuffer.Buckets{Zeros: 1, Offset: -1, Counts: make([]uint64, 64*16)},
	}
	distribution.Buckets.Counts[0], distribution.Buckets.Counts[63*16] = 1, 1
	for i, s := range strange {
		next := strange[(i+1)%len(strange)]
		tags := []metricsbuffer.Tag{{Key: "key", Value: s}, {Key: s, Value: next}, {Key: s, Value: "x"}}
		slices.SortFunc(tags, compareTags)
		tags = slices.Compact(tags)
		for j, tags := range [][]metricsbuffer.Tag{nil, tags[:1], tags} {
			name := s
			if j == 1 {
				name = "plain" // another series of that name for each of the tags
			}
			timer, histogram := distribution, distribution
			timer.Kind, histogram.Kind, histogram.Unit = metricsbuffer.KindTimer, metricsbuffer.KindHistogram, s
			for _, p := range []metricsbuffer.Point{
				{Kind: metricsbuffer.KindCounter, Count: integers[(i+j)%len(integers)]},
				{Kind: metricsbuffer.KindGauge, Value: floats[(i+j)%len(floats)]},
				timer, histogram,
			} {
				p.Name, p.Tags = name, tags
				points = append(points, p)
			}
		}
	}
	seen := make(map[string]bool)
	return slices.DeleteFunc(points, func(p metricsbuffer.Point) bool {
		key := seriesKey(p.Kind, p.Name, p.Tags)
		twice := seen[key]
		seen[key] = true
		return twice
	})
}

func indexes(points []metricsbuffer.Point) []int {
	all := make([]int, len(points))
	for i := range all {
		all[i] = i
	}
	return all
}

// equal takes a NaN for equal to itself.
func equal(a, b metricsbuffer.Point) bool {
	return fmt.Sprintf("%q %v", a.Tags, a.Buckets) == fmt.Sprintf("%q %v", b.Tags, b.Buckets) &&
		a.Name == b.Name && a.Unit == b.Unit && a.Kind == b.Kind && a.Count == b.Count && a.Sum == b.Sum &&
		a.Min == b.Min && a.Max == b.Max && math.Float64bits(a.Value) == math.Float64bits(b.Value)
}
