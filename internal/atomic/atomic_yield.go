//go:build metricsbuffer_yield

package atomic

import (
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// Pointer is sync/atomic's, with a stop before each access.
type Pointer[T any] struct{ p atomic.Pointer[T] }

// Load returns the pointer.
func (p *Pointer[T]) Load() *T {
	yield.Read(&p.p)
	return p.p.Load()
}

// Store sets the pointer.
func (p *Pointer[T]) Store(to *T) {
	yield.Write(&p.p)
	p.p.Store(to)
}

// CompareAndSwap sets the pointer if it is old.
func (p *Pointer[T]) CompareAndSwap(old, to *T) bool {
	yield.Write(&p.p)
	return p.p.CompareAndSwap(old, to)
}

// Peek loads the pointer without a stop: the caller marks a whole array of pointers at once.
func Peek[T any](p *Pointer[T]) *T { return p.p.Load() }

// Int64 is sync/atomic's, with a stop before each access.
type Int64 struct{ v atomic.Int64 }

// Load returns the value.
func (i *Int64) Load() int64 {
	yield.Read(&i.v)
	return i.v.Load()
}

// Store sets the value.
func (i *Int64) Store(v int64) {
	yield.Write(&i.v)
	i.v.Store(v)
}

// Add adds delta. Callers that use the result must not call it: two additions count as steps that can be swapped.
func (i *Int64) Add(delta int64) {
	yield.Add(&i.v)
	i.v.Add(delta)
}

// CompareAndSwap sets the value if it is old.
func (i *Int64) CompareAndSwap(old, v int64) bool {
	yield.Write(&i.v)
	return i.v.CompareAndSwap(old, v)
}

// Uint32 is sync/atomic's, with a stop before each access.
type Uint32 struct{ v atomic.Uint32 }

// Load returns the value.
func (u *Uint32) Load() uint32 {
	yield.Read(&u.v)
	return u.v.Load()
}

// Store sets the value.
func (u *Uint32) Store(v uint32) {
	yield.Write(&u.v)
	u.v.Store(v)
}

// Add adds delta, and returns nothing for the reason that [Int64.Add] has.
func (u *Uint32) Add(delta uint32) {
	yield.Add(&u.v)
	u.v.Add(delta)
}

// CompareAndSwap sets the value if it is old.
func (u *Uint32) CompareAndSwap(old, v uint32) bool {
	yield.Write(&u.v)
	return u.v.CompareAndSwap(old, v)
}
