package promsink

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer"
)

// A scale says how a kind's values are expressed in its Prometheus histogram.
type scale struct {
	unit  float64 // by which values are divided
	shift int     // to add to the index of a bucket to get that of the native bucket

	// Classic bounds are 2^first, 2^(first+step) … 2^last before they are divided.
	first, step, last int
}

// A native bucket's index is that of its upper bound, one more than ours. Log2(1e9) is 29.897.
var (
	histogramScale = scale{unit: 1, shift: 1, first: 0, step: 2, last: 40}
	timerScale     = scale{unit: 1e9, shift: 1 - nanosecondBuckets, first: 10, step: 1, last: 36}
)

const nanosecondBuckets = 478 // 29.897 · 2^BucketScale, rounded

func newHistogram(s *series, scale scale) *dto.Histogram {
	h := &dto.Histogram{
		SampleCount:      new(uint64),
		SampleSum:        new(float64),
		Schema:           new(int32),
		ZeroThreshold:    new(float64),
		ZeroCount:        new(uint64),
		CreatedTimestamp: s.Detail.created,
	}
	*h.SampleCount, *h.SampleSum = uint64(s.Count), float64(s.Sum)/scale.unit
	*h.Schema, *h.ZeroThreshold = metricsbuffer.BucketScale, prometheus.DefNativeHistogramZeroThreshold
	*h.ZeroCount = s.Buckets.Zeros
	h.PositiveSpan, h.PositiveDelta = nativeBuckets(s.Buckets, scale.shift)
	h.Bucket = classicBuckets(s.Buckets, scale)
	return h
}

// nativeBuckets returns the buckets as Prometheus does: spans of neighbours, and the differences of their counts.
func nativeBuckets(b *metricsbuffer.Buckets, shift int) (spans []*dto.BucketSpan, deltas []int64) {
	// It costs less to fill a gap as small as this with zeros than to begin a span.
	const smallGap = 2
	var span *dto.BucketSpan
	next, last := 0, int64(0) // the index after the last bucket, and its count
	for i, n := range b.Counts {
		if n == 0 {
			continue
		}
		gap := b.Offset + shift + i - next
		next += gap + 1
		if span == nil || gap > smallGap {
			span = &dto.BucketSpan{Offset: new(int32), Length: new(uint32)}
			*span.Offset = int32(gap)
			spans = append(spans, span)
			gap = 0
		}
		for range gap {
			deltas = append(deltas, -last)
			last = 0
		}
		*span.Length += uint32(gap + 1)
		deltas = append(deltas, int64(n)-last)
		last = int64(n)
	}
	return spans, deltas
}

// classicBuckets returns how many observations are at most as large as each bound.
func classicBuckets(b *metricsbuffer.Buckets, scale scale) []*dto.Bucket {
	buckets := make([]*dto.Bucket, 0, 1+(scale.last-scale.first)/scale.step)
	below, i := b.Zeros, 0
	for k := scale.first; k <= scale.last; k += scale.step {
		for ; i < len(b.Counts) && b.Offset+i < k<<metricsbuffer.BucketScale; i++ {
			below += b.Counts[i]
		}
		count, bound := below, math.Ldexp(1, k)/scale.unit
		buckets = append(buckets, &dto.Bucket{CumulativeCount: &count, UpperBound: &bound})
	}
	return buckets
}
