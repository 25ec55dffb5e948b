package metricsbuffer

import (
	"iter"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// A pending accumulates what one sink has not acknowledged. It belongs to the flusher, or, while a batch made from it
// is being written, to the goroutine that writes. Its size depends on the series touched and not on how often a batch
// failed.
type pending struct {
	start         time.Time // nothing in here is older
	totals        Totals
	counters      []*[countersPerChunk]int64 // by chunk, nil if untouched
	distributions []*[distributionsPerChunk]distribution
	gauges        []uint64 // a bit for each slot: set, and not acknowledged since
}

// A distribution is a timer's or a histogram's accumulated block.
type distribution struct {
	count, sum, greatest int64
	least                int64 // as in distributionCell: the distance from the greatest possible value
	buckets              Buckets
}

// addCounters adds the words of a bank's chunk.
func (p *pending) addCounters(i uint32, chunk *counterChunk) {
	into := p.counterChunk(i)
	for j := range chunk {
		into[j] += chunk[j].Peek()
	}
}

// counterChunk returns chunk i.
func (p *pending) counterChunk(i uint32) *[countersPerChunk]int64 {
	for uint32(len(p.counters)) <= i {
		p.counters = append(p.counters, nil)
	}
	if p.counters[i] == nil {
		p.counters[i] = counterChunks.Get().(*[countersPerChunk]int64)
	}
	return p.counters[i]
}

// counterChunks are empty. Most series are counters, and nothing is pending most of the time: what chunks there are is
// left to the garbage collector between two flushes.
var counterChunks = sync.Pool{New: func() any { return new([countersPerChunk]int64) }}

// at returns chunk i, which it creates if need be.
func at[C any](chunks *[]*C, i uint32) *C {
	for uint32(len(*chunks)) <= i {
		*chunks = append(*chunks, nil)
	}
	if (*chunks)[i] == nil {
		(*chunks)[i] = new(C)
	}
	return (*chunks)[i]
}

func (p *pending) markGauge(slot uint32) {
	for uint32(len(p.gauges)) <= slot/64 {
		p.gauges = append(p.gauges, 0)
	}
	p.gauges[slot/64] |= 1 << (slot % 64)
}

// add merges other into d.
func (d *distribution) add(other *distribution) {
	d.count += other.count
	d.sum += other.sum
	d.greatest = max(d.greatest, other.greatest)
	d.least = max(d.least, other.least)
	d.buckets.Add(&other.buckets)
}

// addCell adds what the cell holds. The caller owns the cell.
func (d *distribution) addCell(cell *distributionCell) {
	zeros := cell.zeros.Peek()
	d.count += zeros
	d.buckets.Zeros += uint64(zeros)
	d.sum += cell.sum.Peek()
	d.greatest = max(d.greatest, cell.greatest.Peek())
	d.least = max(d.least, cell.least.Peek())
	for w := cell.window.Load(); w != nil; w = w.older {
		into := d.buckets.cover(w.first, len(w.counts))
		for i := range w.counts {
			n := w.counts[i].Peek()
			into[i] += uint64(n)
			d.count += int64(n)
		}
	}
}

// empty keeps the range of buckets, which the series will need again.
func (d *distribution) empty() {
	d.buckets.Zeros = 0
	clear(d.buckets.Counts)
	*d = distribution{buckets: d.buckets}
}

// all yields every slot in which something is pending, always in the same order.
func (p *pending) all() iter.Seq2[storage, uint32] {
	return func(yield func(storage, uint32) bool) {
		for i, chunk := range p.counters {
			if chunk == nil {
				continue
			}
			for j, v := range chunk {
				if v != 0 && !yield(sums, uint32(i*countersPerChunk+j)) {
					return
				}
			}
		}
		for i, chunk := range p.distributions {
			if chunk == nil {
				continue
			}
			for j := range chunk {
				if chunk[j].count != 0 && !yield(distributions, uint32(i*distributionsPerChunk+j)) {
					return
				}
			}
		}
		for i, word := range p.gauges {
			for ; word != 0; word &= word - 1 {
				if !yield(gauges, uint32(i*64+bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// len returns in how many slots something is pending.
func (p *pending) len() (n int) {
	for range p.all() {
		n++
	}
	return n
}

// isEmpty says that there is nothing to deliver.
func (p *pending) isEmpty() bool {
	for range p.all() {
		return false
	}
	return true
}

// fill sets the point to what is pending in the slot.
func (p *pending) fill(point *Point, in storage, slot uint32, s *series, r *registry) {
	*point = Point{Name: s.Name, Tags: s.Tags(), Kind: s.Value.kind}
	switch in {
	case sums:
		point.Count = p.counters[slot/countersPerChunk][slot%countersPerChunk]
	case distributions:
		d := &p.distributions[slot/distributionsPerChunk][slot%distributionsPerChunk]
		point.Count, point.Sum = d.count, d.sum
		point.Min, point.Max = math.MaxInt64-d.least, d.greatest
		point.Buckets = &d.buckets
		if point.Kind == KindHistogram {
			point.Unit, point.Tags = takeUnit(point.Tags)
		}
	case gauges:
		point.Value = r.gauge(slot).value()
	}
}

// points appends a point for every slot in which something is pending.
func (p *pending) points(points []Point, series [storages][]*series, r *registry) []Point {
	points = slices.Grow(points, p.len()) // by doubling, many points would be copied, and leave as much garbage again
	for in, slot := range p.all() {
		points = points[:len(points)+1]
		p.fill(&points[len(points)-1], in, slot, series[in][slot], r)
	}
	return points
}

// merge adds one slot of other.
func (p *pending) merge(other *pending, in storage, slot uint32) {
	switch in {
	case sums:
		i, j := slot/countersPerChunk, slot%countersPerChunk
		p.counterChunk(i)[j] += other.counters[i][j]
	case distributions:
		i, j := slot/distributionsPerChunk, slot%distributionsPerChunk
		at(&p.distributions, i)[j].add(&other.distributions[i][j])
	case gauges:
		p.markGauge(slot)
	}
	p.totals.count(in, other.amount(in, slot))
}

// amount returns what is pending in the slot, as it counts in Totals.
func (p *pending) amount(in storage, slot uint32) int64 {
	switch in {
	case sums:
		return p.counters[slot/countersPerChunk][slot%countersPerChunk]
	case distributions:
		return p.distributions[slot/distributionsPerChunk][slot%distributionsPerChunk].count
	}
	return 0
}

// has says whether anything is pending in the slot.
func (p *pending) has(in storage, slot uint32) bool {
	switch in {
	case sums:
		i := int(slot / countersPerChunk)
		return i < len(p.counters) && p.counters[i] != nil && p.amount(in, slot) != 0
	case distributions:
		i := int(slot / distributionsPerChunk)
		return i < len(p.distributions) && p.distributions[i] != nil && p.amount(in, slot) != 0
	}
	i := int(slot / 64)
	return i < len(p.gauges) && p.gauges[i]>>(slot%64)&1 != 0
}

// reset empties p, whose next content is not older than start.
func (p *pending) reset(start time.Time) {
	p.start, p.totals = start, Totals{}
	for i, chunk := range p.counters {
		if chunk != nil {
			clear(chunk[:])
			counterChunks.Put(chunk)
			p.counters[i] = nil
		}
	}
	for _, chunk := range p.distributions {
		if chunk != nil {
			for j := range chunk {
				chunk[j].empty()
			}
		}
	}
	clear(p.gauges)
}
