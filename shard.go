package metricsbuffer

import (
	"runtime"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// The writer's half of the protocol. The flusher's half is in flush.go; shard_exclusive.go and shard_shared.go are the
// two ways in which a writer enters and leaves a shard.
//
//	shards ── table ──▶ shard of P 0 ── bank ──▶ bank A: what this P recorded since the last flip
//	                    shard of P 1             bank B: drained, all zero, the next to be flipped in
//	                    …
//
// A writer pins itself to its P, enters that P's shard, which gives it the active bank, adds to the series' slot there
// with plain instructions, leaves and unpins. The flusher replaces the active bank by a zeroed one (compare-and-swap),
// waits until no writer that could still hold the old bank is inside the shard, and then owns the old bank alone.
//
// Assumptions: a pinned goroutine runs on its P alone until it unpins (internal/owner); after fence.Process every
// writer's enter that the flusher did not see loads the new bank (internal/fence).
//
// Guarantees: every update is in exactly one bank between two flips of its shard. Updates made between one enter and
// leave (a timer's words) are in the same one. After the flusher's wait it reads and zeroes that bank as if it were
// single-threaded. The same wait is a grace period: whatever a writer looked up since it entered is no longer in use.
//
// Progress: a writer is wait-free, but for two cases. Its first touch of a chunk allocates; in the shared twin, it
// retries if a flip happens between two of its instructions. The flusher waits for writers that are inside, that is
// some nanoseconds, or as long as the operating system leaves a pinned thread off its core.

// A bank holds what one shard recorded between two flips. Chunks are created on first touch and then kept.
type bank struct {
	counters      column[counterChunk]
	distributions column[distributionChunk]
	visitors      visitors
}

// A shard is what one P writes to. Writers change gate only, one line that nobody else writes to; the flusher changes
// bank, once per flip. The padding keeps the pair of cache lines to itself.
type shard struct {
	gate  gate
	bank  atomic.Pointer[bank] // active: writers load it inside gate, the flusher flips it
	spare *bank                // the flusher's: zeroed, or nil before the first flip
	_     [128 - 24]byte
}

// shards is the table of shards by P. It only grows: a P that GOMAXPROCS no longer allows leaves its shard behind,
// which is still drained, and takes it up again should it come back.
type shards struct {
	table atomic.Pointer[[]*shard]

	negatives atomic.Int64 // observations that were recorded as zero
}

func newShards() *shards {
	s := new(shards)
	s.table.Store(new([]*shard))
	s.grow(runtime.GOMAXPROCS(0) - 1)
	return s
}

// grow makes room for P number id.
func (s *shards) grow(id int) {
	for {
		old := s.table.Load()
		if id < len(*old) {
			return
		}
		table := append(make([]*shard, 0, id+1), *old...)
		for len(table) <= id {
			added := new(shard)
			added.bank.Store(new(bank))
			table = append(table, added)
		}
		if s.table.CompareAndSwap(old, &table) {
			return
		}
	}
}

// add adds delta to the counter in slot. The table is loaded before pinning, where a nil pointer would be fatal and not
// a panic: tables only grow, so an old one is as good, or leads to addSlow.
func (s *shards) add(slot uint32, delta int64) {
	table := s.table.Load()
	id := owner.Pin()
	if uint(id) < uint(len(*table)) {
		shard := (*table)[id]
		bank := shard.enter()
		if chunk := bank.counters.at(slot / countersPerChunk); chunk != nil {
			chunk[slot%countersPerChunk].Add(delta)
			shard.leave(bank)
			owner.Unpin()
			return
		}
		shard.leave(bank)
	}
	owner.Unpin()
	s.addSlow(slot, delta)
}

// addSlow is add for the first touch of a chunk by this P, in this bank.
func (s *shards) addSlow(slot uint32, delta int64) {
	page, fresh := new(page[counterChunk]), new(counterChunk)
	shard, bank := s.enterAny()
	chunk := bank.counters.put(slot/countersPerChunk, page, fresh)
	chunk[slot%countersPerChunk].Add(delta)
	shard.leave(bank)
	owner.Unpin()
}

// enterAny pins the goroutine and enters its P's shard, which it creates if need be. The caller leaves and unpins.
func (s *shards) enterAny() (*shard, *bank) {
	for {
		table := s.table.Load()
		id := owner.Pin()
		if uint(id) < uint(len(*table)) {
			shard := (*table)[id]
			return shard, shard.enter()
		}
		owner.Unpin()
		s.grow(id)
	}
}

// observe records v in the distribution in slot.
func (s *shards) observe(slot uint32, v int64) {
	if v <= 0 {
		s.observeZero(slot, v)
		return
	}
	index := bucket.Index(v)
	table := s.table.Load()
	id := owner.Pin()
	if uint(id) < uint(len(*table)) {
		shard := (*table)[id]
		bank := shard.enter()
		if chunk := bank.distributions.at(slot / distributionsPerChunk); chunk != nil {
			cell := &chunk[slot%distributionsPerChunk]
			if cell.count(index) {
				cell.add(v)
				shard.leave(bank)
				owner.Unpin()
				return
			}
		}
		shard.leave(bank)
	}
	owner.Unpin()
	s.observeSlow(slot, v, index)
}

// observeSlow is observe for the first touch of a chunk or of a range of buckets by this P, in this bank. The window is
// made outside the pinned section, for what was seen inside it, and that may have changed until it is put in place.
func (s *shards) observeSlow(slot uint32, v int64, index int) {
	var wider *window
	for {
		// Each attempt has its own: what was put into one bank must not get into another.
		page, fresh := new(page[distributionChunk]), new(distributionChunk)
		shard, bank := s.enterAny()
		cell := &bank.distributions.put(slot/distributionsPerChunk, page, fresh)[slot%distributionsPerChunk]
		seen := cell.window.Load()
		if wider != nil && wider.older == seen {
			cell.window.CompareAndSwap(seen, wider)
		}
		counted := cell.count(index)
		if counted {
			cell.add(v)
		}
		shard.leave(bank)
		owner.Unpin()
		if counted {
			return
		}
		wider = widen(seen, floor(index), windowStep)
	}
}

// observeZero records a zero in the distribution in slot, which is what there is for a v below zero, too.
func (s *shards) observeZero(slot uint32, v int64) {
	if v < 0 {
		s.negatives.Add(1)
	}
	var pg *page[distributionChunk]
	var fresh *distributionChunk
	for {
		shard, bank := s.enterAny()
		chunk := bank.distributions.at(slot / distributionsPerChunk)
		if chunk == nil && fresh != nil {
			chunk = bank.distributions.put(slot/distributionsPerChunk, pg, fresh)
		}
		if chunk != nil {
			chunk[slot%distributionsPerChunk].addZero()
		}
		shard.leave(bank)
		owner.Unpin()
		if chunk != nil {
			return
		}
		pg, fresh = new(page[distributionChunk]), new(distributionChunk)
	}
}
