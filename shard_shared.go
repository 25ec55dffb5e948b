//go:build !(amd64 || arm64) || race || purego

package metricsbuffer

import (
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// How writers enter a shard that several of them may use at a time: they register with the bank, and then look whether
// it is still the active one. All of it is atomic, hence sequentially consistent, and needs no fence: a writer whose
// second look finds the bank active registered before the flip, so the flusher, which waits after the flip until nobody
// is registered, waits for it. A bank that was drained and flipped in again between the two looks is active again: the
// registration counts for it.
//
// A writer that finds the bank flipped registers with the next one: it tries again only if a flip happened meanwhile.

// gate is needed by the other twin only.
type gate struct{ _ uint64 }

// visitors counts the writers inside a bank.
type visitors struct{ n atomic.Int64 }

// enter opens the section that leave closes, and returns the bank that may be written until then.
func (s *shard) enter() *bank {
	for {
		if yield.On {
			yield.Read(&s.bank)
		}
		bank := s.bank.Load()
		if yield.On {
			yield.Add(&bank.visitors.n)
		}
		bank.visitors.n.Add(1)
		if yield.On {
			yield.Read(&s.bank)
		}
		if s.bank.Load() == bank {
			return bank
		}
		if yield.On {
			yield.Add(&bank.visitors.n)
		}
		bank.visitors.n.Add(-1)
	}
}

func (s *shard) leave(bank *bank) {
	if yield.On {
		yield.Add(&bank.visitors.n)
	}
	bank.visitors.n.Add(-1)
}

// await returns when no writer is left that entered before the flip of the bank.
func (s *shard) await(old *bank) {
	if yield.On {
		yield.Read(&old.visitors.n)
	}
	for tries := 0; old.visitors.n.Load() != 0; tries++ {
		if yield.On {
			yield.Wait(&old.visitors.n)
		}
		pause(tries)
	}
}
