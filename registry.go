package metricsbuffer

import (
	"crypto/rand"
	"math"
	"slices"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
)

// A registry knows the series by name, kind by kind. It is shared and read-mostly: writers of known series only load.
type registry struct {
	byName [kinds]seriesMap
	rest   [kinds]*series // for names that find no place at all

	// What limits ordinary series, and those that stand in for others: each in all, and to half of every storage, so
	// that there is room for overflow series whatever else there is.
	ordinary, overflowing           quota
	ordinarySlots, overflowingSlots [storages]quota

	slots [storages]atomic.Uint32           // handed out so far
	free  [storages]atomic.Pointer[vacancy] // given back

	// fresh lists the series that the flusher has not taken over yet, newest first. A series is put here before anybody
	// can find it, so the flusher that flips first and then takes the list knows every series in the drained bank.
	fresh   atomic.Pointer[arrival]
	adopted bool // there is a flusher

	gauges   column[gaugeChunk]
	expiring bool // whether series can be idle or gone
}

// A quota limits how many series there are.
type quota struct {
	limit int64
	used  atomic.Int64
}

func (q *quota) take() bool {
	for {
		used := q.used.Load()
		if used >= q.limit {
			return false
		}
		if q.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

func (q *quota) giveBack() { q.used.Add(-1) }

// A vacancy is a slot that was given back, and an arrival a series that is new. Both are the nodes of lists that are
// pushed to and popped from by compare-and-swap; a node is never used again, so that the garbage collector rules out
// ABA.
type vacancy struct {
	slot uint32
	next *vacancy
}

type arrival struct {
	series *series
	older  *arrival
}

// capacity is where the slots of a storage end.
var capacity = [storages]int64{sums: maxCounters, distributed: maxDistributions, gauges: maxGauges}

func newRegistry(limit int64, adopted, expiring bool) *registry {
	r := &registry{adopted: adopted, expiring: expiring}
	r.ordinary.limit, r.overflowing.limit = limit, min(limit, math.MaxInt64-kinds)+kinds
	for in := range storages {
		r.ordinarySlots[in].limit, r.overflowingSlots[in].limit = capacity[in]/2, capacity[in]/2
	}
	for kind := range Kind(kinds) {
		hash := atomicmap.Hash(overflowName, overflowTags)
		r.rest[kind] = r.store(kind, hash, overflowName, overflowTags, true)
		r.rest[kind].Value.hold()
	}
	return r
}

// hold returns the series, which it registers if need be, and keeps it from being expired until release.
func (r *registry) hold(kind Kind, hash uint64, name string, tags []Tag) *series {
	for {
		s := r.find(kind, hash, name, tags)
		if !r.expiring || s.Value.hold() {
			return s
		}
		r.remove(s)
	}
}

func (r *registry) release(s *series) {
	if r.expiring {
		s.Value.state.Add(-1)
	}
}

// find returns the series, which it registers if need be. If series can expire it may be idle or gone.
func (r *registry) find(kind Kind, hash uint64, name string, tags []Tag) *series {
	if s := r.byName[kind].Load(hash, name, tags); s != nil {
		return s
	}
	return r.register(kind, hash, name, tags)
}

// register adds a series, or returns the one that came first, or what stands in for it.
func (r *registry) register(kind Kind, hash uint64, name string, tags []Tag) *series {
	if s := r.store(kind, hash, name, tags, false); s != nil {
		return s
	}
	tags = overflowTags
	hash = atomicmap.Hash(name, tags)
	if s := r.byName[kind].Load(hash, name, tags); s != nil {
		return s
	}
	if s := r.store(kind, hash, name, tags, true); s != nil {
		return s
	}
	return r.rest[kind]
}

// store adds a series, or returns the one that came first. It returns nil if there are too many.
func (r *registry) store(kind Kind, hash uint64, name string, tags []Tag, spare bool) *series {
	if !r.reserve(kind.storage(), spare) {
		return nil
	}
	slot, ok := r.takeSlot(kind.storage())
	if !ok {
		r.unreserve(kind.storage(), spare)
		return nil
	}
	added := atomicmap.NewEntry(hash, name, tags, place{slot: slot, kind: kind, spare: spare})
	if kind == KindGauge && r.gauges.at(slot/gaugesPerChunk) == nil {
		r.gauges.put(slot/gaugesPerChunk, new(gaugeChunk))
	}
	if r.adopted {
		for a := (&arrival{series: added}); ; {
			a.older = r.fresh.Load()
			if r.fresh.CompareAndSwap(a.older, a) {
				break
			}
		}
	}
	s, loaded := r.byName[kind].LoadOrStore(added)
	if loaded {
		// Somebody else was first. The flusher may know of this slot by now, and gives it back when it comes by.
		added.Value.state.Store(gone)
		r.unreserve(kind.storage(), spare)
	}
	return s
}

// isPublished says whether the series has won the race for its name, and can be found by it.
func (r *registry) isPublished(s *series) bool {
	return r.byName[s.Value.kind].Load(atomicmap.Hash(s.Name, s.Tags()), s.Name, s.Tags()) == s
}

// remove takes a series that is gone out of the map. Whoever finds it may.
func (r *registry) remove(s *series) {
	if r.byName[s.Value.kind].Delete(s) {
		r.unreserve(s.Value.kind.storage(), s.Value.spare)
	}
}

// quotas returns what limits a series.
func (r *registry) quotas(in storage, spare bool) (all, slots *quota) {
	if spare {
		return &r.overflowing, &r.overflowingSlots[in]
	}
	return &r.ordinary, &r.ordinarySlots[in]
}

func (r *registry) reserve(in storage, spare bool) bool {
	all, slots := r.quotas(in, spare)
	if !all.take() {
		return false
	}
	if !slots.take() {
		all.giveBack()
		return false
	}
	return true
}

func (r *registry) unreserve(in storage, spare bool) {
	all, slots := r.quotas(in, spare)
	all.giveBack()
	slots.giveBack()
}

func (r *registry) takeSlot(in storage) (slot uint32, ok bool) {
	for v := r.free[in].Load(); v != nil; v = r.free[in].Load() {
		if r.free[in].CompareAndSwap(v, v.next) {
			return v.slot, true
		}
	}
	for {
		slots := r.slots[in].Load()
		slot := firstUsable(in, slots)
		if int64(slot) >= capacity[in] {
			return 0, false
		}
		if r.slots[in].CompareAndSwap(slots, slot+1) {
			return slot, true
		}
	}
}

// firstUsable returns the first slot from the given one on that may hold values: see bank.go.
func firstUsable(in storage, slot uint32) uint32 {
	switch in {
	case sums:
		slot = max(slot, countersPerChunk)
		if slot%countersPerChunk < unusedCounters {
			slot += unusedCounters - slot%countersPerChunk
		}
	case distributed:
		slot = max(slot, distributionsPerChunk)
		if slot%distributionsPerChunk < unusedDistributions {
			slot += unusedDistributions - slot%distributionsPerChunk
		}
	}
	return slot
}

// giveBack makes a slot available. It must hold nothing in any bank, and nothing may be pending for it.
func (r *registry) giveBack(in storage, slot uint32) {
	for v := (&vacancy{slot: slot}); ; {
		v.next = r.free[in].Load()
		if r.free[in].CompareAndSwap(v.next, v) {
			return
		}
	}
}

// gauge returns the cell of a gauge's slot.
func (r *registry) gauge(slot uint32) *gaugeCell {
	return &r.gauges.at(slot / gaugesPerChunk)[slot%gaugesPerChunk]
}

// A series is a name with tags, and the slot that its values have in every bank.
//
// # How an idle series is expired without losing an update
//
// Only by-name writers can meet a series that is about to go; who has an instrument holds it. A series is
//
//	held (1, 2, …): that many instruments refer to it
//	open (0):       it can be written to by name
//	idle (-1):      it can be found, but who wants to write to it opens it first
//	gone (-2):      nobody writes to it ever again
//
// By-name writers look a series up, and at its state, inside the section in which they write (shard.go). The flusher
// makes a series idle that was not touched for long enough, and waits for the next flip. After that flip, whoever saw
// it open has left, and the drained bank has what they wrote. If that is nothing, and no sink has anything pending for
// it, and it still is idle, it is gone: its slot holds nothing anywhere and can be given away. Otherwise it is open
// again. As nothing is pending when it goes, a name that comes back, as a new series, cannot be in one batch twice.
type series = atomicmap.Entry[Tag, place]

type seriesMap = atomicmap.Map[Tag, place]

// A place is where a series' values are.
type place struct {
	slot  uint32 // in the kind's storage
	state atomic.Int32
	kind  Kind
	spare bool // stands in for series that found no place: it is not counted against the limit of series
}

const (
	open = 0
	idle = -1
	gone = -2
)

// A storage is where values of a kind are kept, each with slots of its own. Timers and histograms share one.
type storage uint8

const (
	sums storage = iota
	distributed
	gauges

	storages = iota
)

func (k Kind) storage() storage {
	switch k {
	case KindTimer, KindHistogram:
		return distributed
	case KindGauge:
		return gauges
	}
	return sums
}

// hold keeps the series from being expired, unless it is gone.
func (p *place) hold() bool {
	for {
		state := p.state.Load()
		if state == gone {
			return false
		}
		if p.state.CompareAndSwap(state, max(state, open)+1) {
			return true
		}
	}
}

// A series that finds no place is counted in its name's overflow series, which has this tag alone. Should there be no
// place for that either, overflowName stands in for its name.
var overflowTags = []Tag{{Key: "overflow", Value: "true"}}

const overflowName = "metricsbuffer.overflow"

// unitKey is the key of a tag that histograms have for their unit, which thus belongs to what tells series apart.
// Nobody else can have it, and it is taken off before a sink sees the tags.
var unitKey = "\x00unit " + rand.Text()

// takeUnit returns the unit of a histogram, and its tags without it.
func takeUnit(tags []Tag) (unit string, rest []Tag) {
	for i, t := range tags {
		switch {
		case t.Key != unitKey:
		case i == 0: // the rule: it sorts before all that people use
			return t.Value, tags[1:]
		default:
			return t.Value, slices.Delete(slices.Clone(tags), i, i+1)
		}
	}
	return "", tags
}

const (
	gaugesPerChunk = 32
	maxGauges      = pagesPerColumn * chunksPerPage * gaugesPerChunk // 1,048,576
)

type gaugeChunk [gaugesPerChunk]gaugeCell

// A gaugeCell is a gauge's value, one for all shards: which of two values set on different Ps came last is a question
// only a shared word can answer. A gauge is set far less often than a counter is increased.
type gaugeCell struct {
	bits  atomic.Uint64 // of the float64
	fresh atomic.Bool   // set since the flusher last looked
}

func (c *gaugeCell) set(v float64) {
	c.bits.Swap(math.Float64bits(v)) // a store would do, but some emulators let the load in touch pass it
	c.touch()
}

func (c *gaugeCell) add(delta float64) {
	for {
		old := c.bits.Load()
		if c.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+delta)) {
			c.touch()
			return
		}
	}
}

// touch comes after the value is stored. If the mark is still there, the flusher has yet to take it and will read the
// value after that; not storing it again keeps the line shared among readers of the mark.
func (c *gaugeCell) touch() {
	if !c.fresh.Load() {
		c.fresh.Store(true)
	}
}

// take says whether the gauge was set since the last call. Flusher only.
func (c *gaugeCell) take() bool { return c.fresh.Load() && c.fresh.Swap(false) }

func (c *gaugeCell) value() float64 { return math.Float64frombits(c.bits.Load()) }
