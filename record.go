package metricsbuffer

import (
	"math"
	"runtime"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
)

// An Update is one update of an instrument, for [Record] to make together with others. The zero Update does nothing, and
// neither does that of a nil instrument.
type Update struct {
	shards *shards
	lease  *lease
	gauge  *gaugeCell // nil unless it is of a gauge
	value  int64      // of a gauge: the bits of a float64
	slot   uint32
	bucket int16 // of a distribution's value, if that is positive
	timed  bool  // it is for a distribution
}

// Delta returns the update that [Counter.Add] makes.
func (c *Counter) Delta(delta int64) Update {
	if c == nil {
		return Update{}
	}
	return Update{shards: c.shards, lease: c.lease, slot: c.slot, value: delta}
}

// Took returns the update that [Timer.Observe] makes.
func (t *Timer) Took(d time.Duration) Update {
	if t == nil {
		return Update{}
	}
	return Update{shards: t.shards, lease: t.lease, slot: t.slot, value: int64(d), bucket: bucketOf(int64(d)), timed: true}
}

// Size returns the update that [Histogram.Observe] makes.
func (h *Histogram) Size(v int64) Update {
	if h == nil {
		return Update{}
	}
	return Update{shards: h.shards, lease: h.lease, slot: h.slot, value: v, bucket: bucketOf(v), timed: true}
}

// Level returns the update that [Gauge.Set] makes.
func (g *Gauge) Level(v float64) Update {
	if g == nil || g.cell == nil {
		return Update{}
	}
	return Update{shards: g.lease.buffer.shards, lease: g.lease, gauge: g.cell, value: int64(math.Float64bits(v))}
}

func bucketOf(v int64) int16 { return int16(bucket.Index(v)) }

// Record makes several updates together. They arrive in the same batch, so that no batch has more errors than requests,
// say, and they cost less than one by one. It allocates nothing once the instruments have been used on each P. Updates
// of several buffers arrive in one batch of each.
//
//	metricsbuffer.Record(requests.Delta(1), bytes.Delta(n), latency.Took(d))
func Record(updates ...Update) {
	for i := range updates {
		if s := updates[i].shards; s != nil && !hasOf(updates[:i], s) {
			s.record(updates[i:])
		}
	}
	runtime.KeepAlive(updates)
}

// hasOf says whether an update belongs to the buffer with these shards.
func hasOf(updates []Update, s *shards) bool {
	for i := range updates {
		if updates[i].shards == s {
			return true
		}
	}
	return false
}

// record makes the updates that belong to these shards in one section.
func (s *shards) record(updates []Update) {
	for {
		var in section
		if len(updates) <= maxPinned {
			in = s.enter()
		} else {
			in = s.enterUnpinned()
		}
		lacking := s.lacking(in, updates)
		var promoted *Update
		if lacking == nil {
			promoted = s.makeAll(in, updates)
		}
		s.leave(in)
		switch {
		case lacking != nil && lacking.timed:
			s.makeWindow(lacking.slot, int(lacking.bucket))
		case lacking != nil:
			s.common.makeCounters(lacking.slot)
		case promoted == nil:
			return
		case promoted.timed:
			s.promoteDistributions(promoted.slot / distributionsPerChunk)
			return
		default:
			s.promoteCounters(promoted.slot / countersPerChunk)
			return
		}
	}
}

// lacking returns the first update that there is no room for, or nil.
func (s *shards) lacking(in section, updates []Update) *Update {
	for i := range updates {
		u := &updates[i]
		if u.shards != s || u.gauge != nil {
			continue
		}
		if !u.timed {
			if s.word(in, u.slot) == nil {
				return u
			}
			continue
		}
		cell, _ := s.cell(in, u.slot)
		if cell == nil || u.value > 0 && !cell.hasRoom(int(u.bucket)) {
			return u
		}
	}
	return nil
}

// makeAll makes the updates, all of which have room. It returns one whose chunk is to become the P's own, or nil.
func (s *shards) makeAll(in section, updates []Update) (promoted *Update) {
	for i := range updates {
		u := &updates[i]
		switch {
		case u.shards != s:
		case u.gauge != nil:
			u.gauge.set(math.Float64frombits(uint64(u.value)))
		case u.timed:
			if s.makeObservation(in, u) {
				promoted = u
			}
		case s.makeDelta(in, u):
			promoted = u
		}
	}
	return promoted
}

// makeDelta makes an update of a counter, and says whether its chunk is to become the P's own.
func (s *shards) makeDelta(in section, u *Update) bool {
	number := u.slot / countersPerChunk
	if in.shard == nil {
		s.word(in, u.slot).AddShared(u.value)
		return false
	}
	if chunk := in.shard.counters.at(number).Load(); chunk != nil && chunk.number() == number {
		chunk.word(in.bank, u.slot).Add(u.value)
		return false
	}
	s.common.counters.at(number).word(in.bank, u.slot).AddShared(u.value)
	return in.shard.sample() && in.shard.counters.elect(number, s.votesAgainst())
}

// makeObservation makes an update of a distribution, and says whether its chunk is to become the P's own.
func (s *shards) makeObservation(in section, u *Update) bool {
	cell, step := s.cell(in, u.slot)
	switch {
	case u.value <= 0:
		if u.value < 0 {
			s.negatives.Add(1)
		}
		cell.zeroShared()
	case step == ownStep:
		cell.count(int(u.bucket))
		cell.add(u.value)
	default:
		cell.observeShared(u.value, int(u.bucket))
	}
	number := u.slot / distributionsPerChunk
	return step != ownStep && in.shard != nil && in.shard.sample() &&
		in.shard.distributions.elect(number, s.votesAgainst())
}

// makeWindow makes room for a bucket, in the bank and the chunk that the writer would use now.
func (s *shards) makeWindow(slot uint32, index int) {
	var wider *window
	for {
		in := s.enter()
		cell, step := s.cell(in, slot)
		room := false
		var seen *window
		if cell != nil {
			seen = cell.window.Load()
			if wider != nil && wider.older == seen && cell.window.CompareAndSwap(seen, wider) {
				wider = nil // it belongs to this cell now
			}
			room = cell.hasRoom(index)
		}
		s.leave(in)
		switch {
		case room:
			return
		case cell == nil:
			s.common.makeDistributions(slot)
		default:
			wider = widen(seen, index, 1, step)
		}
	}
}
