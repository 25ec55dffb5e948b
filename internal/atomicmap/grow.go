package atomicmap

// replace freezes t, which must have been the root, and gives it a successor with room for its live entries: a larger
// one, one of the same size without the dead, or a smaller one. It does nothing if t has a successor already.
//
// Every caller freezes by itself rather than waiting for another. Who installs the successor also copies into it; the
// others can go on in it at once.
func (m *Map[T, V]) replace(t *table[T, V]) {
	if t.next.Load() != nil {
		return
	}
	next := newTable[T, V](t.freeze())
	if t.next.CompareAndSwap(nil, next) {
		m.advance(t, next)
	}
}

// advance copies what lives in t into next, its successor, and makes next the root. It may run any number of times at
// once: nothing waits for the one that installed next, which may be suspended for ever.
func (m *Map[T, V]) advance(t, next *table[T, V]) {
	if m.root.Load() != t {
		return
	}
	for i := range t.slots {
		if e := t.slots[i].Load(); !e.deleted.Load() { // t.end is deleted
			next.copy(e)
		}
	}
	m.root.CompareAndSwap(t, next)
}

// freeze closes every slot that is still nil and returns the number of live entries. From then on entries of t can
// only die, so no more than that number will be copied.
func (t *table[T, V]) freeze() (live int64) {
	for i := range t.slots {
		slot := &t.slots[i]
		if slot.Load() == nil {
			slot.CompareAndSwap(nil, &t.end)
		}
		if e := slot.Load(); !e.deleted.Load() {
			live++
		}
	}
	return live
}

// copy puts e, which the table before t holds, into t unless it is there. It takes no account of room: e's was
// reserved when t was made.
func (t *table[T, V]) copy(e *Entry[T, V]) {
	for i := e.hash; ; i++ {
		slot := t.slot(i)
		if slot.Load() == nil {
			slot.CompareAndSwap(nil, e)
		}
		// At the end of a table that is frozen itself, this helper came too late: all was copied before that, and e,
		// if it is not here, had died.
		if other := slot.Load(); other == e || other == &t.end {
			return
		}
	}
}

// holds reports whether e is in t.
func (t *table[T, V]) holds(e *Entry[T, V]) bool {
	for i := e.hash; ; i++ {
		switch t.slot(i).Load() {
		case e:
			return true
		case nil, &t.end:
			return false
		}
	}
}
