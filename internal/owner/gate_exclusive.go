//go:build (amd64 || arm64) && !race && !purego

package owner

import (
	"runtime"
	stdatomic "sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/atomic"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A Gate lets one writer in at a time, its owner, and says which of two banks it may write to. The model is
// HdrHistogram's WriterReaderPhaser, with one writer and hence without its atomic additions. The zero gate has bank 0
// active.
//
// The owner makes passed odd, loads the active bank, works, and makes passed even. The flusher flips the bank, calls
// fence.Process, and waits while passed is odd and unchanged.
//
// Assumptions: the owner is pinned, so that nobody else runs on its P. One flusher at a time flips and awaits, and puts
// a fence.Process between the two. The compiler keeps plain stores on their side of an atomic load, and keeps both
// stores to passed; Go's does, as atomic operations are ordered with all memory operations in its intermediate form.
// The stress test watches that.
//
// Guarantees: between Enter and Leave the owner may write to the bank that Enter returned. After Flip to one bank,
// fence, and Await of the other nobody writes to that other bank, until the next Flip.
//
// Reason: the processor may perform the owner's load of the bank before its store to passed is visible. The fence puts
// a full barrier somewhere into the owner's instructions. If the barrier comes before the load, the load comes after
// the flip and finds the new bank. If it comes after the load, it also comes after the store. Then the flusher, which
// reads passed after the fence, finds it odd and waits; or finds it changed, and the work is done and visible, because
// stores become visible in order (amd64), or because the closing store is a release (arm64).
//
// Progress: the owner never waits. The flusher waits for an owner inside: some nanoseconds, or as long as the operating
// system leaves the pinned thread off its core.
type Gate struct {
	passed uint64 // the owner's: how often it entered and left; odd while it is inside
	active atomic.Uint32
}

// Enter opens the section that Leave closes, and returns the bank that may be written to until then. Owner only.
func (g *Gate) Enter() (bank uint32) {
	if yield.On {
		yield.Write(&g.passed)
	}
	g.passed++
	return g.active.Load()
}

// Leave closes the section. Owner only.
func (g *Gate) Leave(uint32) {
	if yield.On {
		yield.Write(&g.passed)
	}
	if runtime.GOARCH == "amd64" {
		g.passed++
	} else {
		stdatomic.StoreUint64(&g.passed, g.passed+1) // a release, no more, on arm64
	}
}

// Flip makes the given bank, which must be empty, the active one.
func (g *Gate) Flip(to uint32) { flip(&g.active, to) }

// Await returns when nobody writes to the drained bank any more. A fence.Process must have come after the flip.
func (g *Gate) Await(uint32) {
	if yield.On {
		yield.Read(&g.passed)
	}
	passed := stdatomic.LoadUint64(&g.passed)
	for tries := 0; passed%2 == 1 && stdatomic.LoadUint64(&g.passed) == passed; tries++ {
		if yield.On {
			yield.Wait(&g.passed)
		}
		pause(tries)
	}
}
