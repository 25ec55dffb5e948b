// Package fraction adds up fractions for counters that hold whole numbers only.
package fraction

import (
	"math"
	"sync/atomic"
)

// A Rest is the part of a sum that is too small for a whole number: 0 or more, and less than 1. Its zero value is 0.
// All methods may be called concurrently.
//
// The word counts steps of 2^-64. When it wraps around, the rest has reached 1, and the Add that saw it carries 1 over.
// So the whole numbers that were returned and the rest are always the sum of all that was added. A fraction of a
// float64 below 2^-11 may have digits beyond 2^-64; these digits are cut off.
type Rest struct{ steps atomic.Uint64 }

const half = 1 << 63

// Rounding makes the rest begin at one half. The sum of the returned numbers is then the recorded sum rounded to the
// nearest whole number, instead of rounded down. It must be called before the first Add.
func (r *Rest) Rounding() { r.steps.Store(half) }

// Add adds v and returns the whole number by which the sum has grown. It does nothing and returns false if v is NaN,
// infinite, or does not fit an int64.
func (r *Rest) Add(v float64) (whole int64, ok bool) {
	if !fits(v) {
		return 0, false
	}
	integer, part := math.Modf(v)
	whole = int64(integer)
	switch steps := uint64(math.Abs(part) * (1 << 64)); {
	case steps == 0:
	case part > 0:
		if r.steps.Add(steps) < steps {
			whole++
		}
	default:
		if r.steps.Add(-steps) >= -steps {
			whole--
		}
	}
	return whole, true
}

// Steps returns the rest in steps of 2^-64.
func (r *Rest) Steps() uint64 { return r.steps.Load() }

// Round returns the nearest whole number, or false if v is NaN, infinite, or does not fit an int64.
func Round(v float64) (whole int64, ok bool) {
	if v = math.Round(v); !fits(v) {
		return 0, false
	}
	return int64(v), true
}

// fits compares with -2^63 and 2^63, which are exact as a float64. NaN compares as false.
func fits(v float64) bool { return v >= math.MinInt64 && v < math.MaxInt64 }
