package promsink

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

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

	h.Bucket = make([]*dto.Bucket, 0, len(s.Detail.bounds)+1)
	lower := float64(prom.Below)
	for i, count := range prom.Cumulative(s.Buckets, s.Detail.bounds) {
		upper := &s.Detail.bounds[i].LE
		h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: &count, UpperBound: upper,
			Exemplar: newExemplar(s, prom.LatestExemplar(&s.Point, lower, *upper))})
		lower = *upper
	}
	if e := prom.LatestExemplar(&s.Point, lower, math.Inf(1)); e != nil { // otherwise the bucket is understood
		infinity := math.Inf(1)
		h.Bucket = append(h.Bucket, &dto.Bucket{
			CumulativeCount: h.SampleCount, UpperBound: &infinity, Exemplar: newExemplar(s, e),
		})
	}
	for i := range s.Exemplars {
		h.Exemplars = append(h.Exemplars, newExemplar(s, &s.Exemplars[i])) // of the native histogram
	}
	return h
}

func newExemplar(s *series, e *metricsbuffer.Exemplar) *dto.Exemplar {
	if e == nil {
		return nil
	}
	value := float64(e.Value) / prom.ScaleOf(s.Kind)
	converted := &dto.Exemplar{Value: &value, Timestamp: timestamppb.New(e.Time)}
	for _, label := range prom.ExemplarLabels(e) {
		converted.Label = append(converted.Label, &dto.LabelPair{Name: &label.Key, Value: &label.Value})
	}
	return converted
}
