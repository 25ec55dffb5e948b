//go:build !(amd64 || arm64) || race || purego

package owner

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// Exclusive says that a pinned goroutine owns the words of its P. In this build it does not: words are atomic instead.
const Exclusive = false

// procs is read once: it only spreads writers over shards, any number would be right.
var procs = runtime.GOMAXPROCS(0)

// Pin returns the number of a shard to write to, which others may write to at the same time.
func Pin() int {
	if yield.On && yield.Active() {
		return yield.Pin()
	}
	return rand.IntN(procs)
}

// Unpin does nothing.
func Unpin() {
	if yield.On && yield.Active() {
		yield.Unpin()
	}
}

// A Word is a 64-bit sum or maximum.
type Word struct{ v atomic.Int64 }

// Add adds delta.
func (w *Word) Add(delta int64) {
	if yield.On {
		yield.Add(&w.v)
	}
	w.v.Add(delta)
}

// AddShared adds delta.
func (w *Word) AddShared(delta int64) { w.Add(delta) }

// RaiseShared makes the word at least v.
func (w *Word) RaiseShared(v int64) { w.Raise(v) }

// Raise makes the word at least v.
func (w *Word) Raise(v int64) {
	for {
		if yield.On {
			yield.Read(&w.v)
		}
		old := w.v.Load()
		if yield.On {
			yield.Write(&w.v)
		}
		if v <= old || w.v.CompareAndSwap(old, v) {
			return
		}
	}
}

// Reset makes the word zero.
func (w *Word) Reset() {
	if yield.On {
		yield.Write(&w.v)
	}
	w.v.Store(0)
}

// Peek returns a value that the word has or had.
func (w *Word) Peek() int64 {
	if yield.On {
		yield.Read(&w.v)
	}
	return w.v.Load()
}

// A Tally is a small count.
type Tally struct{ n atomic.Uint32 }

// Inc adds one.
func (t *Tally) Inc() { t.Add(1) }

// Add adds n.
func (t *Tally) Add(n uint32) {
	if yield.On {
		yield.Add(&t.n)
	}
	t.n.Add(n)
}

// AddShared adds n.
func (t *Tally) AddShared(n uint32) { t.Add(n) }

// Full says that the tally must not be increased any more. Those who asked at the same time and were told it is not
// find room left all the same: the limit is half of what a tally can hold.
func (t *Tally) Full() bool {
	if yield.On {
		yield.Read(&t.n)
	}
	return t.n.Load() >= limit
}

// Peek returns a value that the tally has or had.
func (t *Tally) Peek() uint32 {
	if yield.On {
		yield.Read(&t.n)
	}
	return t.n.Load()
}
