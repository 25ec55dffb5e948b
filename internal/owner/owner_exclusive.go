//go:build (amd64 || arm64) && !race && !purego

package owner

import (
	"sync/atomic"
	_ "unsafe" // for go:linkname

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// Exclusive says that a pinned goroutine owns the words of its P.
const Exclusive = true

// The runtime keeps these two for packages outside it; see the comment at runtime.procPin and go.dev/issue/67401.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// Pin keeps the goroutine on its P, without preemption, until [Unpin], and returns the P's number: at least 0 and less
// than GOMAXPROCS.
func Pin() int {
	if yield.On && yield.Active() {
		return yield.Pin()
	}
	return procPin()
}

// Unpin lets the goroutine be preempted and moved again.
func Unpin() {
	if yield.On && yield.Active() {
		yield.Unpin()
		return
	}
	procUnpin()
}

// A Word is a 64-bit sum or maximum, changed by its owner only.
type Word struct{ v int64 }

// Add adds delta. Owner only.
func (w *Word) Add(delta int64) {
	if yield.On {
		yield.Read(&w.v)
		v := w.v
		yield.Write(&w.v)
		w.v = v + delta
		return
	}
	w.v += delta
}

// AddShared adds delta to a word that has no owner, or that the caller owns.
func (w *Word) AddShared(delta int64) {
	if yield.On {
		yield.Add(&w.v)
	}
	atomic.AddInt64(&w.v, delta)
}

// RaiseShared makes a word at least v that has no owner, or that the caller owns.
func (w *Word) RaiseShared(v int64) {
	for {
		old := w.Peek()
		if v <= old {
			return
		}
		if yield.On {
			yield.Write(&w.v)
		}
		if atomic.CompareAndSwapInt64(&w.v, old, v) {
			return
		}
	}
}

// Raise makes the word at least v. Owner only.
func (w *Word) Raise(v int64) {
	if yield.On {
		yield.Read(&w.v)
	}
	if v > w.v {
		if yield.On {
			yield.Write(&w.v)
		}
		w.v = v
	}
}

// Reset makes the word zero. Owner only.
func (w *Word) Reset() {
	if yield.On {
		yield.Write(&w.v)
	}
	w.v = 0
}

// Peek returns a value that the word has or had. Anybody.
func (w *Word) Peek() int64 {
	if yield.On {
		yield.Read(&w.v)
	}
	return atomic.LoadInt64(&w.v)
}

// A Tally is a small count, changed by its owner only.
type Tally struct{ n uint32 }

// Inc adds one. Owner only.
func (t *Tally) Inc() {
	if yield.On {
		t.Add(1)
		return
	}
	t.n++
}

// Add adds n. Owner only.
func (t *Tally) Add(n uint32) {
	if yield.On {
		yield.Read(&t.n)
		old := t.n
		yield.Write(&t.n)
		t.n = old + n
		return
	}
	t.n += n
}

// Full says that the tally must not be increased any more. Owner only.
func (t *Tally) Full() bool {
	if yield.On {
		yield.Read(&t.n)
	}
	return t.n >= limit
}

// AddShared adds n to a tally that has no owner, or that the caller owns.
func (t *Tally) AddShared(n uint32) {
	if yield.On {
		yield.Add(&t.n)
	}
	atomic.AddUint32(&t.n, n)
}

// Peek returns a value that the tally has or had. Anybody.
func (t *Tally) Peek() uint32 {
	if yield.On {
		yield.Read(&t.n)
	}
	return atomic.LoadUint32(&t.n)
}
