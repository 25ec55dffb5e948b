//go:build (amd64 || arm64) && !race && !purego

package owner

import (
	"sync/atomic"
	_ "unsafe" // for go:linkname
)

// Exclusive says that what is pinned is owned.
const Exclusive = true

// The runtime keeps these two for packages outside it; see the comment at runtime.procPin and go.dev/issue/67401.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// Pin keeps the goroutine on its P, without preemption, until [Unpin], and returns the P's number: at least 0 and less
// than GOMAXPROCS.
func Pin() int { return procPin() }

// Unpin ends what [Pin] began.
func Unpin() { procUnpin() }

// A Word is a 64-bit sum or maximum, changed by its owner only.
type Word struct{ v int64 }

// Add adds delta. Owner only.
func (w *Word) Add(delta int64) { w.v += delta }

// Raise makes the word at least v. Owner only.
func (w *Word) Raise(v int64) {
	if v > w.v {
		w.v = v
	}
}

// Reset makes the word zero. Owner only.
func (w *Word) Reset() { w.v = 0 }

// Peek returns a value that the word has or had. Anybody.
func (w *Word) Peek() int64 { return atomic.LoadInt64(&w.v) }

// A Tally is a small count, changed by its owner only.
type Tally struct{ n uint32 }

// Inc adds one. Owner only.
func (t *Tally) Inc() { t.n++ }

// Add adds n. Owner only.
func (t *Tally) Add(n uint32) { t.n += n }

// Full says that the tally must not be increased any more. Owner only.
func (t *Tally) Full() bool { return t.n >= limit }

// Peek returns a value that the tally has or had. Anybody.
func (t *Tally) Peek() uint32 { return atomic.LoadUint32(&t.n) }
