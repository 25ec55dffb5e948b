package jsonsink

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/point"
)

// A text is the part of a series' lines that stays the same, as JSON. It is empty if the series cannot be written.
type text []byte

// appendText appends the text of the point's series.
func appendText(dst []byte, p *metricsbuffer.Point) []byte {
	if point.UTF8(p) {
		dst = appendString(append(dst, `,"kind":`...), p.Kind.String())
		dst = appendString(append(dst, `,"name":`...), p.Name)
		if len(p.Tags) > 0 {
			dst = appendTags(append(dst, `,"tags":`...), p.Tags)
		}
		unit := p.Unit
		if p.Kind == metricsbuffer.KindTimer {
			unit = "ns"
		}
		if unit != "" {
			dst = appendString(append(dst, `,"unit":`...), unit)
		}
	}
	return dst
}

// appendValue appends the rest of the point's line.
func (s *Sink) appendValue(dst []byte, p *metricsbuffer.Point) []byte {
	switch p.Kind {
	case metricsbuffer.KindCounter:
		dst = p.AppendAmount(append(dst, `,"count":`...))
	case metricsbuffer.KindGauge:
		dst = appendFloat(append(dst, `,"value":`...), p.Value)
	default:
		dst = appendInt(dst, "count", p.Count)
		dst = appendInt(dst, "sum", p.Sum)
		if p.Count > 0 {
			dst = appendInt(dst, "min", p.Min)
			dst = appendInt(dst, "max", p.Max)
		}
		if p.Buckets != nil && !s.withoutBuckets {
			dst = appendBuckets(append(dst, `,"buckets":`...), p.Buckets)
		}
	}
	return append(dst, '}')
}

func appendInt(dst []byte, key string, v int64) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return strconv.AppendInt(dst, v, 10)
}

func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// appendTags appends an object. Tags are sorted, so the values of one key are neighbours.
func appendTags(dst []byte, tags []metricsbuffer.Tag) []byte {
	for i := 0; i < len(tags); {
		dst = append(dst, "{,"[min(i, 1)])
		key := tags[i].Key
		dst = append(appendString(dst, key), ':')
		if i+1 == len(tags) || tags[i+1].Key != key {
			dst = appendString(dst, tags[i].Value)
			i++
			continue
		}
		for before := byte('['); i < len(tags) && tags[i].Key == key; i++ {
			dst = appendString(append(dst, before), tags[i].Value)
			before = ','
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendBuckets appends the buckets, except empty ones at both ends.
func appendBuckets(dst []byte, b *metricsbuffer.Buckets) []byte {
	low, high := 0, len(b.Counts)
	for low < high && b.Counts[low] == 0 {
		low++
	}
	for low < high && b.Counts[high-1] == 0 {
		high--
	}
	dst = strconv.AppendInt(append(dst, `{"scale":`...), metricsbuffer.BucketScale, 10)
	dst = strconv.AppendUint(append(dst, `,"zeros":`...), b.Zeros, 10)
	dst = strconv.AppendInt(append(dst, `,"offset":`...), int64(b.Offset+low), 10)
	dst = append(dst, `,"counts":[`...)
	for i, n := range b.Counts[low:high] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return append(dst, "]}"...)
}

// appendString appends s, which is UTF-8, as a JSON string. It also escapes the characters that some programs take for
// the end of a line: U+0085, U+2028 and U+2029.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(append(dst, s[done:i]...), '\\', byte(r))
		case r < ' ' || r == '\x7f' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[done:i]...), '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			continue
		}
		done = i + utf8.RuneLen(r)
	}
	return append(append(dst, s[done:]...), '"')
}
