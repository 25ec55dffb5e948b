package statsdsink

import (
	"strconv"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
	points "github.com/metricsbuffer/metricsbuffer/sink/internal/point" // the tests have a type point
)

// A quantile is sent as a gauge. Its name is the series' name and the part.
type quantile struct {
	q    float64
	part string
}

// quantilePart names a quantile by its percentage: ".p50" for 0.5, ".p99_9" for 0.999.
func quantilePart(q float64) string {
	digits := strings.TrimPrefix(strconv.FormatFloat(q, 'f', -1, 64), "0.") + "0"
	percent, rest := digits[:2], strings.TrimRight(digits[2:], "0")
	if percent[0] == '0' {
		percent = percent[1:]
	}
	if rest != "" {
		rest = "_" + rest
	}
	return ".p" + percent + rest
}

// appendParts writes a timer or a histogram as two counters and two gauges, and one more gauge for each quantile.
// Without an observation there are no gauges: they would say that one was zero.
func (e *encoder) appendParts(packet []byte, p *metricsbuffer.Point) []byte {
	packet = e.appendPart(packet, ".count", p.Count, "|c")
	packet = e.appendPart(packet, ".sum", p.Sum, "|c")
	if p.Count == 0 {
		return packet
	}
	packet = e.appendGaugePart(packet, ".min", p.Min)
	packet = e.appendGaugePart(packet, ".max", p.Max)
	for i := range e.quantiles {
		if v, ok := points.Quantile(p, e.quantiles[i].q); ok {
			packet = e.appendGaugePart(packet, e.quantiles[i].part, v)
		}
	}
	return packet
}

// appendGaugePart sets a gauge. The method append explains the two lines of a negative one.
func (e *encoder) appendGaugePart(packet []byte, part string, v int64) []byte {
	if v < 0 && !e.signed {
		packet = e.appendPart(packet, part, 0, "|g")
	}
	return e.appendPart(packet, part, v, "|g")
}

func (e *encoder) appendPart(packet []byte, part string, v int64, kind string) []byte {
	packet = append(packet, e.name...)
	packet = append(packet, part...)
	if e.graphite {
		packet = append(packet, e.tags...)
	}
	return e.endLine(strconv.AppendInt(append(packet, ':'), v, 10), kind)
}

// appendSum writes a timer as the total of its observations, if there are any.
func (e *encoder) appendSum(packet []byte, p *metricsbuffer.Point) (_ []byte, reason string) {
	switch {
	case p.Sum < 0:
		return packet, negative
	case p.Count == 0:
		return packet, ""
	}
	packet = append(e.appendOwnName(packet), ':')
	packet = append(appendMilliseconds(packet, p.Sum), "|ms"...)
	if !e.graphite {
		packet = append(packet, e.tags...)
	}
	packet = append(packet, e.container...)
	return append(packet, '\n'), ""
}

// appendMilliseconds appends a number of nanoseconds, at least zero, as milliseconds with all their decimals.
func appendMilliseconds(dst []byte, ns int64) []byte {
	const perMillisecond = 1_000_000
	dst = strconv.AppendInt(dst, ns/perMillisecond, 10)
	fraction := ns % perMillisecond
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(perMillisecond / 10); fraction > 0; unit /= 10 {
		dst = append(dst, byte('0'+fraction/unit))
		fraction %= unit
	}
	return dst
}
