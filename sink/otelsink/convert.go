package otelsink

import (
	"slices"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
)

// unfit returns the reason why points of the series cannot be carried, or "".
func unfit(p *metricsbuffer.Point) (reason string) {
	switch {
	case p.Kind > metricsbuffer.KindHistogram:
		return "unknown kind"
	case !utf8.ValidString(p.Name) || !utf8.ValidString(p.Unit):
		return notUTF8
	}
	for i, tag := range p.Tags {
		if !utf8.ValidString(tag.Key) || !utf8.ValidString(tag.Value) {
			return notUTF8
		}
		if i > 0 && p.Tags[i-1].Key == tag.Key { // they are sorted
			return "a key with two values"
		}
	}
	return ""
}

const notUTF8 = "not UTF-8" // a message with such a string cannot be encoded, nor any other point in it

func attributes(p *metricsbuffer.Point) attribute.Set {
	pairs := make([]attribute.KeyValue, len(p.Tags))
	for i, tag := range p.Tags {
		pairs[i] = attribute.String(tag.Key, tag.Value)
	}
	return attribute.NewSet(pairs...)
}

// metrics collects points by the metric they belong to.
type metrics struct {
	list  []metricdata.Metrics
	index map[identity]int
}

// An identity is the common part of the points of one metric.
type identity struct {
	kind     metricsbuffer.Kind
	name     string
	unit     string // of a histogram; that of a counter or gauge is a description
	decimals int
}

// of returns the metric that the point belongs to.
func (m *metrics) of(p *metricsbuffer.Point) *metricdata.Metrics {
	key := identity{kind: p.Kind, name: p.Name, decimals: p.Decimals}
	unit := p.Unit
	switch p.Kind {
	case metricsbuffer.KindHistogram:
		key.unit = unit
	case metricsbuffer.KindTimer:
		unit = "ns"
	}
	i, ok := m.index[key]
	if !ok {
		if m.index == nil {
			m.index = make(map[identity]int)
		}
		i = len(m.list)
		m.index[key] = i
		m.list = append(m.list, metricdata.Metrics{Name: key.name, Description: p.Help, Unit: unit})
	}
	return &m.list[i]
}

// add adds the point, which unfit has found fit. It keeps the point's strings, and copies the rest.
func (m *metrics) add(
	p *metricsbuffer.Point, attrs attribute.Set, temporality metricdata.Temporality, start, end time.Time,
) {
	of := m.of(p)
	switch p.Kind {
	case metricsbuffer.KindCounter:
		if p.Decimals > 0 {
			addSum(of, p.Amount(), attrs, temporality, start, end)
		} else {
			addSum(of, p.Count, attrs, temporality, start, end)
		}
	case metricsbuffer.KindGauge:
		gauge, _ := of.Data.(metricdata.Gauge[float64])
		gauge.DataPoints = append(gauge.DataPoints, metricdata.DataPoint[float64]{
			Attributes: attrs, StartTime: start, Time: end, Value: p.Value,
		})
		of.Data = gauge
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		histogram, _ := of.Data.(metricdata.ExponentialHistogram[int64])
		histogram.Temporality = temporality
		point := metricdata.ExponentialHistogramDataPoint[int64]{
			Attributes: attrs, StartTime: start, Time: end,
			Count: uint64(p.Count), Sum: p.Sum, Scale: metricsbuffer.BucketScale,
		}
		if p.Count > 0 { // else there are none
			point.Min, point.Max = metricdata.NewExtrema(p.Min), metricdata.NewExtrema(p.Max)
		}
		if b := p.Buckets; b != nil {
			point.ZeroCount = b.Zeros
			point.PositiveBucket = trimmed(b)
		}
		for _, e := range p.Exemplars {
			converted := metricdata.Exemplar[int64]{Time: e.Time, Value: e.Value, TraceID: slices.Clone(e.TraceID[:])}
			if e.SpanID != [8]byte{} {
				converted.SpanID = slices.Clone(e.SpanID[:])
			}
			point.Exemplars = append(point.Exemplars, converted)
		}
		histogram.DataPoints = append(histogram.DataPoints, point)
		of.Data = histogram
	}
}

// addSum adds a counter's point to its metric.
func addSum[N int64 | float64](
	of *metricdata.Metrics, value N, attrs attribute.Set, temporality metricdata.Temporality, start, end time.Time,
) {
	sum, _ := of.Data.(metricdata.Sum[N])
	sum.IsMonotonic, sum.Temporality = true, temporality
	sum.DataPoints = append(sum.DataPoints, metricdata.DataPoint[N]{
		Attributes: attrs, StartTime: start, Time: end, Value: value,
	})
	of.Data = sum
}

// trimmed returns a copy of the buckets without the empty ones at both ends.
func trimmed(b *metricsbuffer.Buckets) metricdata.ExponentialBucket {
	low, high := 0, len(b.Counts)
	for low < high && b.Counts[low] == 0 {
		low++
	}
	for low < high && b.Counts[high-1] == 0 {
		high--
	}
	if low == high {
		return metricdata.ExponentialBucket{}
	}
	return metricdata.ExponentialBucket{
		Offset: int32(b.Offset + low),
		Counts: append([]uint64(nil), b.Counts[low:high]...),
	}
}
