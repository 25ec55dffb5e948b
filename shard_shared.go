//go:build !(amd64 || arm64) || race || purego

package metricsbuffer

import "sync/atomic"

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
		bank := s.bank.Load()
		bank.visitors.n.Add(1)
		if s.bank.Load() == bank {
			return bank
		}
		bank.visitors.n.Add(-1)
	}
}

func (s *shard) leave(bank *bank) { bank.visitors.n.Add(-1) }

// await returns when no writer is left that entered before the flip of the bank.
func (s *shard) await(old *bank) {
	for tries := 0; old.visitors.n.Load() != 0; tries++ {
		pause(tries)
	}
}
