package metricsbuffer

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// expiry is the flusher's part in expiring idle series; see series. A series that was made idle is suspended, until a
// writer opens it. That tells of any use, while updates that add up to zero leave no trace in a bank.
type expiry struct {
	after time.Duration // 0: never

	now       time.Duration             // of this collection, since the first
	first     time.Time                 // of the first collection
	touched   [storages][]time.Duration // when updates of each slot were last drained, or its series was suspended
	sweepAt   time.Duration
	suspended []*series // that were made idle; one that was opened in between may be here twice
}

// sweeps is how often in the time of expiry the flusher looks for idle series. An unused series is suspended after at
// most two of them, and gone one sweep after the time is over.
const sweeps = 12

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

// welcome notes a new series in the slot. It counts as touched.
func (e *expiry) welcome(storage storage, slot uint32) {
	if e.after == 0 {
		return
	}
	for uint32(len(e.touched[storage])) <= slot {
		e.touched[storage] = append(e.touched[storage], e.now)
	}
	e.touched[storage][slot] = e.now
}

// touch notes that updates were drained from the slot.
func (e *expiry) touch(storage storage, slot uint32) {
	if e.after != 0 {
		e.touched[storage][slot] = e.now
	}
}

// end ends a collection. From time to time it suspends unused series, and ends those that were suspended long ago.
func (e *expiry) end(f *flusher) {
	if e.after == 0 || e.now < e.sweepAt {
		return
	}
	e.sweepAt = e.now + e.after/sweeps
	suspended := e.suspended[:0]
	for _, s := range e.suspended {
		place := &s.Value
		storage, slot := place.kind.storage(), place.slot
		unused := e.now - e.touched[storage][slot] // at least since the flip after which no writer saw it open
		switch {
		case place.state.Load() == idle && (unused < e.after || f.isPending(storage, slot)):
			suspended = append(suspended, s)
		case place.state.CompareAndSwap(idle, gone):
			f.registry.remove(s)
			f.end(storage, slot)
		}
	}
	clear(e.suspended[len(suspended):])
	e.suspended = suspended
	for storage := range f.series {
		for slot, s := range f.series[storage] {
			switch {
			case s == nil || e.now-e.touched[storage][slot] < e.after/sweeps:
			case s.Value.state.CompareAndSwap(open, idle):
				e.touched[storage][slot] = e.now
				e.suspended = append(e.suspended, s)
			}
		}
	}
	f.registry.forget()
}

// overflows is the flusher's account of updates of overflow series.
type overflows struct {
	is     [storages]slotSet          // the slots of overflow series
	counts [storages]map[uint32]int64 // by slot, of series that exist
	totals Totals                     // of series that exist and of series that have expired
}

// welcome notes a new overflow series.
func (o *overflows) welcome(storage storage, slot uint32) { o.is[storage].add(slot) }

// forget notes that the slot is given back.
func (o *overflows) forget(storage storage, slot uint32) {
	o.is[storage].remove(slot)
	delete(o.counts[storage], slot)
}

func (o *overflows) has(storage storage, slot uint32) bool { return o.is[storage].has(slot) }

// count notes n updates that were drained from the slot of an overflow series.
func (o *overflows) count(storage storage, slot uint32, n int64) {
	if n == 0 {
		return
	}
	if o.counts[storage] == nil {
		o.counts[storage] = make(map[uint32]int64)
	}
	o.counts[storage][slot] += n
	o.totals.count(storage, n)
}

// account returns the totals, and the ten names with the most updates. late are updates that no collection has drained.
func (o *overflows) account(bySlot *[storages][]*series, late map[*series]int64, r *registry) (Totals, []Overflow) {
	totals := o.totals
	counts := maps.Clone(late)
	if counts == nil {
		counts = make(map[*series]int64)
	}
	for s, n := range late {
		totals.count(s.Value.kind.storage(), n)
	}
	for storage, drained := range o.counts {
		for slot, n := range drained {
			counts[bySlot[storage][slot]] += n
		}
	}
	all := make([]Overflow, 0, len(counts))
	for s, n := range counts {
		f := r.familyOf(s)
		all = append(all, Overflow{Name: s.Name, Kind: f.kind, Unit: f.unit, Decimals: f.decimals, Count: n})
	}
	slices.SortFunc(all, func(a, b Overflow) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Unit, b.Unit))
	})
	return totals, slices.Clip(all[:min(len(all), 10)])
}
