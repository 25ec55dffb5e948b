//go:build !metricsbuffer_yield

package atomic

import "sync/atomic"

type (
	// Pointer is sync/atomic's.
	Pointer[T any] = atomic.Pointer[T]

	// Int64 is sync/atomic's.
	Int64 = atomic.Int64

	// Uint32 is sync/atomic's.
	Uint32 = atomic.Uint32
)

// Peek loads the pointer. It does not stop in the scheduler's build: the caller marks a whole array of pointers at
// once.
func Peek[T any](p *Pointer[T]) *T { return p.Load() }
