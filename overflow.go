package metricsbuffer

import (
	"cmp"
	"math/bits"
	"slices"
)

// overflows is the flusher's account of what went to overflow series.
type overflows struct {
	is     [storages][]uint64         // a bit for each slot: it is an overflow series'
	counts [storages]map[uint32]int64 // by slot, of those that exist
	totals Totals                     // also of those that have expired
}

// welcome notes a new overflow series.
func (o *overflows) welcome(in storage, slot uint32) {
	for uint32(len(o.is[in])) <= slot/64 {
		o.is[in] = append(o.is[in], 0)
	}
	o.is[in][slot/64] |= 1 << (slot % 64)
}

// forget notes that the slot is given back.
func (o *overflows) forget(in storage, slot uint32) {
	if o.has(in, slot) {
		o.is[in][slot/64] &^= 1 << (slot % 64)
		delete(o.counts[in], slot)
	}
}

func (o *overflows) has(in storage, slot uint32) bool {
	return slot/64 < uint32(len(o.is[in])) && o.is[in][slot/64]>>(slot%64)&1 != 0
}

// count notes what was drained from a slot that has the mark.
func (o *overflows) count(in storage, slot uint32, n int64) {
	if n == 0 {
		return
	}
	if o.counts[in] == nil {
		o.counts[in] = make(map[uint32]int64)
	}
	o.counts[in][slot] += n
	o.totals.count(in, n)
}

// countAll does so for the counters of a chunk.
func (o *overflows) countAll(i uint32, chunk *counterChunk) {
	for word := i * countersPerChunk / 64; word < min((i+1)*countersPerChunk/64, uint32(len(o.is[sums]))); word++ {
		for marks := o.is[sums][word]; marks != 0; marks &= marks - 1 {
			slot := word*64 + uint32(bits.TrailingZeros64(marks))
			o.count(sums, slot, chunk[slot%countersPerChunk].Peek())
		}
	}
}

// account returns the total, and the ten names with most of it.
func (o *overflows) account(f *flusher) (Totals, []Overflow) {
	var all []Overflow
	for in, counts := range o.counts {
		for slot, n := range counts {
			s := f.series[in][slot]
			all = append(all, Overflow{Name: s.Name, Kind: s.Value.kind, Count: n})
		}
	}
	slices.SortFunc(all, func(a, b Overflow) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return o.totals, slices.Clip(all[:min(len(all), 10)])
}
