package metricsbuffer

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
	"weak"

	"github.com/metricsbuffer/metricsbuffer/internal/exemplar"
)

// A pending accumulates updates that one sink has not acknowledged. It belongs to the flusher, or to the goroutine that
// writes the batch made from it. Its size depends on the series touched and not on how often a batch failed.
type pending struct {
	start         time.Time // nothing in here is older
	first         position  // the batch begins there, and goes around
	totals        Totals
	counters      []*[countersPerChunk]int64 // by chunk, nil if untouched
	distributions []*distribution            // by slot, nil if untouched

	marked [storages]slotSet // to be delivered even if they are zero: series new or described, and gauges that were set
	ended  [storages]slotSet // series that have expired; nothing else is pending for them
}

// A position is one in the order of [pending.all].
type position struct {
	storage storage
	slot    uint32
}

// These pools leave the memory of pending values to the garbage collector between two flushes: nothing is pending most
// of the time. All counts in them are zero.
var (
	counterSums   = sync.Pool{New: func() any { return new([countersPerChunk]int64) }}
	distributions = sync.Pool{New: func() any { return new(distribution) }}
)

// A distribution is a timer's or a histogram's accumulated block. It counts the buckets from first on. A count has 32
// bits; higher bits are in carries, which exists only if it is needed.
type distribution struct {
	count, sum, greatest int64
	least                int64 // as in distributionCell: the distance from the greatest possible value
	zeros                int64
	first                int
	counts               []uint32
	carries              []uint32 // nil, or as long as counts
	exemplars            []traced // by octave, in ascending order
}

// keep adds an exemplar, in place of an earlier one of its octave.
func (d *distribution) keep(e *traced) {
	i, found := slices.BinarySearchFunc(d.exemplars, exemplar.Octave(e.value), func(other traced, octave int) int {
		return cmp.Compare(exemplar.Octave(other.value), octave)
	})
	switch {
	case !found:
		d.exemplars = slices.Insert(d.exemplars, i, *e)
	case d.exemplars[i].at <= e.at:
		d.exemplars[i] = *e
	}
}

// cover makes room for n buckets from first on, and returns the place of the first of them.
func (d *distribution) cover(first, n int) int {
	if len(d.counts) == 0 {
		d.first = first
	}
	low, high := min(d.first, first), max(d.first+len(d.counts), first+n)
	if high-low > len(d.counts) {
		grow := func(counts []uint32) []uint32 {
			grown := make([]uint32, high-low)
			copy(grown[d.first-low:], counts)
			return grown
		}
		if d.carries != nil {
			d.carries = grow(d.carries)
		}
		if len(d.counts) == 0 && cap(d.counts) >= high-low {
			d.counts = d.counts[:high-low] // of an earlier use, all zero
		} else {
			d.counts = grow(d.counts)
		}
		d.first = low
	}
	return first - d.first
}

// tally adds n to the count at place i.
func (d *distribution) tally(i int, n uint64) {
	n += uint64(d.counts[i])
	d.counts[i] = uint32(n)
	if n>>32 == 0 {
		return
	}
	if d.carries == nil {
		d.carries = make([]uint32, len(d.counts))
	}
	d.carries[i] += uint32(n >> 32)
}

// at returns the count at place i.
func (d *distribution) at(i int) uint64 {
	if d.carries == nil {
		return uint64(d.counts[i])
	}
	return uint64(d.carries[i])<<32 | uint64(d.counts[i])
}

// addCell adds the observations of the cell, which the caller owns.
func (d *distribution) addCell(cell *distributionCell) {
	zeros := cell.zeros.Peek()
	d.zeros += zeros
	d.count += zeros
	d.sum += cell.sum.Peek()
	d.greatest = max(d.greatest, cell.greatest.Peek())
	d.least = max(d.least, cell.least.Peek())
	for w := cell.window.Load(); w != nil; w = w.older {
		low, high := 0, len(w.counts)
		for low < high && w.counts[low].Peek() == 0 {
			low++
		}
		for low < high && w.counts[high-1].Peek() == 0 {
			high--
		}
		if low == high {
			continue
		}
		into := d.cover(w.first+low, high-low)
		for i := low; i < high; i++ {
			if n := w.counts[i].Peek(); n != 0 {
				d.tally(into+i-low, uint64(n))
				d.count += int64(n)
			}
		}
	}
}

// add merges other into d.
func (d *distribution) add(other *distribution) {
	d.count += other.count
	d.sum += other.sum
	d.greatest = max(d.greatest, other.greatest)
	d.least = max(d.least, other.least)
	d.zeros += other.zeros
	for i := range other.exemplars {
		d.keep(&other.exemplars[i])
	}
	if len(other.counts) == 0 {
		return
	}
	into := d.cover(other.first, len(other.counts))
	for i := range other.counts {
		if n := other.at(i); n != 0 {
			d.tally(into+i, n)
		}
	}
}

// release empties d and gives it back.
func (d *distribution) release() {
	clear(d.counts)
	*d = distribution{counts: d.counts[:0], exemplars: d.exemplars[:0]}
	distributions.Put(d)
}

// counterChunk returns chunk i.
func (p *pending) counterChunk(i uint32) *[countersPerChunk]int64 {
	for uint32(len(p.counters)) <= i {
		p.counters = append(p.counters, nil)
	}
	if p.counters[i] == nil {
		p.counters[i] = counterSums.Get().(*[countersPerChunk]int64)
	}
	return p.counters[i]
}

// distribution returns the block of a slot.
func (p *pending) distribution(slot uint32) *distribution {
	for uint32(len(p.distributions)) <= slot {
		p.distributions = append(p.distributions, nil)
	}
	if p.distributions[slot] == nil {
		p.distributions[slot] = distributions.Get().(*distribution)
	}
	return p.distributions[slot]
}

// mark has the slot delivered even if its value is zero.
func (p *pending) mark(storage storage, slot uint32) {
	p.marked[storage].add(slot)
	switch storage { // all looks for marks where there is memory for values
	case sums:
		p.counterChunk(slot / countersPerChunk)
	case distributed:
		p.distribution(slot)
	}
}

// all yields every slot in which something is pending, always in the same order.
func (p *pending) all() iter.Seq2[storage, uint32] {
	return func(yield func(storage, uint32) bool) {
		for i, chunk := range p.counters {
			if chunk == nil {
				continue
			}
			for j, v := range chunk {
				slot := uint32(i*countersPerChunk + j)
				if (v != 0 || p.marked[sums].has(slot)) && !yield(sums, slot) {
					return
				}
			}
		}
		for i, d := range p.distributions {
			if slot := uint32(i); d != nil && (d.count != 0 || p.marked[distributed].has(slot)) && !yield(distributed, slot) {
				return
			}
		}
		for slot := range p.marked[gauges].all() {
			if !yield(gauges, slot) {
				return
			}
		}
	}
}

// isEmpty says that there is nothing to deliver.
func (p *pending) isEmpty() bool {
	for range p.all() {
		return false
	}
	return !p.hasEnded()
}

// hasEnded says whether the end of any series is pending.
func (p *pending) hasEnded() bool {
	for i := range p.ended {
		for range p.ended[i].all() {
			return true
		}
	}
	return false
}

// series returns for how many series something is pending.
func (p *pending) series() (n int) {
	for range p.all() {
		n++
	}
	return n
}

// absorb adds all of other, in which no ends are pending. Other stays as it is.
func (p *pending) absorb(other *pending) {
	p.totals.add(other.totals)
	for i, chunk := range other.counters {
		if chunk == nil {
			continue
		}
		into := p.counterChunk(uint32(i))
		for j, v := range chunk {
			into[j] += v
		}
	}
	for slot, d := range other.distributions {
		if d != nil {
			p.distribution(uint32(slot)).add(d)
		}
	}
	for i := range p.marked {
		p.marked[i].addAll(other.marked[i])
	}
}

// merge adds one slot of other.
func (p *pending) merge(other *pending, storage storage, slot uint32) {
	switch storage {
	case sums:
		p.counterChunk(slot / countersPerChunk)[slot%countersPerChunk] += other.amount(storage, slot)
	case distributed:
		p.distribution(slot).add(other.distributions[slot])
	}
	if other.marked[storage].has(slot) {
		p.marked[storage].add(slot)
	}
	p.totals.count(storage, other.amount(storage, slot))
}

// amount returns the amount that is pending in the slot, as it counts in Totals.
func (p *pending) amount(storage storage, slot uint32) int64 {
	switch storage {
	case sums:
		return p.counters[slot/countersPerChunk][slot%countersPerChunk]
	case distributed:
		return p.distributions[slot].count
	}
	return 0
}

// has says whether anything is pending in the slot, but for its end.
func (p *pending) has(storage storage, slot uint32) bool {
	if p.marked[storage].has(slot) {
		return true
	}
	switch storage {
	case sums:
		i := int(slot / countersPerChunk)
		return i < len(p.counters) && p.counters[i] != nil && p.amount(storage, slot) != 0
	case distributed:
		return int(slot) < len(p.distributions) && p.distributions[slot] != nil && p.amount(storage, slot) != 0
	}
	return false
}

// reset empties p, whose next content is not older than start.
func (p *pending) reset(start time.Time) {
	p.start, p.first, p.totals = start, position{}, Totals{}
	for i, chunk := range p.counters {
		if chunk != nil {
			clear(chunk[:])
			counterSums.Put(chunk)
			p.counters[i] = nil
		}
	}
	for slot, d := range p.distributions {
		if d != nil {
			d.release()
			p.distributions[slot] = nil
		}
	}
	for i := range p.marked {
		clear(p.marked[i])
		clear(p.ended[i])
	}
}

// bytes returns the memory of p.
func (p *pending) bytes() int64 {
	n := int64(unsafe.Sizeof(*p)) + int64(cap(p.counters)+cap(p.distributions))*8
	for i := range p.marked {
		n += int64(cap(p.marked[i])+cap(p.ended[i])) * 8
	}
	for _, chunk := range p.counters {
		if chunk != nil {
			n += int64(unsafe.Sizeof(*chunk))
		}
	}
	for _, d := range p.distributions {
		if d != nil {
			n += int64(unsafe.Sizeof(*d)) + int64(cap(d.counts)+cap(d.carries))*4 +
				int64(cap(d.exemplars))*int64(unsafe.Sizeof(traced{}))
		}
	}
	return n
}

// A slotSet is a set of slots, with a bit for each.
type slotSet []uint64

func (s *slotSet) add(slot uint32) { s.addMany(int(slot/64), 1<<(slot%64)) }

// addMany adds the slots from 64 i on that have a bit in marks.
func (s *slotSet) addMany(i int, marks uint64) {
	for len(*s) <= i {
		*s = append(*s, 0)
	}
	(*s)[i] |= marks
}

func (s *slotSet) addAll(other slotSet) {
	for i, marks := range other {
		if marks != 0 {
			s.addMany(i, marks)
		}
	}
}

func (s slotSet) remove(slot uint32) {
	if s.has(slot) {
		s[slot/64] &^= 1 << (slot % 64)
	}
}

func (s slotSet) has(slot uint32) bool {
	i := slot / 64
	return i < uint32(len(s)) && s[i]>>(slot%64)&1 != 0
}

// all yields the slots, in ascending order.
func (s slotSet) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// A scratch is the memory of a batch.
type scratch struct {
	points  []Point
	ended   []Point
	buckets []Buckets
	counts  []uint64

	exemplars []Exemplar
}

// A keeper keeps the memory of a sink's batches from one flush to the next. That is a lot, and idle between flushes. So
// it is left to the garbage collector: the first collection after a flush makes the reference a weak one, and the
// second frees the memory. A sync.Pool would do the same, but it hides a value from all Ps but one, and the next flush
// runs on any of them. The keeper belongs to its outlet, and recent to the garbage collector, too.
type keeper struct {
	recent atomic.Pointer[scratch]
	weak   weak.Pointer[scratch]
}

const littleMemory = 200_000 // bytes that are not worth dropping

// take returns memory for a batch.
func (k *keeper) take() *scratch {
	if s := k.recent.Load(); s != nil {
		return s
	}
	if s := k.weak.Value(); s != nil {
		return s
	}
	return new(scratch)
}

// keep takes the memory of a batch back. It drops memory of which the batch used little: a buffer with few points in
// each batch would keep that of its largest one for ever.
func (k *keeper) keep(s *scratch) {
	used, all := s.bytes()
	if all > max(littleMemory, 4*used) {
		k.weak = weak.Pointer[scratch]{}
		k.recent.Store(nil)
		return
	}
	s.clearUnused()
	k.weak = weak.Make(s)
	// If there was a reference, it is about to be cleared. A collection that ended before may do so late, and clear this
	// one: then the next collection frees the memory.
	if k.recent.Swap(s) == nil {
		collection := new(struct{ _ *byte }) // garbage; with a pointer, because objects without share their memory
		runtime.AddCleanup(collection, func(recent *atomic.Pointer[scratch]) { recent.Store(nil) }, &k.recent)
	}
}

// bytes returns how much of the memory the latest batch used, and how much there is.
func (s *scratch) bytes() (used, all uintptr) {
	const point, buckets = unsafe.Sizeof(Point{}), unsafe.Sizeof(Buckets{})
	const count, exemplar = unsafe.Sizeof(uint64(0)), unsafe.Sizeof(Exemplar{})
	used = uintptr(len(s.points)+len(s.ended))*point + uintptr(len(s.buckets))*buckets +
		uintptr(len(s.counts))*count + uintptr(len(s.exemplars))*exemplar
	all = uintptr(cap(s.points)+cap(s.ended))*point + uintptr(cap(s.buckets))*buckets +
		uintptr(cap(s.counts))*count + uintptr(cap(s.exemplars))*exemplar
	return used, all
}

// clearUnused clears the points and buckets of earlier batches. Points keep the names and tags of series that may have
// ended. Buckets keep counts that were replaced by a larger array, which bytes does not see.
func (s *scratch) clearUnused() {
	clear(s.points[len(s.points):cap(s.points)])
	clear(s.ended[len(s.ended):cap(s.ended)])
	clear(s.buckets[len(s.buckets):cap(s.buckets)])
}

// fill makes a point for every slot in which something is pending. All memory is sized first: growing by doubling would
// copy many points, and leave as much garbage again.
func (s *scratch) fill(p *pending, known *catalog) []Point {
	points, buckets, counts, exemplars := 0, 0, 0, 0
	for storage, slot := range p.all() {
		points++
		if storage == distributed {
			buckets++
			counts += len(p.distributions[slot].counts)
			exemplars += len(p.distributions[slot].exemplars)
		}
	}
	s.points = slices.Grow(s.points[:0], points)
	s.buckets, s.counts = slices.Grow(s.buckets[:0], buckets), slices.Grow(s.counts[:0], counts)
	s.exemplars = slices.Grow(s.exemplars[:0], exemplars)
	s.points = s.points[:points]
	i := 0
	for storage, slot := range p.all() {
		point := &s.points[i]
		i++
		known.identify(point, storage, slot)
		switch storage {
		case sums:
			point.Count = p.amount(storage, slot)
		case distributed:
			d := p.distributions[slot]
			point.Count, point.Sum = d.count, d.sum
			if d.count != 0 {
				point.Min, point.Max = math.MaxInt64-d.least, d.greatest
			}
			point.Buckets, point.Exemplars = s.spread(d), s.expand(d)
		case gauges:
			point.Value = known.registry.gauge(slot).value()
		}
	}
	return s.points
}

// turn turns the points of a batch around, so that they begin at a position. It returns the number of points that have
// come to the end.
func turn(points []Point, first position) (turned int) {
	if first == (position{}) {
		return 0
	}
	turned, _ = slices.BinarySearchFunc(points, first, func(p Point, first position) int {
		return cmp.Or(cmp.Compare(p.Kind.storage(), first.storage), cmp.Compare(p.ID, first.slot))
	})
	slices.Reverse(points[:turned])
	slices.Reverse(points[turned:])
	slices.Reverse(points)
	return turned
}

// fillEnded makes a point for every series that has ended.
func (s *scratch) fillEnded(p *pending, known *catalog) []Point {
	s.ended = s.ended[:0]
	for i := range p.ended {
		for slot := range p.ended[i].all() {
			s.ended = append(s.ended, Point{})
			known.identify(&s.ended[len(s.ended)-1], storage(i), slot)
		}
	}
	return s.ended
}

// expand returns the distribution's exemplars.
func (s *scratch) expand(d *distribution) []Exemplar {
	from := len(s.exemplars)
	for _, e := range d.exemplars {
		s.exemplars = append(s.exemplars, Exemplar{TraceContext: e.span, Value: e.value, Time: time.Unix(0, e.at)})
	}
	if len(s.exemplars) == from {
		return nil
	}
	return slices.Clip(s.exemplars[from:])
}

// spread returns the distribution's buckets.
func (s *scratch) spread(d *distribution) *Buckets {
	from := len(s.counts)
	for i := range d.counts {
		s.counts = append(s.counts, d.at(i))
	}
	s.buckets = append(s.buckets, Buckets{Zeros: uint64(d.zeros), Offset: d.first})
	b := &s.buckets[len(s.buckets)-1]
	if len(s.counts) > from {
		b.Counts = slices.Clip(s.counts[from:])
	}
	return b
}
