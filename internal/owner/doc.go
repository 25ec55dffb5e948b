// Package owner provides words that have one owner at a time, and the way to become that owner.
//
// A goroutine owns the words of processor P (a GOMAXPROCS slot of the Go scheduler) from [Pin] to [Unpin]: it cannot be
// preempted in between, so nobody else runs on that P, and [Word.Add] can be a plain load, add and store. Between the
// two it must not block, panic or call a function that might.
//
// Builds that cannot have that (the race detector, which rightly sees plain words that another goroutine reads; 32-bit
// processors, which tear them; architectures on which nobody has shown the ordering to hold; the build tag purego) use
// the twin: Pin picks a shard without pinning anything, and every word is atomic. [Exclusive] says which one this is.
//
// The exclusive build relies on two facts beyond Go's memory model. An aligned 64-bit (or 32-bit) plain store is seen
// whole or not at all by an atomic load elsewhere (the memory model promises it for words: "each read of a
// single-word-sized memory location must observe a value actually written"). And the compiler keeps plain
// stores on their side of an atomic operation.
package owner
