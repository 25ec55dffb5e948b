package metricsbuffer

import (
	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// Recording by name. The series is looked up inside the section in which it is written to, which keeps its slot from
// being given to another series: see series. What is not there, or not open, goes the slow way, which holds the series
// like an instrument does while it writes.

// maxTagsPinned is how many tags are compared while the goroutine is pinned. The time it takes grows with their square,
// if they come in another order each time.
const maxTagsPinned = 64

// addNamed adds delta to the counter.
func (b *Buffer) addNamed(name string, delta int64, tags []Tag) {
	hash := atomicmap.HashName(name)
	if len(tags) > 0 {
		hash = atomicmap.WithTags(hash, tags)
	}
	table := b.shards.table.Load()
	id := owner.Pin()
	if uint(id) < uint(len(*table)) && len(tags) <= maxTagsPinned {
		shard := (*table)[id]
		bank := shard.enter()
		if s := b.registry.byName[KindCounter].Load(hash, name, tags); s != nil && s.Value.state.Load() >= open {
			slot := s.Value.slot
			if chunk := bank.counters.at(slot / countersPerChunk); chunk != nil {
				chunk[slot%countersPerChunk].Add(delta)
				shard.leave(bank)
				owner.Unpin()
				return
			}
		}
		shard.leave(bank)
	}
	owner.Unpin()
	b.addNamedSlow(hash, name, delta, tags)
}

func (b *Buffer) addNamedSlow(hash uint64, name string, delta int64, tags []Tag) {
	s := b.registry.hold(KindCounter, hash, name, tags)
	b.shards.add(s.Value.slot, delta)
	b.registry.release(s)
}

// observeNamed records a value in the timer.
func (b *Buffer) observeNamed(name string, v int64, tags []Tag) {
	hash := atomicmap.HashName(name)
	if len(tags) > 0 {
		hash = atomicmap.WithTags(hash, tags)
	}
	index := bucket.Index(v)
	table := b.shards.table.Load()
	id := owner.Pin()
	if uint(id) < uint(len(*table)) && len(tags) <= maxTagsPinned && v > 0 {
		shard := (*table)[id]
		bank := shard.enter()
		if s := b.registry.byName[KindTimer].Load(hash, name, tags); s != nil && s.Value.state.Load() >= open {
			slot := s.Value.slot
			if chunk := bank.distributions.at(slot / distributionsPerChunk); chunk != nil {
				cell := &chunk[slot%distributionsPerChunk]
				if cell.count(index) {
					cell.add(v)
					shard.leave(bank)
					owner.Unpin()
					return
				}
			}
		}
		shard.leave(bank)
	}
	owner.Unpin()
	b.observeNamedSlow(hash, name, v, tags)
}

func (b *Buffer) observeNamedSlow(hash uint64, name string, v int64, tags []Tag) {
	s := b.registry.hold(KindTimer, hash, name, tags)
	b.shards.observe(s.Value.slot, v)
	b.registry.release(s)
}

// setNamed sets the gauge. Its cell is in no bank, but its slot can be given to another all the same.
func (b *Buffer) setNamed(name string, v float64, tags []Tag) {
	hash := atomicmap.Hash(name, tags)
	set := false
	if len(tags) <= maxTagsPinned {
		shard, bank := b.shards.enterAny()
		s := b.registry.byName[KindGauge].Load(hash, name, tags)
		if set = s != nil && s.Value.state.Load() >= open; set {
			b.registry.gauge(s.Value.slot).set(v)
		}
		shard.leave(bank)
		owner.Unpin()
	}
	if !set {
		s := b.registry.hold(KindGauge, hash, name, tags)
		b.registry.gauge(s.Value.slot).set(v)
		b.registry.release(s)
	}
}
