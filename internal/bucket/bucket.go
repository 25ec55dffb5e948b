// Package bucket maps values to the buckets of a base-2 exponential histogram with 16 buckets per octave (scale 4).
//
// Bucket i holds the values v with 2^(i/16) < v <= 2^((i+1)/16). That is the layout of OpenTelemetry's exponential
// histograms at scale 4 (opentelemetry.io/docs/specs/otel/metrics/data-model, "ExponentialHistogram") and, with indexes
// one higher, of Prometheus' native histograms at schema 4: neither needs re-bucketing. The middle of a bucket is at
// most 2.2 % away from any value in it. Zero has no bucket; the smallest value that has is 1, in bucket -1.
package bucket

import (
	"math"
	"math/bits"
)

const (
	// Scale is the binary logarithm of PerOctave.
	Scale = 4

	// PerOctave is the number of buckets from one power of two to the next.
	PerOctave = 1 << Scale

	// Lowest is the bucket of 1.
	Lowest = -1

	// Highest is the bucket of math.MaxInt64.
	Highest = 63*PerOctave - 1
)

// bounds[j] is the greatest integer not above 2^(63+j/16): within an octave, scaled to have its highest bit set, a
// value belongs to bucket j or higher exactly if it exceeds bounds[j]. The rest is never exceeded.
var bounds = [2 * PerOctave]uint64{
	0x8000000000000000,
	0x85aac367cc487b14,
	0x8b95c1e3ea8bd6e6,
	0x91c3d373ab11c336,
	0x9837f0518db8a96f,
	0x9ef5326091a111ad,
	0xa5fed6a9b15138ea,
	0xad583eea42a14ac6,
	0xb504f333f9de6484,
	0xbd08a39f580c36be,
	0xc5672a115506dadd,
	0xce248c151f8480e3,
	0xd744fccad69d6af4,
	0xe0ccdeec2a94e111,
	0xeac0c6e7dd24392e,
	0xf5257d152486cc2c,
	math.MaxUint64,
}

// guess[t] is the number of bounds below every value whose highest seven bits are t, one of 64 to 127. One such cell is
// narrower than a bucket, so at most one more bound can be below the value itself.
var guess = func() (guess [128]uint8) {
	for t := 64; t < len(guess); t++ {
		for bounds[guess[t]] < uint64(t)<<57 {
			guess[t]++
		}
	}
	return guess
}()

// Index returns the bucket of v, which must be positive. It cannot panic, even for other values. It has no branch that
// depends on v, because processors could not predict it.
func Index(v int64) int {
	n := bits.Len64(uint64(v))
	scaled := uint64(v) << (-n & 63)
	j := guess[scaled>>57]
	_, more := bits.Sub64(bounds[j&(2*PerOctave-1)], scaled, 0)
	return n*PerOctave + int(j) + int(more) - PerOctave - 1
}

// Upper returns the upper bound of bucket i, which belongs to it. Its lower bound, which does not, is Upper(i-1).
func Upper(i int) float64 { return math.Exp2(float64(i+1) / PerOctave) }
