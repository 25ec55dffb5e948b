package prom

import (
	"fmt"
	"iter"
	"math"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Bound is the upper bound of a classic histogram's bucket.
type Bound struct {
	LE  float64 // in the unit of the metric
	end int     // the index after the last of the buffer's buckets below the bound
}

// Bounds are the bounds of classic histograms that the user chose, by unit. The unit of timers is [Seconds].
type Bounds map[string][]float64

// Set sets the bounds for a unit. They may be none.
func (b Bounds) Set(unit string, bounds []float64) error {
	if b[unit] != nil {
		return fmt.Errorf("the bounds for %q are given twice; give them once", unit)
	}
	last := 0.0
	for _, bound := range bounds {
		switch {
		case !(bound > 0) || math.IsInf(bound, 0):
			return fmt.Errorf("the bound %v for %q is not a positive number; the bound +Inf is always served", bound, unit)
		case bound <= last:
			return fmt.Errorf("the bound %v for %q stands after %v; give the bounds in ascending order", bound, unit, last)
		}
		last = bound
	}
	b[unit] = append(make([]float64, 0, len(bounds)), bounds...) // not nil
	return nil
}

// Of returns the bounds for the histograms of a kind and its recorded unit. The bounds are powers of two, unless the
// user chose others. They are in nanoseconds for timers.
func (b Bounds) Of(kind metricsbuffer.Kind, unit string) []Bound {
	first, step, last := 0, 2, 40
	if kind == metricsbuffer.KindTimer {
		first, step, last = 10, 1, 36
		unit = Seconds
	}
	scale := ScaleOf(kind)
	chosen := b[unit]
	if chosen == nil {
		for k := first; k <= last; k += step {
			chosen = append(chosen, math.Ldexp(1, k)/scale)
		}
	}
	bounds := make([]Bound, len(chosen))
	for i, le := range chosen {
		const perOctave = 1 << metricsbuffer.BucketScale
		bounds[i] = Bound{le, int(math.Round((math.Log2(le) + math.Log2(scale)) * perOctave))}
	}
	return bounds
}

// ScaleOf returns the number by which values of the kind are divided. Timers are recorded in nanoseconds.
func ScaleOf(kind metricsbuffer.Kind) float64 {
	if kind == metricsbuffer.KindTimer {
		return 1e9
	}
	return 1
}

// Cumulative yields each bound's position in bounds, and the number of observations up to the bound.
func Cumulative(b *metricsbuffer.Buckets, bounds []Bound) iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		below, i := b.Zeros, 0
		for k := range bounds {
			for ; i < len(b.Counts) && b.Offset+i < bounds[k].end; i++ {
				below += b.Counts[i]
			}
			if !yield(k, below) {
				return
			}
		}
	}
}

// A Native is the positive part of a native histogram of schema [metricsbuffer.BucketScale].
type Native struct {
	Spans  []Span
	Deltas []int64 // the first bucket's count, and then each bucket's count minus the count before it
}

// A Span is a run of neighbouring buckets.
type Span struct {
	Offset int32 // from the end of the span before, or from 0
	Length uint32
}

// Set sets n to the buckets of a series of the kind. It uses the memory that n has.
//
// The index of a native bucket is that of its upper bound, which is one more than the buffer's. Log2(1e9) is 29.897, so
// that a second is 478.36 buckets of nanoseconds; they are shifted by 478.
func (n *Native) Set(kind metricsbuffer.Kind, b *metricsbuffer.Buckets) {
	shift := 1
	if kind == metricsbuffer.KindTimer {
		shift -= 478
	}
	n.Spans, n.Deltas = n.Spans[:0], n.Deltas[:0]
	// It costs less to fill a gap as small as this with zeros than to begin a span.
	const smallGap = 2
	next, last := 0, int64(0) // the index after the last bucket, and its count
	for i, count := range b.Counts {
		if count == 0 {
			continue
		}
		gap := b.Offset + shift + i - next
		next += gap + 1
		if len(n.Spans) == 0 || gap > smallGap {
			n.Spans = append(n.Spans, Span{Offset: int32(gap)})
			gap = 0
		}
		for range gap {
			n.Deltas = append(n.Deltas, -last)
			last = 0
		}
		n.Spans[len(n.Spans)-1].Length += uint32(gap + 1)
		n.Deltas = append(n.Deltas, int64(count)-last)
		last = int64(count)
	}
}
