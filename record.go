package metricsbuffer

import (
	"math"
	"runtime"
	"slices"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// An Update is one update of an instrument, which [Record] makes together with others. [Counter.Delta],
// [FractionCounter.Delta], [Timer.Took], [Gauge.Level] and [Histogram.Size] return one. The zero Update does nothing.
// The update of a nil instrument does nothing either.
type Update struct {
	of    *lease // the instrument's; it never changes, unlike a variable that holds an instrument
	value int64  // of a gauge: the bits of a float64
}

// shards returns the shards that the update is for, or nil if it does nothing.
func (u *Update) shards() *shards {
	if u.of == nil {
		return nil
	}
	return u.of.shards
}

// bucket returns the bucket of a distribution's value, which must be positive.
func (u *Update) bucket() int { return bucket.Index(u.value) }

// setGauge makes an update of a gauge, in a section with the given bank.
func (u *Update) setGauge(bank uint32) {
	u.of.buffer.registry.gauge(u.of.slot).setTogether(math.Float64frombits(uint64(u.value)), bank)
}

// Record makes several updates together. They arrive in the same batch: no batch has more errors than requests, say. Up
// to 8 of them allocate nothing once the instruments have been used on each P. Updates of several buffers arrive in one
// batch of each.
//
//	metricsbuffer.Record(requests.Delta(1), bytes.Delta(n), latency.Took(d))
func Record(updates ...Update) { group(updates).record() }

// A group is some updates that are made in one section.
type group []Update

// record makes the updates in one section, if they are few and all of them belong to own chunks of the P that this runs
// on. It finds the place of each first. If one has none, or no room, it makes no update, and recordSlow makes all of
// them. It is one function because a call would cost as much as an update does.
func (g group) record() {
	if len(g) == 0 || len(g) > fewOwn || g[0].of == nil {
		g.recordSlow()
		return
	}
	s := g[0].of.shards
	table := &s.table // as in add
	id := owner.Pin()
	if uint(id) < maxShards {
		if shard := table[id].Load(); shard != nil {
			var places ownPlaces
			found := true
			bank := shard.gate.Enter()
			for i, u := range g {
				switch {
				case u.of == nil:
					continue
				case u.of.shards != s:
				case u.of.kind == KindCounter:
					number := u.of.slot / countersPerChunk
					if chunk := shard.counters.at(number).Load(); chunk != nil {
						if chunk.number() == number {
							places.words[i] = chunk.word(bank, u.of.slot)
							continue
						}
					}
				case u.of.kind == KindGauge:
					continue
				case u.value > 0:
					number := u.of.slot / distributionsPerChunk
					if chunk := shard.distributions.at(number).Load(); chunk != nil {
						if cell := chunk.cell(bank, u.of.slot); cell.number == number {
							if tally := cell.tally(bucket.Index(u.value)); tally != nil {
								places.cells[i], places.tallies[i] = cell, tally
								continue
							}
						}
					}
				}
				found = false
				break
			}
			if found {
				for i, u := range g {
					switch {
					case places.words[i] != nil:
						places.words[i].Add(u.value)
					case places.tallies[i] != nil:
						places.tallies[i].Inc()
						places.cells[i].add(u.value)
					case u.of != nil:
						g[i].setGauge(bank)
					}
				}
			}
			shard.gate.Leave(bank)
			owner.Unpin()
			if !found {
				g.recordSlow()
			}
			runtime.KeepAlive(&g[0])
			return
		}
	}
	owner.Unpin()
	g.recordSlow()
}

// fewOwn is how many updates the fast way of Record takes.
const fewOwn = 4

// ownPlaces are the places of updates in chunks of the P's own. They are looked up once: see target.
type ownPlaces struct {
	words   [fewOwn]*owner.Word       // of counters
	cells   [fewOwn]*distributionCell // of distributions
	tallies [fewOwn]*owner.Tally      // of distributions, which have room
}

// recordSlow is Record where updates may belong to several buffers or to common chunks.
func (g group) recordSlow() {
	var memory [4]*shards
	seen := memory[:0] // usually one
	for i := range g {
		if s := g[i].shards(); s != nil && !slices.Contains(seen, s) {
			g[i:].recordIn(s)
			seen = append(seen, s)
		}
	}
	runtime.KeepAlive(g)
}

// A target is the place of an update, found inside a section and valid until its end. It is looked up once: the flusher
// may take a chunk away at any time, and then a second look finds another place, or none.
type target struct {
	word *owner.Word       // of a counter
	cell *distributionCell // of a distribution
	own  bool              // the P's: it is written with plain instructions
}

// fewUpdates is how many updates Record makes without allocating.
const fewUpdates = 8

// recordIn makes the updates that belong to these shards in one section. It returns how often it began.
func (g group) recordIn(s *shards) (attempts int) {
	var few [fewUpdates]target
	targets := few[:]
	if len(g) > len(few) {
		targets = make([]target, len(g))
	}
	for {
		attempts++
		var in section
		if len(g) <= maxPinned {
			in = s.enter()
		} else {
			in = s.enterUnpinned()
		}
		lacking := g.find(s, in, targets)
		if lacking < 0 {
			promoted := g.make(s, in, targets)
			s.leave(in)
			switch {
			case promoted == nil:
			case promoted.of.kind == KindCounter:
				s.promoteCounters(promoted.of.slot / countersPerChunk)
			default:
				s.promoteDistributions(promoted.of.slot / distributionsPerChunk)
			}
			return attempts
		}
		s.leave(in)
		g[lacking:].makeRoom(s, in.shard != nil)
	}
}

// makeRoom makes room for all updates, in the banks that the writer would use now.
func (g group) makeRoom(s *shards, pinned bool) {
	for i := range g {
		u := &g[i]
		switch {
		case u.shards() != s || u.of.kind == KindGauge:
		case u.of.kind != KindCounter:
			s.makePlace(u.of.slot, u.value, u.bucket(), pinned)
		case s.common.counters.at(u.of.slot/countersPerChunk) == nil:
			s.common.makeCounters(u.of.slot)
		}
	}
}

// find finds the place of every update. It returns the first update that there is no room for, or -1.
func (g group) find(s *shards, in section, targets []target) (lacking int) {
	for i := range g {
		u, at := &g[i], &targets[i]
		switch {
		case u.shards() != s || u.of.kind == KindGauge:
		case u.of.kind != KindCounter:
			var step int
			at.cell, step = s.cell(in, u.of.slot)
			at.own = step == ownStep
			if at.cell == nil || u.value > 0 && !at.cell.hasRoom(u.bucket()) {
				return i
			}
		default:
			if at.word, at.own = s.word(in, u.of.slot); at.word == nil {
				return i
			}
		}
	}
	return -1
}

// make makes the updates. It returns one whose chunk is to become the P's own, or nil.
func (g group) make(s *shards, in section, targets []target) (promoted *Update) {
	for i := range g {
		u, at := &g[i], &targets[i]
		switch {
		case u.shards() != s:
		case u.of.kind == KindGauge:
			u.setGauge(in.bank)
		case u.of.kind != KindCounter:
			if u.value < 0 {
				s.negatives.Add(1)
			}
			at.cell.make(u.value, u.bucket(), at.own)
			if !at.own && in.shard != nil && in.shard.sample() &&
				in.shard.distributions.elect(u.of.slot/distributionsPerChunk, s.votesAgainst()) {
				promoted = u
			}
		case at.own:
			at.word.Add(u.value)
		default:
			at.word.AddShared(u.value)
			if in.shard != nil && in.shard.sample() &&
				in.shard.counters.elect(u.of.slot/countersPerChunk, s.votesAgainst()) {
				promoted = u
			}
		}
	}
	return promoted
}
