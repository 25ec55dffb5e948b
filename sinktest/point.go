package sinktest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
	"github.com/metricsbuffer/metricsbuffer/internal/exemplar"
)

// clonePoints copies everything that a point refers to, except strings. A test of this package fails when points get
// a field that is not copied.
func clonePoints(points []metricsbuffer.Point) []metricsbuffer.Point {
	points = slices.Clone(points)
	for i := range points {
		points[i].Tags = cloneTags(points[i].Tags)
		if b := points[i].Buckets; b != nil {
			points[i].Buckets = b.Clone()
		}
		points[i].Exemplars = append([]metricsbuffer.Exemplar(nil), points[i].Exemplars...)
	}
	return points
}

// cloneTags returns nil for no tags, so that [reflect.DeepEqual] finds equal points equal.
func cloneTags(tags []metricsbuffer.Tag) []metricsbuffer.Tag {
	return append([]metricsbuffer.Tag(nil), tags...)
}

func compareTags(a, b metricsbuffer.Tag) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}

// unitOf returns the unit by which series are told apart. That of a counter or gauge is a description.
func unitOf(p *metricsbuffer.Point) string {
	if p.Kind != metricsbuffer.KindHistogram {
		return ""
	}
	return p.Unit
}

// seriesKey returns a string that only points of the same series have: the same kind, name, decimals, sorted tags and,
// for histograms, unit.
func seriesKey(p *metricsbuffer.Point) string {
	key := strconv.AppendInt(nil, int64(p.Kind), 10)
	key = strconv.AppendQuote(key, p.Name)
	key = strconv.AppendQuote(key, unitOf(p))
	key = strconv.AppendInt(key, int64(p.Decimals), 10)
	for _, tag := range p.Tags {
		key = strconv.AppendQuote(key, tag.Key)
		key = strconv.AppendQuote(key, tag.Value)
	}
	return string(key)
}

// merge adds a later point of the same series to its total. It works for every kind, since a field that a kind does not
// use is zero in all its points.
func merge(total, p metricsbuffer.Point) metricsbuffer.Point {
	switch {
	case total.Count == 0: // it has no minimum and maximum yet
		total.Min, total.Max = p.Min, p.Max
	case p.Count != 0:
		total.Min, total.Max = min(total.Min, p.Min), max(total.Max, p.Max)
	}
	// A backend may leave out zeros at the end of the decimals.
	if more := p.Decimals - total.Decimals; more > 0 {
		total.Count, total.Decimals = total.Count*decimal.Power(more), p.Decimals
	} else {
		p.Count *= decimal.Power(-more)
	}
	total.Count += p.Count
	total.Sum += p.Sum
	total.Value = p.Value
	total.Help, total.Unit = p.Help, p.Unit
	if p.Buckets != nil {
		buckets := p.Buckets.Clone() // the total's own buckets belong to the first batch
		if total.Buckets != nil {
			buckets.Add(total.Buckets)
		}
		total.Buckets = buckets
	}
	total.Exemplars = latest(total.Exemplars, p.Exemplars)
	return total
}

// latest returns the later exemplars, and the earlier ones of other octaves.
func latest(earlier, later []metricsbuffer.Exemplar) []metricsbuffer.Exemplar {
	all := slices.Clone(later)
	for _, e := range earlier {
		if !slices.ContainsFunc(later, func(other metricsbuffer.Exemplar) bool {
			return exemplar.Octave(other.Value) == exemplar.Octave(e.Value)
		}) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b metricsbuffer.Exemplar) int { return cmp.Compare(a.Value, b.Value) })
	return all
}

// ParseAmount reads a decimal number without an exponent. It is for the parser of a [Subject], which sets Count and
// Decimals of a counter's point to the results. The suite takes 2.5 for equal to 2.50.
func ParseAmount(text string) (count int64, decimals int, err error) {
	count, decimals, err = decimal.Parse(text)
	if err != nil {
		err = fmt.Errorf("sinktest: an amount: %w", err)
	}
	return count, decimals, err
}

// check returns an error that describes the fault of a batch, and nil if it is well formed.
func check(batch *metricsbuffer.Batch) error {
	if batch.End.Before(batch.Start) {
		return fmt.Errorf("sinktest: the batch ends at %v, before its start at %v", batch.End, batch.Start)
	}
	seen := make(map[string]bool, len(batch.Points))
	for i, p := range batch.Points {
		complaint := checkPoint(p)
		key := seriesKey(&p)
		if seen[key] {
			complaint = "is in the batch twice"
		}
		seen[key] = true
		if complaint != "" {
			return fmt.Errorf("sinktest: point %d of %d, %v %q %q, %s", i, len(batch.Points), p.Kind, p.Name, p.Tags, complaint)
		}
	}
	return nil
}

// checkPoint returns the fault of a point by itself, "" if it is well formed. An unknown kind has to meet the rules for
// all kinds.
func checkPoint(p metricsbuffer.Point) string {
	switch {
	case !slices.IsSortedFunc(p.Tags, compareTags):
		return "has tags that are not sorted"
	case p.Min > p.Max:
		return fmt.Sprintf("has a minimum of %d above its maximum of %d", p.Min, p.Max)
	case p.Decimals < 0 || p.Decimals > decimal.Most || p.Decimals > 0 && p.Kind != metricsbuffer.KindCounter:
		return fmt.Sprintf("has %d decimals", p.Decimals)
	case !areExemplars(p):
		return fmt.Sprintf("has the exemplars %v, between %d and %d", p.Exemplars, p.Min, p.Max)
	case p.Kind != metricsbuffer.KindTimer && p.Kind != metricsbuffer.KindHistogram:
		return ""
	case p.Count < 0:
		return fmt.Sprintf("has a count of %d, below zero", p.Count)
	case p.Count == 0 && (p.Min != 0 || p.Max != 0): // a sum is checked below
		return fmt.Sprintf("has no observations, and a minimum of %d and a maximum of %d", p.Min, p.Max)
	case p.Buckets != nil && inBuckets(p.Buckets) != uint64(p.Count):
		return fmt.Sprintf("has a count of %d, and %d observations in its buckets", p.Count, inBuckets(p.Buckets))
	}
	// The sum must be possible with so many observations between minimum and maximum. A sum that may have overflowed is
	// not checked.
	bound := float64(p.Count) * max(math.Abs(float64(p.Min)), math.Abs(float64(p.Max)))
	if bound < 1<<62 && (p.Sum < p.Count*p.Min || p.Sum > p.Count*p.Max) {
		return fmt.Sprintf("has a sum of %d, which %d observations between %d and %d cannot have",
			p.Sum, p.Count, p.Min, p.Max)
	}
	return ""
}

// areExemplars says whether each of the point's exemplars is one of its observations, and each octave has one at most.
func areExemplars(p metricsbuffer.Point) bool {
	last := -1
	for _, e := range p.Exemplars {
		octave := exemplar.Octave(e.Value)
		if p.Count == 0 || e.Value < p.Min || e.Value > p.Max || octave <= last || e.TraceID == ([16]byte{}) {
			return false
		}
		last = octave
	}
	return true
}

func inBuckets(b *metricsbuffer.Buckets) (n uint64) {
	for bucket := range b.All() {
		n += bucket.Count
	}
	return n
}
