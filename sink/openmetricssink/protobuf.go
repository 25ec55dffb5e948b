package openmetricssink

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// The messages are those of github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto. Each
// function appends the fields of one message; the numbers are those of the fields. A field has a tag, the number and a
// wire type (protobuf.dev/programming-guides/encoding).
const (
	varint = 0
	double = 1
	nested = 2
)

// zeroThreshold is the width of the zero bucket that client_golang has, too: 2^-128.
var zeroThreshold = math.Ldexp(1, -128)

// appendProtobuf appends the page as messages MetricFamily, each behind its length.
func (s *Sink) appendProtobuf(page []byte) []byte {
	for _, f := range s.inOrder() {
		begin := len(page)
		page = s.appendFamily(page, f)
		page = insertLength(page, begin)
	}
	return page
}

func (s *Sink) appendFamily(page []byte, f *family) []byte {
	page = appendString(page, 1, f.Name())
	page = appendString(page, 2, f.Help)
	page = appendVarint(page, 3, protobufTypes[f.Type])
	for _, total := range f.members {
		page = appendTag(page, 4, nested)
		begin := len(page)
		page = s.appendMetric(page, f, total)
		page = insertLength(page, begin)
	}
	if f.Unit != "" {
		page = appendString(page, 5, f.Unit)
	}
	return page
}

var (
	protobufTypes = [...]uint64{prom.Counter: 0, prom.Gauge: 1, prom.Histogram: 4}
	valueFields   = [...]int{prom.Counter: 3, prom.Gauge: 2, prom.Histogram: 7}
)

func (s *Sink) appendMetric(page []byte, f *family, total *series) []byte {
	for _, label := range total.Detail.id.Labels {
		page = appendLabel(page, label)
	}
	page = appendTag(page, valueFields[f.Type], nested)
	begin := len(page)
	switch f.Type {
	case prom.Gauge:
		page = appendDouble(page, 1, total.Value)
	case prom.Counter:
		page = appendDouble(page, 1, total.Amount())
		page = appendTimestamp(page, 3, total.Start)
	case prom.Histogram:
		page = s.appendNative(page, f, total)
	}
	return insertLength(page, begin)
}

func (s *Sink) appendNative(page []byte, f *family, total *series) []byte {
	page = appendVarint(page, 1, uint64(total.Count))
	page = appendDouble(page, 2, float64(total.Sum)/prom.ScaleOf(total.Kind))
	lower := float64(prom.Below)
	for i, count := range prom.Cumulative(total.Buckets, f.bounds) {
		upper := f.bounds[i].LE
		page = appendBucket(page, count, upper, total.Kind, prom.LatestExemplar(&total.Point, lower, upper))
		lower = upper
	}
	infinity := math.Inf(1)
	if e := prom.LatestExemplar(&total.Point, lower, infinity); e != nil { // otherwise the bucket is understood
		page = appendBucket(page, uint64(total.Count), infinity, total.Kind, e)
	}
	page = appendVarint(page, 5, zigzag(metricsbuffer.BucketScale))
	page = appendDouble(page, 6, zeroThreshold)
	page = appendVarint(page, 7, total.Buckets.Zeros)

	s.native.Set(total.Kind, total.Buckets)
	for _, span := range s.native.Spans {
		page = appendTag(page, 12, nested)
		begin := len(page)
		page = appendVarint(page, 1, zigzag(int64(span.Offset)))
		page = appendVarint(page, 2, uint64(span.Length))
		page = insertLength(page, begin)
	}
	page = appendTag(page, 13, nested)
	begin := len(page)
	for _, delta := range s.native.Deltas {
		page = binary.AppendUvarint(page, zigzag(delta))
	}
	page = insertLength(page, begin)
	page = appendTimestamp(page, 15, total.Start)
	for i := range total.Exemplars {
		page = appendExemplarField(page, 16, total.Kind, &total.Exemplars[i])
	}
	return page
}

func appendBucket(
	page []byte, count uint64, upper float64, kind metricsbuffer.Kind, e *metricsbuffer.Exemplar,
) []byte {
	page = appendTag(page, 3, nested)
	begin := len(page)
	page = appendVarint(page, 1, count)
	page = appendDouble(page, 2, upper)
	if e != nil {
		page = appendExemplarField(page, 3, kind, e)
	}
	return insertLength(page, begin)
}

func appendExemplarField(page []byte, number int, kind metricsbuffer.Kind, e *metricsbuffer.Exemplar) []byte {
	page = appendTag(page, number, nested)
	begin := len(page)
	for _, label := range prom.ExemplarLabels(e) {
		page = appendLabel(page, label)
	}
	page = appendDouble(page, 2, float64(e.Value)/prom.ScaleOf(kind))
	page = appendTimestamp(page, 3, e.Time)
	return insertLength(page, begin)
}

func appendLabel(page []byte, label prom.Label) []byte {
	page = appendTag(page, 1, nested)
	begin := len(page)
	page = appendString(page, 1, label.Key)
	page = appendString(page, 2, label.Value)
	return insertLength(page, begin)
}

// appendTimestamp appends a field of the type google.protobuf.Timestamp.
func appendTimestamp(page []byte, number int, t time.Time) []byte {
	page = appendTag(page, number, nested)
	begin := len(page)
	page = appendVarint(page, 1, uint64(t.Unix()))
	page = appendVarint(page, 2, uint64(t.Nanosecond()))
	return insertLength(page, begin)
}

func appendTag(page []byte, number, wireType int) []byte {
	return binary.AppendUvarint(page, uint64(number<<3|wireType))
}

func appendVarint(page []byte, number int, v uint64) []byte {
	return binary.AppendUvarint(appendTag(page, number, varint), v)
}

func appendDouble(page []byte, number int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(page, number, double), math.Float64bits(v))
}

func appendString(page []byte, number int, s string) []byte {
	page = binary.AppendUvarint(appendTag(page, number, nested), uint64(len(s)))
	return append(page, s...)
}

// zigzag is the encoding of the type sint64.
func zigzag(v int64) uint64 { return uint64(v<<1 ^ v>>63) }

// insertLength inserts the length of page[begin:] before it.
func insertLength(page []byte, begin int) []byte {
	n := len(page) - begin
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	page = append(page, length[:size]...)
	copy(page[begin+size:], page[begin:begin+n])
	copy(page[begin:], length[:size])
	return page
}
