package gometricsbridge

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// A fractional is a counter or a histogram that takes fractions. The other one is nil.
type fractional struct {
	counter   *metricsbuffer.Counter
	histogram *metricsbuffer.Histogram
	rest      *fraction.Rest // of the series, which may be an overflow series
}

// record records v, which fits an int64.
func (f *fractional) record(v float64) {
	whole, _ := f.rest.Add(v)
	f.counter.Add(whole)
	f.histogram.Observe(whole)
}

// fractionals are all counters, or all histograms, that take fractions, by their names and tags.
type fractionals struct {
	byName *xsync.MapOf[string, *fractional]
	make   func(name string, tags []metricsbuffer.Tag) *fractional
}

func newFractionals(make func(string, []metricsbuffer.Tag) *fractional) fractionals {
	return fractionals{xsync.NewMapOf[string, *fractional](), make}
}

// maxFractionals limits how many counters, and how many histograms, take fractions.
const maxFractionals = 100_000

// of returns the counter or histogram, or false if there are too many.
func (f fractionals) of(name string, tags []metricsbuffer.Tag) (*fractional, bool) {
	key := seriesKey(name, tags)
	if found, ok := f.byName.Load(key); ok {
		return found, true
	}
	if f.byName.Size() >= maxFractionals {
		return nil, false
	}
	found, _ := f.byName.LoadOrCompute(key, func() *fractional { return f.make(name, tags) })
	return found, true
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
