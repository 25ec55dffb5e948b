package metricsbuffer

import (
	stdatomic "sync/atomic"
	"time"
	"unsafe"

	"github.com/metricsbuffer/metricsbuffer/internal/atomic"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/exemplar"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// The writer's half of the protocol. The flusher's half is in flush.go; the gates, with the reasons why this is sound,
// are in internal/owner.
//
//	             ┌─ gate ── active bank: 0 or 1
//	shard of P 0 ┤
//	             └─ seats ──▶ own chunks: slots that this P writes often ── bank 0, bank 1
//	shard of P 1 …
//	common       ─ column ──▶ common chunks: everything else         ── bank 0, bank 1
//
// A writer pins itself to its P and enters the gate of that P's shard, which tells the active bank. If the shard has a
// chunk of its own for the slot, the writer adds to that bank of it, with plain instructions. Otherwise it adds to the
// same bank of the common chunk, with atomic instructions. Then it leaves the gate and unpins. The flusher flips the
// active bank of every gate, by compare-and-swap, and waits until every gate has been left. Then it owns the old bank
// of all chunks: it drains and zeroes it, and that bank is the next to be flipped in.
//
// A P gets a chunk of its own when its writers often find none: every sampleMisses-th miss is a vote (see seats). The
// flusher takes away chunks that were empty for some collections. So memory and the flusher's work follow the series in
// use, and not the number of Ps.
//
// The common gate is for writers that cannot use a shard's: those that make a shard, those on a P for which there is no
// room in the table, and long commits, which are not to be pinned. The flusher flips it first, and awaits it before it
// flips the shards for the last time. So a shard that begins with the old bank is in the table by then.
//
// Assumptions: those of the gates; one flusher.
//
// Guarantees: every update is in exactly one bank between two flips. All words that a writer changes between Enter and
// Leave (those of one observation, of one commit) are in the same bank, whether in own chunks or in common ones, and so
// in one collection. After the flusher's wait it reads and zeroes the drained bank as if it were single-threaded. The
// wait is also a grace period: no writer uses anything any more that it found before.
//
// Progress: a writer never waits. It allocates outside of the gate and tries again where a chunk or a window is
// missing. The flusher waits for writers inside.

const (
	maxShards     = 512 // a P with a higher number writes to the common chunks
	seatsPerShard = 32  // of each storage

	sampleMisses = 16 // one miss in so many is a vote
	votesNeeded  = 8  // for a candidate
)

// A shard belongs to one P. It begins with the line that its owner changes; the rest is read by the owner, and
// changed when a chunk takes or loses a seat. Its size has the allocator place every shard 8 bytes behind a multiple of
// 1,024, so that gates stand where no words do (internal/owner). The gate is not the first word, because the runtime
// has the number of the P, which Pin loads, 8 bytes behind the begin of a page.
type shard struct {
	_      [beforeGate]byte
	gate   owner.Gate
	misses owner.Tally
	_      [128 - 8 - beforeGate - unsafe.Sizeof(owner.Gate{}) - unsafe.Sizeof(owner.Tally{})]byte

	counters      seats[counterChunk]
	distributions seats[distributionChunk]
}

const beforeGate = 16 // bytes, and 8 more of the allocator: the field counters stands 128 bytes behind its start

// A seat is room for one of the chunks whose numbers are equal modulo seatsPerShard. A vote decides which of them gets
// it (Boyer and Moore, MJRTY, 1981): a vote for the candidate counts up, a vote for another chunk counts down (by
// votesAgainst), and at zero the other chunk is the candidate. So a chunk wins that has most of the votes of its seat.
type seats[C any] struct {
	chunks [seatsPerShard]atomic.Pointer[C] // nil or the P's own
	votes  [seatsPerShard]atomic.Uint32     // the candidate's number, shifted by voteBits, and its votes
	idle   [seatsPerShard]uint8             // the flusher's: how often in a row the chunk's drained bank was empty
}

const voteBits = 8

// shards has everything that the writers of a buffer write to, but for gauges.
type shards struct {
	table  [maxShards]atomic.Pointer[shard] // by P; nil until the P writes for the first time
	common common

	negatives  stdatomic.Int64                          // observations that were recorded as zero
	rejected   stdatomic.Int64                          // fractions that were not recorded
	exemplars  stdatomic.Pointer[column[exemplarChunk]] // nil before the first one
	promotions stdatomic.Int64                          // chunks that got a seat
	procs      stdatomic.Int64                          // shards that exist
}

// common has the chunks that a writer inside any gate may write to, with atomic instructions.
type common struct {
	gate owner.SharedGate
	_    [128]byte // its writers disturb nobody that looks for a chunk

	counters      column[counterChunk]
	distributions column[distributionChunk]
}

// An exemplarChunk has the exemplars of the same slots as a distributionChunk. A slot without exemplars has nil.
type exemplarChunk [distributionsPerChunk]stdatomic.Pointer[exemplar.Cells[traced]]

// traced is an exemplar, without pointers.
type traced struct {
	span  TraceContext
	value int64
	at    int64 // nanoseconds since 1970
}

// add adds delta to the counter in slot. Its frame is small enough to need no check of the stack, and so is observe's.
//
//go:nosplit
func (s *shards) add(slot uint32, delta int64) {
	table := &s.table // a nil pointer panics here, and not while the goroutine is pinned, where that is fatal
	id := owner.Pin()
	if uint(id) < maxShards {
		if shard := table[id].Load(); shard != nil {
			number := slot / countersPerChunk
			bank := shard.gate.Enter()
			chunk := shard.counters.chunks[number%seatsPerShard].Load()
			if chunk != nil {
				if chunk[numberWord].Peek() == int64(number) {
					chunk[uint8(bank*countersPerChunk|slot%countersPerChunk)].Add(delta)
					shard.gate.Leave(bank)
					owner.Unpin()
					return
				}
			}
			if !s.addCommon(shard, bank, slot, delta) {
				s.addSlow(slot, delta)
			}
			return
		}
	}
	owner.Unpin()
	s.addSlow(slot, delta)
}

// addCommon ends a section in which the shard has no chunk for the counter. It returns false, and has not added, if
// there is no common chunk either.
func (s *shards) addCommon(shard *shard, bank, slot uint32, delta int64) bool {
	number := slot / countersPerChunk
	chunk, wins := s.common.counters.at(number), false
	if chunk != nil {
		chunk.word(bank, slot).AddShared(delta)
		wins = shard.sample() && shard.counters.elect(number, s.votesAgainst())
	}
	shard.gate.Leave(bank)
	owner.Unpin()
	if wins {
		s.promoteCounters(number)
	}
	return chunk != nil
}

// addSlow is add where the chunk or the shard may be missing.
func (s *shards) addSlow(slot uint32, delta int64) {
	for {
		in := s.enter()
		word, _ := s.word(in, slot)
		if word != nil {
			word.AddShared(delta)
		}
		s.leave(in)
		if word != nil {
			return
		}
		s.common.makeCounters(slot)
	}
}

// observe records v in the distribution in slot.
//
//go:nosplit
func (s *shards) observe(slot uint32, v int64) {
	if v <= 0 {
		s.observeZero(slot, v)
		return
	}
	index := bucket.Index(v)
	table := &s.table // as in add
	id := owner.Pin()
	if uint(id) < maxShards {
		if shard := table[id].Load(); shard != nil {
			number := slot / distributionsPerChunk
			bank := shard.gate.Enter()
			chunk := shard.distributions.chunks[number%seatsPerShard].Load()
			if chunk != nil {
				if cell := chunk.cell(bank, slot); cell.number == number {
					if w := cell.window.Load(); w != nil {
						if i := uint(index - w.first); i < uint(len(w.counts)) && !w.counts[i].Full() {
							w.counts[i].Inc()
							cell.add(v)
							shard.gate.Leave(bank)
							owner.Unpin()
							return
						}
					}
				}
			}
			if !s.observeCommon(shard, bank, slot, v, index) {
				s.observeSlow(slot, v, index)
			}
			return
		}
	}
	owner.Unpin()
	s.observeSlow(slot, v, index)
}

// observeCommon ends a section in which the shard has no chunk for the distribution, or no room in it. It returns
// false, and has not recorded, if the window has to be widened or there is no common chunk.
func (s *shards) observeCommon(shard *shard, bank, slot uint32, v int64, index int) bool {
	number := slot / distributionsPerChunk
	recorded, wins := false, false
	if own := shard.distributions.at(number).Load(); own == nil || own.number() != number {
		if chunk := s.common.distributions.at(number); chunk != nil {
			recorded = chunk.cell(bank, slot).observeShared(v, index)
			wins = shard.sample() && shard.distributions.elect(number, s.votesAgainst())
		}
	}
	shard.gate.Leave(bank)
	owner.Unpin()
	if wins {
		s.promoteDistributions(number)
	}
	return recorded
}

// observeSlow is observe where the chunk, the shard or the window may be missing. A window is made outside of the gate,
// for the cell that was seen inside, which may have another one by the next attempt.
func (s *shards) observeSlow(slot uint32, v int64, index int) {
	var wider *window
	for {
		in := s.enter()
		cell, step := s.cell(in, slot)
		var seen *window
		recorded := false
		if cell != nil {
			seen = cell.window.Load()
			if wider != nil && wider.older == seen && cell.window.CompareAndSwap(seen, wider) {
				wider = nil // it belongs to this cell now
			}
			recorded = cell.observeShared(v, index)
		}
		s.leave(in)
		switch {
		case recorded:
			return
		case cell == nil:
			s.common.makeDistributions(slot)
		default:
			wider = widen(seen, index, 1, step)
		}
	}
}

// makeWindow makes room for a bucket, in the bank and the chunk that the writer would use now. A section that is not
// pinned uses the common chunk, although the P may have one of its own.
func (s *shards) makeWindow(slot uint32, index int, pinned bool) {
	var wider *window
	for {
		var in section
		if pinned {
			in = s.enter()
		} else {
			in = s.enterUnpinned()
		}
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

// observeZero records a zero in the distribution in slot, also for a v below zero.
func (s *shards) observeZero(slot uint32, v int64) {
	if v < 0 {
		s.negatives.Add(1)
	}
	for {
		in := s.enter()
		cell, _ := s.cell(in, slot)
		if cell != nil {
			cell.zeroShared()
		}
		s.leave(in)
		if cell != nil {
			return
		}
		s.common.makeDistributions(slot)
	}
}

// observeTraced records v in the distribution in slot. It keeps v as an exemplar, if its octave has none in this bank
// yet. The exemplar is put into the bank in the same section as the observation, so that the flusher gets both.
func (s *shards) observeTraced(slot uint32, v int64, span TraceContext) {
	if span.TraceID == ([16]byte{}) {
		s.observe(slot, v)
		return
	}
	octave, cells := exemplar.Octave(v), s.exemplarsOf(slot)
	// The active bank may be another one by now. Then the octave may go without an exemplar this time; that does no harm.
	if cells.Claimed(s.common.gate.Active(), octave) {
		s.observe(slot, v)
		return
	}
	if v < 0 {
		s.negatives.Add(1)
	}
	cells.Reserve(octave)
	e := traced{span: span, value: max(v, 0), at: time.Now().UnixNano()}
	for index := bucket.Index(v); ; {
		in := s.enter()
		cell, step := s.cell(in, slot)
		hasRoom := cell != nil && (v <= 0 || cell.hasRoom(index))
		if hasRoom {
			cell.make(v, index, step == ownStep)
			cells.Put(in.bank, octave, &e)
		}
		s.leave(in)
		if hasRoom {
			return
		}
		s.makePlace(slot, v, index, in.shard != nil)
	}
}

// observeMany records v in the distribution in slot n times. A section takes at most maxLocal of them.
func (s *shards) observeMany(slot uint32, v, n int64) {
	if v < 0 {
		s.negatives.Add(max(n, 0))
		v = 0
	}
	index := bucket.Index(v)
	for n > 0 {
		some := min(n, maxLocal)
		in := s.enter()
		cell, _ := s.cell(in, slot)
		room := cell != nil && (v == 0 || cell.hasRoom(index))
		if room {
			cell.addManyShared(v, index, some)
			n -= some
		}
		s.leave(in)
		if !room {
			s.makePlace(slot, v, index, in.shard != nil)
		}
	}
}

// makePlace makes the memory for v that was missing in a section.
func (s *shards) makePlace(slot uint32, v int64, index int, pinned bool) {
	if v <= 0 { // it is in no bucket
		s.common.makeDistributions(slot)
	} else {
		s.makeWindow(slot, index, pinned)
	}
}

// exemplarsOf returns the exemplars of a slot. It allocates the first time.
func (s *shards) exemplarsOf(slot uint32) *exemplar.Cells[traced] {
	if s.exemplars.Load() == nil {
		s.exemplars.CompareAndSwap(nil, new(column[exemplarChunk]))
	}
	all, number := s.exemplars.Load(), slot/distributionsPerChunk
	if all.at(number) == nil {
		all.put(number, new(exemplarChunk))
	}
	at := &all.at(number)[slot%distributionsPerChunk]
	for {
		if cells := at.Load(); cells != nil {
			return cells
		}
		at.CompareAndSwap(nil, new(exemplar.Cells[traced])) // the flusher may take it away at once
	}
}

// eachExemplars calls f with the exemplars of every slot that has any, and where they are.
func (s *shards) eachExemplars(f func(slot uint32, at *stdatomic.Pointer[exemplar.Cells[traced]])) {
	all := s.exemplars.Load()
	if all == nil {
		return
	}
	all.each(func(number uint32, chunk *exemplarChunk) {
		for i := range chunk {
			if chunk[i].Load() != nil {
				f(number*distributionsPerChunk+uint32(i), &chunk[i])
			}
		}
	})
}

// A section is the time between entering a gate and leaving it, and the bank that may be written to meanwhile.
type section struct {
	shard *shard // nil: it is the common gate, and the goroutine is not pinned
	bank  uint32
}

// enter opens a section, pinned to a P, at the gate of its shard. If the table has no place for that P, it is a section
// at the common gate, not pinned.
func (s *shards) enter() section {
	table := &s.table // as in add
	for {
		id := owner.Pin()
		if uint(id) >= maxShards {
			owner.Unpin()
			return s.enterUnpinned()
		}
		if shard := table[id].Load(); shard != nil {
			return section{shard, shard.gate.Enter()}
		}
		owner.Unpin()
		s.makeShard(id)
	}
}

// enterUnpinned opens a section at the common gate. It may take long: only the flusher waits for it.
func (s *shards) enterUnpinned() section { return section{bank: s.common.gate.Enter()} }

func (s *shards) leave(in section) {
	if in.shard == nil {
		s.common.gate.Leave(in.bank)
		return
	}
	in.shard.gate.Leave(in.bank)
	owner.Unpin()
}

// word returns a counter's word, or nil if there is no chunk. The owner may write to its own with plain instructions.
func (s *shards) word(in section, slot uint32) (word *owner.Word, own bool) {
	number := slot / countersPerChunk
	if in.shard != nil {
		if chunk := in.shard.counters.at(number).Load(); chunk != nil && chunk.number() == number {
			return chunk.word(in.bank, slot), true
		}
	}
	if chunk := s.common.counters.at(number); chunk != nil {
		return chunk.word(in.bank, slot), false
	}
	return nil, false
}

// cell returns a distribution's cell, and the step of its windows, or nil if there is no chunk. The step of the P's own
// is ownStep; the owner may write to it with plain instructions.
func (s *shards) cell(in section, slot uint32) (cell *distributionCell, step int) {
	number := slot / distributionsPerChunk
	if in.shard != nil {
		if chunk := in.shard.distributions.at(number).Load(); chunk != nil && chunk.number() == number {
			return chunk.cell(in.bank, slot), ownStep
		}
	}
	if chunk := s.common.distributions.at(number); chunk != nil {
		return chunk.cell(in.bank, slot), commonStep
	}
	return nil, commonStep
}

// makeShard makes the shard of P number id, unless there is one. Inside the common gate its bank is the active one,
// until it is in the table, where the flusher finds it.
func (s *shards) makeShard(id int) {
	made := new(shard)
	bank := s.common.gate.Enter()
	made.gate.Flip(bank)
	if s.table[id].CompareAndSwap(nil, made) {
		s.procs.Add(1)
	}
	s.common.gate.Leave(bank)
}

func (c *common) makeCounters(slot uint32) {
	c.counters.put(slot/countersPerChunk, newCounterChunk(slot/countersPerChunk))
}

func (c *common) makeDistributions(slot uint32) {
	c.distributions.put(slot/distributionsPerChunk, newDistributionChunk(slot/distributionsPerChunk))
}

// promoteCounters makes a chunk the own one of the P that this runs on, unless its seat is taken.
func (s *shards) promoteCounters(number uint32) {
	chunk := newCounterChunk(number)
	in := s.enter()
	if in.shard != nil && in.shard.counters.at(number).CompareAndSwap(nil, chunk) {
		s.promotions.Add(1)
	}
	s.leave(in)
}

// promoteDistributions makes a chunk the own one of the P that this runs on, unless its seat is taken.
func (s *shards) promoteDistributions(number uint32) {
	chunk := newDistributionChunk(number)
	in := s.enter()
	if in.shard != nil && in.shard.distributions.at(number).CompareAndSwap(nil, chunk) {
		s.promotions.Add(1)
	}
	s.leave(in)
}

// votesAgainst is how many votes a vote for another chunk takes from the candidate. With more Ps it takes more, because
// a chunk of its own costs memory on each P.
func (s *shards) votesAgainst() uint32 { return 1 + uint32(s.procs.Load())/16 }

// sample counts a miss, and says whether it is a vote. Owner only.
func (s *shard) sample() bool {
	s.misses.Inc()
	return s.misses.Peek()%sampleMisses == 0
}

// at returns the seat of chunk number i.
func (s *seats[C]) at(i uint32) *atomic.Pointer[C] { return &s.chunks[i%seatsPerShard] }

// elect counts a vote for chunk number i, and says whether that chunk is to have its seat. It may lose votes that are
// counted at the same moment, where a shard has several writers; that does no harm.
func (s *seats[C]) elect(i, against uint32) bool {
	if s.at(i).Load() != nil {
		return false
	}
	vote := &s.votes[i%seatsPerShard]
	switch candidate, votes := vote.Load()>>voteBits, vote.Load()%(1<<voteBits); {
	case candidate == i && votes+1 >= votesNeeded:
		vote.Store(0)
		return true
	case candidate == i:
		vote.Store(i<<voteBits | (votes + 1))
	case votes <= against:
		vote.Store(i<<voteBits | 1)
	default:
		vote.Store(candidate<<voteBits | (votes - against))
	}
	return false
}

// drain calls drain with every chunk that has a seat. It takes the seat away from chunks that were empty often enough
// in a row, and calls drop with them. The owner may still write to such a chunk until the next flip. Flusher only.
func (s *seats[C]) drain(drain func(*C) (empty bool), drop func(*C)) {
	if yield.On {
		yield.ReadAll(s.chunks[:])
	}
	for i := range s.chunks {
		if chunk := atomic.Peek(&s.chunks[i]); chunk != nil && isIdle(&s.idle[i], drain(chunk)) {
			s.chunks[i].Store(nil)
			drop(chunk)
		}
	}
}

// each calls f with every shard.
func (s *shards) each(f func(*shard)) {
	for i := range s.table {
		if shard := s.table[i].Load(); shard != nil {
			f(shard)
		}
	}
}

// peek returns the totals in the banks. They are exact if nobody writes.
func (s *shards) peek() (t Totals) {
	s.eachChunk(func(c *counterChunk, _ bool) { t.Increments += c.total() },
		func(d *distributionChunk, _ bool) { t.Observations += d.total() })
	return t
}

// amount returns the amount in a slot, in all banks, as it counts in Totals. It is exact if nobody writes.
func (s *shards) amount(storage storage, slot uint32) (n int64) {
	counter := func(c *counterChunk) {
		if c != nil && c.number() == slot/countersPerChunk {
			n += c.amount(slot)
		}
	}
	distribution := func(d *distributionChunk) {
		if d != nil && d.number() == slot/distributionsPerChunk {
			n += d.amount(slot)
		}
	}
	switch storage {
	case sums:
		counter(s.common.counters.at(slot / countersPerChunk))
		s.each(func(shard *shard) { counter(shard.counters.at(slot / countersPerChunk).Load()) })
	case distributed:
		distribution(s.common.distributions.at(slot / distributionsPerChunk))
		s.each(func(shard *shard) { distribution(shard.distributions.at(slot / distributionsPerChunk).Load()) })
	}
	return n
}

// eachChunk calls the functions with every chunk, and whether it is a P's own.
func (s *shards) eachChunk(
	counters func(c *counterChunk, own bool), distributions func(d *distributionChunk, own bool),
) {
	s.common.counters.each(func(_ uint32, c *counterChunk) { counters(c, false) })
	s.common.distributions.each(func(_ uint32, d *distributionChunk) { distributions(d, false) })
	s.each(func(shard *shard) {
		for i := range shard.counters.chunks {
			if c := shard.counters.chunks[i].Load(); c != nil {
				counters(c, true)
			}
		}
		for i := range shard.distributions.chunks {
			if d := shard.distributions.chunks[i].Load(); d != nil {
				distributions(d, true)
			}
		}
	})
}

// bytes returns the memory of shards and chunks.
func (s *shards) bytes() int64 {
	n := int64(unsafe.Sizeof(*s)) + s.common.counters.bytes() + s.common.distributions.bytes()
	n += s.procs.Load() * int64(unsafe.Sizeof(shard{}))
	s.eachChunk(func(c *counterChunk, _ bool) { n += c.bytes() }, func(d *distributionChunk, _ bool) { n += d.bytes() })
	s.eachExemplars(func(_ uint32, at *stdatomic.Pointer[exemplar.Cells[traced]]) { n += at.Load().Bytes() })
	return n
}
