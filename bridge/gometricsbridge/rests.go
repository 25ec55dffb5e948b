package gometricsbridge

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// The rests of all counters, or of all histograms, are the fractions that their series keep.
type rests struct {
	bySeries   *xsync.MapOf[string, *fraction.Rest]
	histograms bool
}

func newRests(histograms bool) rests {
	return rests{xsync.NewMapOf[string, *fraction.Rest](), histograms}
}

// maxRests limits how many counters, and how many histograms, keep a fraction.
const maxRests = 100_000

// A loss says how much of a value could not be recorded.
type loss int

const (
	nothing loss = iota
	itsFraction
	everything
)

// add returns the whole number by which v makes the sum of the series grow.
func (r rests) add(name string, tags []metricsbuffer.Tag, v float64) (whole int64, lost loss) {
	nearest, ok := fraction.Round(v)
	switch {
	case !ok:
		return 0, everything
	case r.histograms && v < 0:
		return -1, nothing // the buffer records it as zero and counts it
	case float64(nearest) == v:
		return nearest, nothing
	}
	rest, ok := r.of(name, tags)
	switch {
	case ok:
		whole, _ = rest.Add(v)
		return whole, nothing
	case r.histograms:
		return nearest, itsFraction
	}
	return int64(v), itsFraction
}

// of returns the rest of a series, or false if there are too many.
func (r rests) of(name string, tags []metricsbuffer.Tag) (*fraction.Rest, bool) {
	key := seriesKey(name, tags)
	if rest, ok := r.bySeries.Load(key); ok {
		return rest, true
	}
	if r.bySeries.Size() >= maxRests {
		return nil, false
	}
	rest, _ := r.bySeries.LoadOrCompute(key, func() *fraction.Rest {
		rest := new(fraction.Rest)
		if r.histograms {
			rest.Rounding()
		}
		return rest
	})
	return rest, true
}

// seriesKey returns the same string for the same series, in whichever order its tags are. It sorts the tags.
func seriesKey(name string, tags []metricsbuffer.Tag) string {
	slices.SortFunc(tags, func(a, b metricsbuffer.Tag) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	key := strconv.AppendQuote(make([]byte, 0, 128), name) // quotes delimit any string
	for _, tag := range tags {
		key = strconv.AppendQuote(strconv.AppendQuote(key, tag.Key), tag.Value)
	}
	return string(key)
}
