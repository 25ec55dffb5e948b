package metricsbuffer

import (
	"iter"
	"math"
	"slices"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
)

// BucketScale is the resolution of [Buckets]: there are 2^BucketScale = 16 of them from one power of two to the next.
const BucketScale = bucket.Scale

// Buckets says how many observations fell into each of the ranges (2^(i/16), 2^((i+1)/16)], and how many were zero.
// Their sum is the point's Count.
//
// This is, as it is, an OpenTelemetry exponential histogram of scale 4 with the index i and positive offset Offset, and
// a Prometheus native histogram of schema 4, whose indexes are higher by one.
type Buckets struct {
	Zeros  uint64
	Offset int      // the i of Counts[0]
	Counts []uint64 // may begin and end with zeros
}

// A Bucket is a range of values and how many observations are in it.
type Bucket struct {
	Lower float64 // exclusive, but for the bucket of zeros, from 0 to 0
	Upper float64 // inclusive
	Count uint64
}

// All yields the buckets that are not empty, from the lowest to the highest.
func (b *Buckets) All() iter.Seq[Bucket] {
	return func(yield func(Bucket) bool) {
		if b.Zeros > 0 && !yield(Bucket{Count: b.Zeros}) {
			return
		}
		for i, n := range b.Counts {
			if n == 0 {
				continue
			}
			at := b.Offset + i
			if !yield(Bucket{Lower: bucket.Upper(at - 1), Upper: bucket.Upper(at), Count: n}) {
				return
			}
		}
	}
}

// Quantile returns an estimate of the q-quantile of a timer's or histogram's observations, such as the median for
// q = 0.5: the value that a share of q of them do not exceed. It is at most 2.2 % off, and exact for q <= 0 and q >= 1,
// the minimum and the maximum. It is NaN if q is, or if there are no observations.
func (p *Point) Quantile(q float64) float64 {
	switch {
	case p.Buckets == nil || p.Count == 0 || math.IsNaN(q):
		return math.NaN()
	case q <= 0:
		return float64(p.Min)
	case q >= 1:
		return float64(p.Max)
	}
	rank := uint64(math.Ceil(q * float64(p.Count)))
	for b := range p.Buckets.All() {
		if b.Count < rank {
			rank -= b.Count
			continue
		}
		// The geometric mean of the bounds is as far from the one as from the other, in relation to either.
		middle := math.Sqrt(b.Lower * b.Upper)
		return min(max(middle, float64(p.Min)), float64(p.Max))
	}
	return float64(p.Max)
}

// Clone returns a copy that shares nothing with b, as a sink needs to keep buckets longer than [Sink.Write] takes.
func (b *Buckets) Clone() *Buckets {
	return &Buckets{Zeros: b.Zeros, Offset: b.Offset, Counts: slices.Clone(b.Counts)}
}

// Add adds the counts of other to b.
func (b *Buckets) Add(other *Buckets) {
	b.Zeros += other.Zeros
	if len(other.Counts) == 0 {
		return
	}
	into := b.cover(other.Offset, len(other.Counts))
	for i, n := range other.Counts {
		into[i] += n
	}
}

// cover makes room for n buckets from offset on, and returns their counts.
func (b *Buckets) cover(offset, n int) []uint64 {
	if b.Counts == nil {
		b.Offset = offset
	}
	low, high := min(b.Offset, offset), max(b.Offset+len(b.Counts), offset+n)
	if high-low > len(b.Counts) {
		counts := make([]uint64, high-low)
		copy(counts[b.Offset-low:], b.Counts)
		b.Offset, b.Counts = low, counts
	}
	return b.Counts[offset-b.Offset:][:n]
}
