// Package yield marks the places at which the schedule of goroutines matters: where code that runs concurrently is
// about to touch memory that others touch, too. Built with the tag metricsbuffer_yield, the goroutine stops there until
// a [Scheduler] lets it go on, so that a test can run the real code in every order there is (internal/verify/interleave).
// Without the tag the calls are empty. They stand in "if yield.On { … }", of a constant, and not by themselves, so that
// what they cost is nothing at all: neither an instruction, nor a check for nil of what they name, nor a part of the
// budget by which the compiler decides what to inline.
//
// A mark stands directly before the access, and names it. What runs from one mark to the next is one step: it must
// touch nothing shared but what the mark at its begin says. An order of such steps is what a sequentially consistent
// machine could do. What a processor adds to that, by its store buffers, is in internal/verify/spec, where it can be explored.
package yield

// A Kind says what is done with the memory that is named.
type Kind uint8

// The kinds of access.
const (
	Reads  Kind = iota
	Writes      // or reads and writes in one step
	Adds        // in one step, and without a look at the result: two of these can be swapped
	Waits       // reads, again and again, until it finds something else than when it last read
)

// A Scheduler decides who may go on. Its methods are called by the goroutine that is running; they return when it may
// continue.
type Scheduler interface {
	Access(kind Kind, address, size uintptr)
	Pin() int // which P to be pinned to; in the exclusive twin once nobody else is
	Unpin()
}
