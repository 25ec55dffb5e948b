package atomicmap

// replace freezes t, which must have been the root, and gives it a successor with room for its live entries: a larger
// table, a smaller one, or one of the same size without the dead entries. It does nothing if t has a successor already.
//
// Every caller freezes the slots by itself and does not wait for another. The caller that installs the successor also
// copies into it. The others can continue in the successor at once.
func (m *Map[T, V]) replace(t *table[T, V]) {
	if t.next.Load() != nil {
		return
	}
	next := newTable[T, V](t.freeze())
	if t.next.CompareAndSwap(nil, next) {
		m.advance(t, next)
	}
}

// advance copies the live entries of t into next, its successor, and makes next the root. Several goroutines may run it
// at the same time. So none waits for the goroutine that installed next, which may be suspended for ever.
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

// copy puts e, an entry of the table before t, into t unless it is there. It needs no check for room: the room for e
// was reserved when t was made.
func (t *table[T, V]) copy(e *Entry[T, V]) {
	for i := e.hash; ; i++ {
		slot := t.slot(i)
		if slot.Load() == nil {
			slot.CompareAndSwap(nil, e)
		}
		// If t is frozen itself, this helper came too late. All live entries were copied before that, so e had died if
		// it is not here.
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
