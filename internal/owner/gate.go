package owner

import (
	"runtime"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/atomic"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A SharedGate lets any number of writers in, and says which of two banks they may write to. The flusher flips the bank
// and waits until nobody is left who may write to the old one. The zero gate has bank 0 active.
//
// Assumptions: one flusher at a time flips and awaits.
//
// Guarantees: between Enter and Leave a writer may write to the bank that Enter returned. After Flip to one bank and
// Await of the other nobody writes to that other bank, until the next Flip. All accesses are sequentially consistent: a
// writer whose second look finds its bank active had registered before the flip, so that Await, which comes after the
// flip, finds it. A bank that was drained and flipped in again between the two looks is active again; the registration
// counts for it.
//
// Progress: a writer tries again only if a flip happened between its two looks. The flusher waits for writers inside.
type SharedGate struct {
	active atomic.Uint32
	inside [2]atomic.Int64 // writers in each bank
}

// Enter opens the section that Leave closes, and returns the bank that may be written to until then.
func (g *SharedGate) Enter() (bank uint32) {
	for {
		bank = g.active.Load()
		g.inside[bank%2].Add(1)
		if g.active.Load() == bank {
			return bank
		}
		g.inside[bank%2].Add(-1)
	}
}

// Leave closes the section.
func (g *SharedGate) Leave(bank uint32) { g.inside[bank%2].Add(-1) }

// Flip makes the given bank, which must be empty, the active one.
func (g *SharedGate) Flip(to uint32) { flip(&g.active, to) }

// Active returns the active bank. Flusher only: for everybody else it may be another one at once.
func (g *SharedGate) Active() (bank uint32) { return g.active.Load() }

// Await returns when nobody writes to the drained bank any more.
func (g *SharedGate) Await(drained uint32) {
	inside := &g.inside[drained%2]
	for tries := 0; inside.Load() != 0; tries++ {
		if yield.On {
			yield.Wait(inside)
		}
		pause(tries)
	}
}

func flip(active *atomic.Uint32, to uint32) {
	for {
		old := active.Load()
		if old == to || active.CompareAndSwap(old, to) {
			return
		}
	}
}

// pause waits for something that nearly always takes nanoseconds. Otherwise the operating system has taken away the
// core of the thread that is waited for.
func pause(tries int) {
	switch {
	case tries < 1000:
	case tries < 1100:
		runtime.Gosched()
	default:
		time.Sleep(min(time.Duration(tries)*time.Microsecond, time.Millisecond))
	}
}
