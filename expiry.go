package metricsbuffer

import (
	"cmp"
	"slices"
	"time"
)

// expiry is the flusher's side of how idle series go; see series.
type expiry struct {
	after time.Duration // 0: never

	now       time.Duration             // of this collection, since the first
	first     time.Time                 // of the first collection
	touched   [storages][]time.Duration // when slots were last seen to be written to
	sweepAt   time.Duration
	suspended []*series // idle since the last collection
}

// begin starts a collection.
func (e *expiry) begin() {
	if e.after == 0 {
		return
	}
	if e.first.IsZero() {
		e.first = time.Now()
	}
	e.now = time.Since(e.first)
}

// welcome notes a new series in the slot, which is as good as touched.
func (e *expiry) welcome(in storage, slot uint32) {
	if e.after == 0 {
		return
	}
	for uint32(len(e.touched[in])) <= slot {
		e.touched[in] = append(e.touched[in], e.now)
	}
	e.touched[in][slot] = e.now
}

// touch notes that something was drained from the slot.
func (e *expiry) touch(in storage, slot uint32) {
	if e.after != 0 {
		e.touched[in][slot] = e.now
	}
}

// end ends a collection: it decides about the series that were made idle before it, and now and then looks for more.
func (e *expiry) end(f *flusher) {
	if e.after == 0 {
		return
	}
	for _, s := range e.suspended {
		in, slot := s.Value.kind.storage(), s.Value.slot
		if e.touched[in][slot] != e.now && !f.isPending(in, slot) && s.Value.state.CompareAndSwap(idle, gone) {
			f.registry.remove(s)
			f.vacate(in, slot)
		} else {
			s.Value.state.CompareAndSwap(idle, open)
		}
	}
	e.suspended = e.suspended[:0]
	if e.now < e.sweepAt {
		return
	}
	e.sweepAt = e.now + e.after/4
	for in := range f.series {
		for slot, s := range f.series[in] {
			switch {
			case s == nil || e.now-e.touched[in][slot] < e.after:
			case s.Value.state.Load() == gone: // lost the race for its name: see registry.store
				f.vacate(storage(in), uint32(slot))
			case f.registry.isPublished(s) && s.Value.state.CompareAndSwap(open, idle):
				e.suspended = append(e.suspended, s)
			}
		}
	}
}

// isPending says whether any sink has yet to acknowledge something for the slot.
func (f *flusher) isPending(in storage, slot uint32) bool {
	for _, o := range f.sinks {
		if o.pending.has(in, slot) || o.writing != nil && o.writing.content.has(in, slot) {
			return true
		}
	}
	return false
}

// vacate gives a slot back. No writer can reach it any more, and it holds nothing.
func (f *flusher) vacate(in storage, slot uint32) {
	f.series[in][slot] = nil
	f.overflows.forget(in, slot)
	if in == gauges {
		f.registry.gauge(slot).bits.Store(0) // a new gauge is zero; banks are zeroed as they are drained
	}
	f.registry.giveBack(in, slot)
}

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
