package metricsbuffer

import "time"

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

// touchAll is touch for the counters of a chunk.
func (e *expiry) touchAll(i uint32, chunk *counterChunk) {
	if e.after == 0 {
		return
	}
	for j := range chunk {
		if chunk[j].Peek() != 0 {
			e.touched[sums][i*countersPerChunk+uint32(j)] = e.now
		}
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
