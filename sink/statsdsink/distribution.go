package statsdsink

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
)

// A distribution goes out as shares: observations of one bucket, sent as one value with a sample rate that says how
// many they are. Every receiver takes 1/rate for that number; some in floating point, some after cutting off what is
// behind the point. So only such numbers are sent whose 1/rate is exact after all rounding, and a bucket of which that
// is not true is sent as several shares.

// A share is a number of observations that one rate expresses.
type share struct {
	bucket int // zeros or as in [metricsbuffer.Buckets]
	weight uint64
}

// zeros stands for the bucket of zeros.
const zeros = math.MinInt

// isShared says that the point goes out as shares. All others go out in one piece.
func (e *encoder) isShared(p *metricsbuffer.Point) bool {
	switch e.form {
	case Timings:
		return p.Kind == metricsbuffer.KindTimer
	case Histograms, Distributions:
		return p.Kind == metricsbuffer.KindTimer || p.Kind == metricsbuffer.KindHistogram
	}
	return false
}

// limit returns the greatest weight of a share of n observations. A server may make an object of each observation, as
// statsd_exporter does; hence the first limit. The second bounds how many lines a bucket becomes, whatever is in it: to
// 2047 and those of the rest.
func limit(n uint64) uint64 { return 1 << max(16, bits.Len64(n)-11) }

// heaviest returns the greatest weight, up to most, of a share of n observations.
func heaviest(n, most uint64) uint64 {
	if n >= most {
		return most
	}
	if rate := 1 / float64(n); 1/rate == float64(n) { // as it is for five of six numbers
		return n
	}
	return 1 << (bits.Len64(n) - 1) // a power of two's always is
}

// A distribution is what of a point's buckets is to be sent.
type distribution struct {
	buckets *metricsbuffer.Buckets
	credit  *metricsbuffer.Buckets // has been sent already; may be nil
	packing bool
}

// count returns how many observations of the bucket are to be sent, j being zeros or an index of Counts.
func (d *distribution) count(j int) (bucket int, n uint64) {
	bucket, n = zeros, d.buckets.Zeros
	if j >= 0 {
		bucket, n = d.buckets.Offset+j, d.buckets.Counts[j]
	}
	if d.credit != nil {
		if has := countOf(d.credit, bucket); has != nil {
			n -= min(n, *has)
		}
	}
	return bucket, n
}

// each yields the shares, in an order that depends on the distribution only: from the lowest bucket to the highest;
// with packing, those of equal weight together, so that they are in one line.
func (d *distribution) each(yield func(share) bool) {
	if d.packing {
		d.eachByWeight(yield)
		return
	}
	for j := -1; j < len(d.buckets.Counts); j++ {
		bucket, n := d.count(j)
		for most := limit(n); n > 0; {
			weight := heaviest(n, most)
			if !yield(share{bucket, weight}) {
				return
			}
			n -= weight
		}
	}
}

func (d *distribution) eachByWeight(yield func(share) bool) {
	var greatest uint64
	for j := -1; j < len(d.buckets.Counts); j++ {
		_, n := d.count(j)
		greatest = max(greatest, n)
	}
	for weight := limit(greatest); weight > 0; weight >>= 1 {
		for j := -1; j < len(d.buckets.Counts); j++ {
			bucket, n := d.count(j)
			switch most := limit(n); {
			case weight > most:
				continue
			case weight < most:
				n &= 2*weight - 1
			}
			for ; n >= weight; n -= weight {
				if !yield(share{bucket, weight}) {
					return
				}
			}
		}
	}
}

// value returns what is sent for the observations of a bucket of p: no other value is as near, in relation, to both of
// the bucket's bounds.
func value(p *metricsbuffer.Point, at int) int64 {
	if at == zeros {
		return 0
	}
	middle := math.Round(math.Exp2((float64(at) + 0.5) / (1 << metricsbuffer.BucketScale)))
	switch {
	case middle >= float64(p.Max):
		return p.Max
	case middle <= float64(p.Min):
		return p.Min
	}
	return int64(middle)
}

// appendValue appends the value of a share of p: a timer's in milliseconds.
func appendValue(dst []byte, p *metricsbuffer.Point, at int) []byte {
	if p.Kind == metricsbuffer.KindTimer {
		return appendMilliseconds(dst, value(p, at))
	}
	return strconv.AppendInt(dst, value(p, at), 10)
}

// appendOwnName appends what is in front of the colon in a line that has no part.
func (e *encoder) appendOwnName(packet []byte) []byte {
	packet = append(packet, e.name...)
	if e.graphite {
		packet = append(packet, e.tags...)
	}
	return packet
}

// longestShare returns the length of the longest line that a share could make.
func (e *encoder) longestShare() int {
	const number, rate = len(":9223372036854.775807|ms"), len("|@0.00000000000000011102230246251565")
	return len(e.name) + number + rate + len(e.tags) + len(e.container) + len("\n")
}

// appendTail appends what is behind the values in a line of shares.
func (e *encoder) appendTail(dst []byte, weight uint64) []byte {
	switch e.form {
	case Timings:
		dst = append(dst, "|ms"...)
	case Histograms:
		dst = append(dst, "|h"...)
	default:
		dst = append(dst, "|d"...)
	}
	if weight > 1 {
		// Without an exponent: StatsD reads digits and a point.
		dst = strconv.AppendFloat(append(dst, "|@"...), 1/float64(weight), 'f', -1, 64)
	}
	if !e.graphite {
		dst = append(dst, e.tags...)
	}
	dst = append(dst, e.container...)
	return append(dst, '\n')
}
