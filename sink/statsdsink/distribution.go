package statsdsink

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
)

// A distribution is sent as shares. A share is one value with a sample rate, and stands for a number of observations of
// one bucket. Servers compute that number as 1/rate: some in floating point, others cut off the fraction. So the sink
// sends only numbers for which 1/rate is exact after all rounding. A bucket with another number of observations becomes
// several shares.

// A share is a number of observations, the weight, that one rate expresses exactly.
type share struct {
	bucket int // zeros, or an index i as in [metricsbuffer.Buckets]
	weight uint64
}

// zeros stands for the bucket of zeros.
const zeros = math.MinInt

// isShared reports whether the point is sent as shares. All other points are sent in one piece.
func (e *encoder) isShared(p *metricsbuffer.Point) bool {
	switch p.Kind {
	case metricsbuffer.KindTimer:
		return e.form.isDistribution()
	case metricsbuffer.KindHistogram:
		return e.form == Histograms || e.form == Distributions
	}
	return false
}

// limit returns the greatest weight that a share of n observations may have. It is 2^16, because statsd_exporter makes
// an object of each observation. It is greater if the bucket would become more than 2047 full shares otherwise.
func limit(n uint64) uint64 { return 1 << max(16, bits.Len64(n)-11) }

// heaviest returns the greatest weight, up to most, of a share of n observations.
func heaviest(n, most uint64) uint64 {
	if n >= most {
		return most
	}
	if rate := 1 / float64(n); 1/rate == float64(n) { // true for five of six numbers
		return n
	}
	return 1 << (bits.Len64(n) - 1) // always true for a power of two
}

// A distribution is the part of a point's buckets that is still to be sent.
type distribution struct {
	buckets *metricsbuffer.Buckets
	credit  *metricsbuffer.Buckets // sent already; may be nil
	packing bool
}

// count returns the number of observations that are to be sent of one bucket: of Counts[j], or of the zeros if j is -1.
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

// each yields the shares. Their order depends on the distribution only. It is from the lowest bucket to the highest;
// with packing, shares of equal weight come together, so that one line can hold them.
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

// value returns the value that is sent for the observations in a bucket of p. It is the geometric mean of the bucket's
// bounds, whose relative distance to both is the same: 2.2 %. It is never below p.Min or above p.Max.
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

// appendValue appends the value of a share of p: of a timer in milliseconds.
func appendValue(dst []byte, p *metricsbuffer.Point, at int) []byte {
	if p.Kind == metricsbuffer.KindTimer {
		return appendMilliseconds(dst, value(p, at))
	}
	return strconv.AppendInt(dst, value(p, at), 10)
}

// appendOwnName appends the name, for lines whose names have no part such as ".count".
func (e *encoder) appendOwnName(packet []byte) []byte {
	packet = append(packet, e.name...)
	if e.graphite {
		packet = append(packet, e.tags...)
	}
	return packet
}

// longestShare returns the greatest length of a line with one share.
func (e *encoder) longestShare() int {
	const number, rate = len(":9223372036854.775807|ms"), len("|@0.00000000000000011102230246251565")
	return len(e.name) + number + rate + len(e.tags) + len(e.container) + len("\n")
}

// appendTail appends the rest of a line of shares, after the values.
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
