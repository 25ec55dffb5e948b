package promsink

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

func newHistogram(s *series) *dto.Histogram {
	h := &dto.Histogram{
		SampleCount:      new(uint64),
		SampleSum:        new(float64),
		Schema:           new(int32),
		ZeroThreshold:    new(float64),
		ZeroCount:        new(uint64),
		CreatedTimestamp: s.Detail.created,
	}
	*h.SampleCount, *h.SampleSum = uint64(s.Count), float64(s.Sum)/prom.ScaleOf(s.Kind)
	*h.Schema, *h.ZeroThreshold = metricsbuffer.BucketScale, prometheus.DefNativeHistogramZeroThreshold
	*h.ZeroCount = s.Buckets.Zeros

	var native prom.Native
	native.Set(s.Kind, s.Buckets)
	h.PositiveDelta = native.Deltas
	for i := range native.Spans {
		span := &native.Spans[i]
		h.PositiveSpan = append(h.PositiveSpan, &dto.BucketSpan{Offset: &span.Offset, Length: &span.Length})
	}

	h.Bucket = make([]*dto.Bucket, 0, len(s.Detail.bounds))
	for i, count := range prom.Cumulative(s.Buckets, s.Detail.bounds) {
		h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: &count, UpperBound: &s.Detail.bounds[i].LE})
	}
	return h
}
