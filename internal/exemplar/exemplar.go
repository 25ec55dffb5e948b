// Package exemplar keeps one value of each octave of a series, in each of the two banks that writers and flusher take
// turns with.
package exemplar

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// Octaves is the number of octaves.
const Octaves = 64

// Octave returns k for an observation in (2^(k-1), 2^k], and 0 for one of 1 or less. So an octave is as wide as 16
// buckets, and a bound between octaves is a bound of buckets.
func Octave(v int64) int {
	if v <= 1 {
		return 0
	}
	return bits.Len64(uint64(v - 1))
}

// Cells are the values of a series, of which a bank has at most one for each octave: the first that was put there since
// the bank was last taken.
//
// Assumptions: Put is called inside a gate, with the bank that the gate tells. Take is called by the owner of the bank:
// the flusher, once no writer is inside any more that was told this bank (see internal/owner).
//
// Guarantees: a value is never torn. A writer claims the octave by setting its bit, so that no other writer writes to
// the same place. Whatever it writes before it leaves the gate is visible to the flusher, which looks after that.
//
// Progress: nobody waits. A writer that finds the octave claimed leaves without its value.
type Cells[T any] struct {
	claimed [2]atomic.Uint64 // a bit for each octave of a bank
	values  [Octaves]atomic.Pointer[[2]T]

	// Idle is the flusher's: how often in a row Take found nothing.
	Idle uint8
}

// Claimed says whether the bank has a value of the octave. It may have none any more as soon as it is told.
func (c *Cells[T]) Claimed(bank uint32, octave int) bool {
	return c.claimed[bank%2].Load()>>octave&1 != 0
}

// Reserve makes room for values of the octave. It allocates the first time. It comes before Put, outside of the gate.
func (c *Cells[T]) Reserve(octave int) {
	if at := &c.values[octave]; at.Load() == nil {
		at.CompareAndSwap(nil, new([2]T))
	}
}

// Put keeps the value, unless the bank has one of the octave.
func (c *Cells[T]) Put(bank uint32, octave int, value *T) {
	if bit := uint64(1) << octave; c.claimed[bank%2].Or(bit)&bit == 0 {
		c.values[octave].Load()[bank%2] = *value
	}
}

// Take calls f with the values of the bank, in the order of their octaves, and leaves none. It returns false if there
// were none.
func (c *Cells[T]) Take(bank uint32, f func(*T)) (found bool) {
	claimed := c.claimed[bank%2].Load()
	if claimed == 0 {
		return false
	}
	for rest := claimed; rest != 0; rest &= rest - 1 {
		f(&c.values[bits.TrailingZeros64(rest)].Load()[bank%2])
	}
	c.claimed[bank%2].Store(0)
	return true
}

// Bytes returns the memory of c.
func (c *Cells[T]) Bytes() (n int64) {
	n = int64(unsafe.Sizeof(*c))
	for i := range c.values {
		if v := c.values[i].Load(); v != nil {
			n += int64(unsafe.Sizeof(*v))
		}
	}
	return n
}
