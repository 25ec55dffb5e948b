//go:build !(amd64 || arm64) || race || purego

package owner

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// Exclusive says that what is pinned is owned. Here it is not: words are atomic instead.
const Exclusive = false

// procs is read once: it only spreads writers over shards, any number would be right.
var procs = runtime.GOMAXPROCS(0)

// Pin returns the number of a shard to write to, which others may write to at the same time.
func Pin() int { return rand.IntN(procs) }

// Unpin does nothing.
func Unpin() {}

// A Word is a 64-bit sum or maximum.
type Word struct{ v atomic.Int64 }

// Add adds delta.
func (w *Word) Add(delta int64) { w.v.Add(delta) }

// Raise makes the word at least v.
func (w *Word) Raise(v int64) {
	for {
		old := w.v.Load()
		if v <= old || w.v.CompareAndSwap(old, v) {
			return
		}
	}
}

// Reset makes the word zero.
func (w *Word) Reset() { w.v.Store(0) }

// Peek returns a value that the word has or had.
func (w *Word) Peek() int64 { return w.v.Load() }

// A Tally is a small count.
type Tally struct{ n atomic.Uint32 }

// Inc adds one.
func (t *Tally) Inc() { t.n.Add(1) }

// Add adds n.
func (t *Tally) Add(n uint32) { t.n.Add(n) }

// Full says that the tally must not be increased any more. Those who asked at the same time and were told it is not
// find room left all the same: the limit is half of what a tally can hold.
func (t *Tally) Full() bool { return t.n.Load() >= limit }

// Peek returns a value that the tally has or had.
func (t *Tally) Peek() uint32 { return t.n.Load() }
