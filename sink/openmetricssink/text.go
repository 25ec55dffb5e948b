package openmetricssink

import (
	"math"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// The text formats are defined by
// github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md, "Text-based format", and by
// github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md.

// appendClassic appends the page in the classic text format.
func (s *Sink) appendClassic(page []byte) []byte {
	return s.appendText(page, classic)
}

// appendOpen appends the page in the text format of OpenMetrics.
func (s *Sink) appendOpen(page []byte) []byte {
	return append(s.appendText(page, open), "# EOF\n"...)
}

func (s *Sink) appendText(page []byte, format int) []byte {
	withCreated := format == open && !s.withoutCreated
	for _, f := range s.inOrder() {
		page = append(page, f.comments[format]...)
		for _, total := range f.members {
			switch f.Type {
			case prom.Counter:
				page = append(append(page, f.value...), total.Detail.labels...)
				page = append(total.AppendAmount(page), '\n')
			case prom.Gauge:
				page = append(append(page, f.value...), total.Detail.labels...)
				page = append(appendFloat(page, total.Value), '\n')
				continue
			case prom.Histogram:
				page = f.appendHistogram(page, total, format)
			}
			if withCreated {
				page = append(f.appendName(page, f.created, total), s.createdText(total)...)
			}
		}
	}
	return page
}

// appendName appends a sample's name, the series' labels and a space.
func (f *family) appendName(page []byte, name string, total *series) []byte {
	page = append(page, name...)
	labels := total.Detail.labels
	if f.Type == prom.Histogram {
		if labels = labels[:len(labels)-1]; labels != "" {
			page = append(append(page, labels...), '}')
		}
		return append(page, ' ')
	}
	return append(page, labels...)
}

func (f *family) appendHistogram(page []byte, total *series, format int) []byte {
	labels, bounds := total.Detail.labels, f.boundsAs[format]
	lower := float64(prom.Below)
	end := func(page []byte, upper float64) []byte {
		if format == open && len(total.Exemplars) > 0 {
			page = appendExemplar(page, total.Kind, prom.LatestExemplar(&total.Point, lower, upper))
		}
		lower = upper
		return append(page, '\n')
	}
	for i, count := range prom.Cumulative(total.Buckets, f.bounds) {
		page = append(append(append(page, f.bucket...), labels...), bounds[i]...)
		page = end(strconv.AppendUint(page, count, 10), f.bounds[i].LE)
	}
	page = append(append(append(page, f.bucket...), labels...), `le="+Inf"} `...)
	page = end(strconv.AppendInt(page, total.Count, 10), math.Inf(1))

	page = f.appendName(page, f.sum, total)
	page = appendValue(page, total.Kind, total.Sum)
	page = f.appendName(append(page, '\n'), f.count, total)
	return append(strconv.AppendInt(page, total.Count, 10), '\n')
}

// appendValue appends an observation, or a sum of them, in the unit of the metric.
func appendValue(page []byte, kind metricsbuffer.Kind, v int64) []byte {
	if kind == metricsbuffer.KindTimer {
		return appendSeconds(page, v/1e9, v%1e9)
	}
	return strconv.AppendInt(page, v, 10)
}

// appendExemplar appends the end of a bucket's line, unless e is nil.
func appendExemplar(page []byte, kind metricsbuffer.Kind, e *metricsbuffer.Exemplar) []byte {
	if e == nil {
		return page
	}
	page = append(page, " # "...)
	for i, label := range prom.ExemplarLabels(e) {
		page = append(append(append(page, "{,"[i]), label.Key...), `="`...)
		page = append(append(page, label.Value...), '"')
	}
	page = appendValue(append(page, "} "...), kind, e.Value)
	return appendTime(append(page, ' '), e.Time)
}

// appendFloat appends a float64 as both text formats have it.
func appendFloat(page []byte, v float64) []byte {
	if whole := int64(v); float64(whole) == v && -1e15 < v && v < 1e15 && !(v == 0 && math.Signbit(v)) {
		return strconv.AppendInt(page, whole, 10) // this is faster
	}
	return strconv.AppendFloat(page, v, 'g', -1, 64)
}

// appendSeconds appends a number of seconds and nanoseconds, which have the same sign. It is exact, unlike a float64.
func appendSeconds(page []byte, seconds, nanoseconds int64) []byte {
	if seconds < 0 || nanoseconds < 0 {
		page, seconds, nanoseconds = append(page, '-'), -seconds, -nanoseconds
	}
	page = strconv.AppendInt(page, seconds, 10)
	if nanoseconds == 0 {
		return page
	}
	at := len(page)
	page = strconv.AppendInt(page, 1e9+nanoseconds, 10)
	page[at] = '.' // instead of the 1
	for page[len(page)-1] == '0' {
		page = page[:len(page)-1]
	}
	return page
}

// appendTime appends a time as seconds since 1970.
func appendTime(page []byte, t time.Time) []byte {
	seconds, nanoseconds := t.Unix(), int64(t.Nanosecond())
	if seconds < 0 && nanoseconds > 0 {
		seconds, nanoseconds = seconds+1, nanoseconds-1e9
	}
	return appendSeconds(page, seconds, nanoseconds)
}
