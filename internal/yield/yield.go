// Package yield marks the places at which the schedule of goroutines matters: where code that runs concurrently is
// about to touch memory that others touch, too. Built with the tag metricsbuffer_yield, the goroutine stops there until
// a [Scheduler] lets it go on, so that a test can run the real code in every order there is
// (internal/verify/interleave). Without the tag the calls are empty. They stand in "if yield.On { … }", of a constant,
// so that they cost nothing at all: no instruction, no check for nil, and no part of the compiler's budget for
// inlining. Most marks stand in the types of internal/atomic, and few in the sources of the protocol.
//
// A mark stands directly before the access, and names it. The code from one mark to the next is one step: the only
// shared memory that it touches is named by the mark at its begin. A sequentially consistent machine could run the
// steps in every order that is tried. The models in internal/verify/spec explore the orders that store buffers add.
package yield

// A Kind is a kind of access to the memory that a mark names.
type Kind uint8

// The kinds of access.
const (
	Reads  Kind = iota
	Writes      // or reads and writes in one step
	Adds        // in one step, and without a look at the result: two of these can be swapped
	Waits       // reads, again and again, until it finds something else than when it last read
)

// A Scheduler decides which goroutine may go on. The running goroutine calls its methods; they return when it may
// continue.
type Scheduler interface {
	Access(kind Kind, address, size uintptr)
	Pin() int // which P to be pinned to; in the exclusive twin once nobody else is
	Unpin()
}
