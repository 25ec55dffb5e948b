package statsdsink

import (
	"math"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
)

// Why a point is dropped. The reasons are constant, because they are counted under these names.
const (
	notFinite   = "not a finite number: StatsD cannot carry NaN and infinities"
	unknownKind = "of a kind this sink does not know"
	tooLong     = "longer than the maximum packet: see WithMaxPacket"
)

// An encoder writes points as lines.
type encoder struct {
	prefix   string
	graphite bool // tags as name;key=value instead of |#key:value

	// Of the point being encoded; kept for their memory.
	name, tags []byte
	number     [32]byte
}

// append appends the lines of p to packet. A reason says why p cannot be sent; packet is then returned unchanged.
func (e *encoder) append(packet []byte, p *metricsbuffer.Point) (_ []byte, reason string) {
	e.name = appendName(append(e.name[:0], e.prefix...), p.Name)
	if e.graphite {
		e.tags = appendTags(e.tags[:0], p.Tags, ';', ';', '=')
	} else {
		e.tags = appendTags(e.tags[:0], p.Tags, '#', ',', ':')
	}
	switch p.Kind {
	case metricsbuffer.KindCounter:
		return e.appendLine(packet, "", strconv.AppendInt(e.number[:0], p.Count, 10), "|c"), ""
	case metricsbuffer.KindTimer:
		e.name = append(e.name, nanoseconds...)
		return e.appendTimer(packet, p), ""
	case metricsbuffer.KindHistogram:
		e.name = appendUnit(append(e.name, histogram...), p.Unit)
		return e.appendTimer(packet, p), ""
	case metricsbuffer.KindGauge:
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			return packet, notFinite
		}
		return e.appendGauge(packet, "", appendFloat(e.number[:0], p.Value)), ""
	}
	return packet, unknownKind
}

// appendTimer writes a timer or a histogram as two counters and two gauges. StatsD's own timers (|ms) are not used:
// what a receiver makes of a sum, or of one value with a sample rate, differs from one to the next; of counters it does
// not.
func (e *encoder) appendTimer(packet []byte, p *metricsbuffer.Point) []byte {
	packet = e.appendLine(packet, ".count", strconv.AppendInt(e.number[:0], p.Count, 10), "|c")
	packet = e.appendLine(packet, ".sum", strconv.AppendInt(e.number[:0], p.Sum, 10), "|c")
	packet = e.appendGauge(packet, ".min", strconv.AppendInt(e.number[:0], p.Min, 10))
	return e.appendGauge(packet, ".max", strconv.AppendInt(e.number[:0], p.Max, 10))
}

// appendGauge sets a gauge. A sign makes most receivers add to the gauge instead, so that a negative value can only be
// reached from zero. The two lines are in one packet, in this order, as all lines of a point are.
func (e *encoder) appendGauge(packet []byte, part string, number []byte) []byte {
	if number[0] == '-' {
		packet = e.appendLine(packet, part, []byte{'0'}, "|g")
	}
	return e.appendLine(packet, part, number, "|g")
}

// appendLine appends one line: the series, or a part of it, with a number.
func (e *encoder) appendLine(packet []byte, part string, number []byte, kind string) []byte {
	packet = append(packet, e.name...)
	packet = append(packet, part...)
	if e.graphite {
		packet = append(packet, e.tags...)
	}
	packet = append(packet, ':')
	packet = append(packet, number...)
	packet = append(packet, kind...)
	if !e.graphite && len(e.tags) > 0 {
		packet = append(packet, '|')
		packet = append(packet, e.tags...)
	}
	return append(packet, '\n')
}

// appendTags appends the tags with a mark in front of the first, separators between them, and equal between a key and
// its value. Receivers keep one value per key: of a key that stands there twice, the second is sent as another key,
// marked by an escape that means nothing, the third by two, and so on. Equal keys stand side by side: tags are sorted.
func appendTags(dst []byte, tags []metricsbuffer.Tag, mark, separator, equal byte) []byte {
	repeats := 0
	for i := range tags {
		tag := &tags[i]
		if i == 0 {
			dst = append(dst, mark)
		} else {
			dst = append(dst, separator)
			if repeats++; tag.Key != tags[i-1].Key {
				repeats = 0
			}
		}
		for range repeats {
			dst = append(dst, "_x_"...)
		}
		dst = append(appendKey(dst, tag.Key), equal)
		dst = appendEscaped(dst, tag.Value, -1)
	}
	return dst
}

// appendFloat appends the shortest decimal that reads back as f: without an exponent where people write none, for some
// receivers' patterns know digits and a point only, and without a sign for zero.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f+0, format, -1, 64) // -0 + 0 is 0
}
