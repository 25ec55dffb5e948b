package metricsbuffer

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

// A registry finds series by family, name and tags. It is shared and read-mostly: writers of known series only load.
type registry struct {
	families [kinds]family // one for each kind; the histograms' is that of the empty unit
	units    unitMap       // families of histograms, by unit

	// All families by number: those of the kinds, of counters with decimals, of units.
	numbered [kinds + decimal.Most + maxUnits + 1]atomic.Pointer[family]

	// Limits for each class of series: in all storages together, and for each storage.
	series [classes]quota
	places [classes][storages]quota

	slots [storages]atomic.Uint32           // handed out so far
	free  [storages]atomic.Pointer[vacancy] // given back

	// fresh lists the series that the flusher has not taken over yet, newest first. A series is put here before any
	// goroutine can find it. The flusher flips before it takes the list. So it knows every series in the drained bank.
	fresh   atomic.Pointer[arrival]
	adopted bool // there is a flusher

	gauges   column[gaugeChunk]
	expiring bool // whether series can be idle or gone

	constant []Tag // that every point has, sorted: see delivered

	descriptions descriptionMap // by name, as many as there may be series
	undescribed  atomic.Int64   // ignored for that limit
}

type descriptionMap = atomicmap.Map[Tag, atomic.Pointer[description]]

// A description has the arguments of [Buffer.Describe], as UTF-8. It never changes.
type description struct{ help, unit string }

// A family has all series of one kind and, for histograms, of one unit, or for counters, of one number of decimals.
// Series of different families are never merged, not even in an overflow series.
type family struct {
	series   seriesMap
	kind     Kind
	number   uint16 // in registry.numbered
	unit     string
	decimals int
}

type unitMap = atomicmap.Map[Tag, *family]

// Histograms of more than maxUnits units share the family of otherUnit.
const (
	maxUnits  = 256
	otherUnit = "other"
)

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

// A vacancy is a slot that was given back, and an arrival is a new series. Both are nodes of lists that are pushed to
// and popped from by compare-and-swap. A node is never used again, so the garbage collector rules out ABA.
type vacancy struct {
	slot uint32
	next *vacancy
}

type arrival struct {
	series *series
	older  *arrival
}

// usable is the number of slots of each storage that can hold values. Chunk 0 and the unused places of a chunk cannot.
var usable = [storages]int64{
	sums:        (chunksPerPage*pagesPerColumn - 1) * (countersPerChunk - unusedCounters),           // 15,597,449
	distributed: (chunksPerPage*pagesPerColumn - 1) * (distributionsPerChunk - unusedDistributions), // 393,213
	gauges:      maxGauges,
}

// capacity is the end of the slots of each storage.
var capacity = [storages]int64{sums: maxCounters, distributed: maxDistributions, gauges: maxGauges}

func newRegistry(limit int64, adopted, expiring bool) *registry {
	r := &registry{adopted: adopted, expiring: expiring}
	r.series = [classes]quota{ordinary: {limit: limit}, overflow: {limit: limit}, lastResort: {limit: math.MaxInt64}}
	for storage := range storages { // ordinary series may take half of the slots, overflow series have the rest
		r.places[ordinary][storage].limit = usable[storage] / 2
		r.places[overflow][storage].limit = usable[storage]/2 - int64(len(r.numbered))
		r.places[lastResort][storage].limit = math.MaxInt64 // one in each family
	}
	for kind := range r.families {
		f := &r.families[kind]
		f.kind, f.number = Kind(kind), uint16(kind)
		r.numbered[kind].Store(f)
		r.lastResort(f)
	}
	return r
}

// family returns the family of a kind and, for histograms, of a unit. It adds a new unit.
func (r *registry) family(kind Kind, unit string) *family {
	if unit == "" {
		return &r.families[kind]
	}
	if e := r.units.Load(atomicmap.HashName(unit), unit, nil); e != nil {
		return e.Value
	}
	return r.addUnit(unit)
}

// fractions returns the family of counters with so many decimals, or with the nearest number that there can be.
func (r *registry) fractions(decimals int) *family {
	decimals = min(max(decimals, 0), decimal.Most)
	if decimals == 0 {
		return &r.families[KindCounter]
	}
	number := kinds + decimals - 1
	if r.numbered[number].Load() == nil {
		r.numbered[number].CompareAndSwap(nil, &family{kind: KindCounter, number: uint16(number), decimals: decimals})
	}
	return r.numbered[number].Load()
}

// addUnit adds a unit. Numbers are taken in order, so all callers that add one unit agree on its number. The last
// number is kept for otherUnit.
func (r *registry) addUnit(unit string) *family {
	const first = kinds + decimal.Most
	numbered := r.numbered[first:]
	if unit != otherUnit {
		numbered = numbered[:maxUnits]
	}
	for i := range numbered {
		if numbered[i].Load() == nil {
			added := &family{kind: KindHistogram, unit: strings.Clone(unit), number: uint16(first + i)}
			numbered[i].CompareAndSwap(nil, added)
		}
		if f := numbered[i].Load(); f.unit == unit {
			r.units.LoadOrStore(atomicmap.NewEntry(atomicmap.HashName(unit), unit, []Tag(nil), f))
			return f
		}
	}
	return r.family(KindHistogram, otherUnit)
}

// familyOf returns the family of a series.
func (r *registry) familyOf(s *series) *family { return r.numbered[s.Value.family].Load() }

// overflowed returns the amounts of overflow series that are in the banks, which is exact if nobody writes. amount
// returns that of a slot.
func (r *registry) overflowed(amount func(storage, uint32) int64) map[*series]int64 {
	amounts := make(map[*series]int64)
	for i := range r.numbered {
		f := r.numbered[i].Load()
		if f == nil {
			continue
		}
		for s := range f.series.All() {
			if s.Value.class == ordinary {
				continue
			}
			if n := amount(s.Value.kind.storage(), s.Value.slot); n != 0 {
				amounts[s] = n
			}
		}
	}
	return amounts
}

// hold returns the series, and keeps it from being expired until release. It registers a new series.
func (r *registry) hold(f *family, name string, tags []Tag) *series {
	hash := atomicmap.Hash(name, tags)
	for {
		s := r.find(f, hash, name, tags)
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

// find returns the series. It registers a new series. If series can expire, the result may be idle or gone.
func (r *registry) find(f *family, hash uint64, name string, tags []Tag) *series {
	if s := f.series.Load(hash, name, tags); s != nil {
		return s
	}
	for i := range tags {
		if r.isConstant(tags[i], tags) {
			return r.findOwn(f, name, tags)
		}
	}
	return r.register(f, hash, name, tags)
}

// Constant tags are no part of a series. They are added to its tags for the sinks. If a series had one of them itself,
// its points would be those of the series without it. So it is found as that series.

// isConstant says whether the points of a series with these tags would have one of them without it, too.
func (r *registry) isConstant(t Tag, tags []Tag) bool {
	return slices.Contains(r.constant, t) && countKey(tags, t.Key) == 1
}

// findOwn is find for tags of which some are constant.
func (r *registry) findOwn(f *family, name string, tags []Tag) *series {
	if len(tags) > fewTags {
		copied := cloneTags(tags)
		own := slices.DeleteFunc(slices.Clone(copied), func(t Tag) bool { return r.isConstant(t, copied) })
		return r.find(f, atomicmap.Hash(name, own), name, own)
	}
	var own [fewTags]Tag // as in scope.record
	n := 0
	for i := range tags {
		if !r.isConstant(tags[i], tags) {
			own[n] = tags[i]
			n++
		}
	}
	return r.find(f, atomicmap.Hash(name, own[:n]), name, own[:n])
}

// delivered returns the tags that the points of a series have, sorted. Its own tags are sorted, too.
func (r *registry) delivered(own []Tag) []Tag {
	switch {
	case len(r.constant) == 0:
		return own
	case len(own) == 0:
		return r.constant
	}
	all := slices.Clip(own)
	for _, t := range r.constant {
		if !hasKey(own, t.Key) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, compareTags)
	return all
}

// describe sets the description of a name. It returns false if that changes nothing. Names that several goroutines add
// at the same moment may exceed the limit, by less than there are goroutines.
func (r *registry) describe(name, help, unit string) (changed bool) {
	hash := atomicmap.HashName(name)
	of := r.descriptions.Load(hash, name, nil)
	if of == nil {
		if int64(r.descriptions.Len()) >= r.series[ordinary].limit {
			r.undescribed.Add(1)
			return false
		}
		of, _ = r.descriptions.LoadOrStore(atomicmap.NewEntry(hash, name, []Tag(nil), atomic.Pointer[description]{}))
	}
	d := &description{utf8Of(help), utf8Of(unit)}
	old := of.Value.Swap(d)
	return old == nil || *old != *d
}

// descriptionOf returns the description of a name, which is empty if there is none.
func (r *registry) descriptionOf(name string) (d description) {
	if r.descriptions.Len() == 0 { // as in most programs, and this is asked for each point
		return d
	}
	if of := r.descriptions.Load(atomicmap.HashName(name), name, nil); of != nil {
		if latest := of.Value.Load(); latest != nil {
			d = *latest
		}
	}
	return d
}

// utf8Of returns a copy of the text in which bytes that are not UTF-8 are replaced.
func utf8Of(text string) string { return strings.Clone(strings.ToValidUTF8(text, "\uFFFD")) }

// register adds a series. If another goroutine was faster, it returns that goroutine's series. If there is no place, it
// returns an overflow series.
func (r *registry) register(f *family, hash uint64, name string, tags []Tag) *series {
	if !isOverflow(tags) {
		if s := r.store(f, hash, name, tags, ordinary); s != nil {
			return s
		}
		tags = overflowTags
		hash = atomicmap.Hash(name, tags)
		if s := f.series.Load(hash, name, tags); s != nil {
			return s
		}
	}
	if name != overflowName {
		if s := r.store(f, hash, name, tags, overflow); s != nil {
			return s
		}
	}
	return r.lastResort(f)
}

// lastResort returns the overflow series for names that find no place. It is held for ever.
func (r *registry) lastResort(f *family) *series {
	hash := atomicmap.Hash(overflowName, overflowTags)
	s := f.series.Load(hash, overflowName, overflowTags)
	if s == nil {
		s = r.store(f, hash, overflowName, overflowTags, lastResort)
	}
	if s == nil {
		// Goroutines that have just lost a race for a name hold all slots. newRegistry has made the series of the kind.
		s = r.families[f.kind].series.Load(hash, overflowName, overflowTags)
	}
	return s
}

// store adds a series, or returns the one that another goroutine has added before. It returns nil if there are too
// many.
func (r *registry) store(f *family, hash uint64, name string, tags []Tag, class class) *series {
	storage := f.kind.storage()
	if !r.reserve(storage, class) {
		return nil
	}
	slot, ok := r.takeSlot(storage)
	if !ok {
		r.unreserve(storage, class)
		return nil
	}
	added := atomicmap.NewEntry(hash, name, tags, place{slot: slot, family: f.number, kind: f.kind, class: class})
	if class == lastResort {
		added.Value.hold()
	}
	if f.kind == KindGauge && r.gauges.at(slot/gaugesPerChunk) == nil {
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
	s, loaded := f.series.LoadOrStore(added)
	if loaded {
		added.Value.state.Store(gone)
		r.unreserve(storage, class)
		if !r.adopted {
			r.giveBack(storage, slot)
		} // else the flusher gets the slot with fresh, and gives it back later
	}
	return s
}

// isPublished says whether the series has won the race for its name, and can be found by its name.
func (r *registry) isPublished(s *series) bool {
	return r.familyOf(s).series.Load(atomicmap.Hash(s.Name, s.Tags()), s.Name, s.Tags()) == s
}

// remove takes a series that is gone out of the map. Any goroutine that finds it may do so. The series counts against
// the limits until its slot is given back.
func (r *registry) remove(s *series) { r.familyOf(s).series.Delete(s) }

// forget has the maps keep no series in memory that was removed. Flusher only.
func (r *registry) forget() {
	for i := range r.numbered {
		if f := r.numbered[i].Load(); f != nil {
			f.series.Forget()
		}
	}
}

func (r *registry) reserve(storage storage, class class) bool {
	if !r.series[class].take() {
		return false
	}
	if !r.places[class][storage].take() {
		r.series[class].giveBack()
		return false
	}
	return true
}

func (r *registry) unreserve(storage storage, class class) {
	r.series[class].giveBack()
	r.places[class][storage].giveBack()
}

func (r *registry) takeSlot(storage storage) (slot uint32, ok bool) {
	for v := r.free[storage].Load(); v != nil; v = r.free[storage].Load() {
		if r.free[storage].CompareAndSwap(v, v.next) {
			return v.slot, true
		}
	}
	for {
		slots := r.slots[storage].Load()
		slot := firstUsable(storage, slots)
		if int64(slot) >= capacity[storage] {
			return 0, false
		}
		if r.slots[storage].CompareAndSwap(slots, slot+1) {
			return slot, true
		}
	}
}

// firstUsable returns the first slot from the given one on that may hold values: see bank.go.
func firstUsable(storage storage, slot uint32) uint32 {
	switch storage {
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
func (r *registry) giveBack(storage storage, slot uint32) {
	for v := (&vacancy{slot: slot}); ; {
		v.next = r.free[storage].Load()
		if r.free[storage].CompareAndSwap(v.next, v) {
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
// An instrument holds its series. A by-name writer must reopen an idle series before writing. A series is
//
//	held (1, 2, …): that many instruments refer to it
//	open (0):       it can be written to by name
//	idle (-1):      it can be found; a by-name writer reopens it before writing
//	gone (-2):      no goroutine writes to it ever again
//
// By-name writers check the state of a series inside the section in which they write (shard.go). They may have found
// the series long before: its name, tags and slot never change, and a series that is gone stays gone. If a series was
// not touched for a while, the flusher makes it idle. After the next flip, every writer that saw it open has left, and
// the drained bank holds their updates. If the series stays idle for the time of expiry after that, and no sink has
// updates pending for it, then it is gone: its slot is empty everywhere, and can be given away as soon as all sinks
// have acknowledged the end of the series. No updates of a series are pending when it goes. So a name that comes back
// as a new series cannot be in one batch twice.
type series = atomicmap.Entry[Tag, place]

type seriesMap = atomicmap.Map[Tag, place]

// A place says where the values of a series are. It has 12 bytes so that an entry of the map has 48.
type place struct {
	slot   uint32 // in the kind's storage
	state  atomic.Int32
	family uint16 // its number
	kind   Kind
	class  class
}

// A class says against which limit a series counts.
type class uint8

const (
	ordinary   class = iota
	overflow         // for the series of its name that find no place
	lastResort       // for the names that find no place

	classes = iota
)

const (
	open = 0
	idle = -1
	gone = -2
)

// A storage keeps the values of a kind, in slots of its own. Timers and histograms share one.
type storage uint8

const (
	sums storage = iota
	distributed
	gauges

	storages = iota
)

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

// The tags of an overflow series are its identity. A caller that asks for exactly these tags gets the overflow series
// of the name. overflowName is the name of the last resort.
var overflowTags = []Tag{{Key: "overflow", Value: "true"}}

const overflowName = "metricsbuffer.overflow"

func isOverflow(tags []Tag) bool { return len(tags) == 1 && tags[0] == overflowTags[0] }

const (
	gaugesPerChunk = 32
	maxGauges      = pagesPerColumn * chunksPerPage * gaugesPerChunk // 4,194,304
)

type gaugeChunk [gaugesPerChunk]gaugeCell

// A gaugeCell has a gauge's value, one for all shards. Only a shared word shows which of two values that were set on
// different Ps came last. A gauge is set far less often than a counter is increased.
type gaugeCell struct {
	bits     atomic.Uint64 // of the float64
	fresh    atomic.Bool   // set since the flusher last looked
	together atomic.Uint32 // a bit for each bank: set by Record, in a section with that bank
}

func (c *gaugeCell) set(v float64) {
	c.bits.Swap(math.Float64bits(v)) // a store would do, but some emulators let the load in touch pass it
	c.touch()
}

// add is not inlined, so that Gauge.Add is.
//
//go:noinline
func (c *gaugeCell) add(delta float64) {
	for {
		old := c.bits.Load()
		if c.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+delta)) {
			c.touch()
			return
		}
	}
}

// touch marks the gauge. It is called after the value is stored. If the mark is still set, the flusher will take it
// later, and read the value after that. So the mark is not stored again, and its cache line stays shared among readers.
func (c *gaugeCell) touch() {
	if !c.fresh.Load() {
		c.fresh.Store(true)
	}
}

// setTogether sets the gauge in a section with the given bank. It is taken with that bank, as the other updates of the
// section are.
func (c *gaugeCell) setTogether(v float64, bank uint32) {
	c.bits.Swap(math.Float64bits(v))
	if c.together.Load()&(1<<bank) == 0 {
		c.together.Or(1 << bank)
	}
}

// take says whether the gauge was set since the last call, apart from sections with the other bank. Flusher only.
func (c *gaugeCell) take(drained uint32) (set bool) {
	set = c.fresh.Load() && c.fresh.Swap(false)
	if c.together.Load()&(1<<drained) != 0 {
		c.together.And(^(uint32(1) << drained))
		set = true
	}
	return set
}

func (c *gaugeCell) value() float64 { return math.Float64frombits(c.bits.Load()) }
