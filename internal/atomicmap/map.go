package atomicmap

import (
	"iter"
	"sync/atomic"
)

// A Map holds entries by name and tags. Its zero value is empty and ready to use; it must not be copied after its
// first use. All its methods may be called concurrently.
type Map[T ~struct{ Key, Value string }, V any] struct {
	root atomic.Pointer[table[T, V]] // nil until the first store; moves on along table.next, never back
	live atomic.Int64                // stores minus deletes

	hints atomic.Pointer[hints[T, V]] // nil until the first Find that finds something
}

// Load returns the entry of a key, with the tags in any order, or nil. hash must be the one its entry was made with.
//
// Load does not allocate, wait or write. [Map.Find] is faster where the key's strings do not move.
func (m *Map[T, V]) Load(hash uint64, name string, tags []T) *Entry[T, V] {
	t := m.root.Load()
	if t == nil {
		return nil
	}
	for i := hash; ; i++ {
		e := t.slot(i).Load()
		if e == nil {
			return nil
		}
		if e.hash == hash {
			// This is Entry.is, which the compiler would not inline.
			if equal(e.Name, name) && e.hasTags(tags) && !e.deleted.Load() {
				return e
			}
			return m.loadSlow(hash, name, tags)
		}
		if e == &t.end {
			return m.loadSlow(hash, name, tags)
		}
	}
}

// loadSlow is Load for all cases: other entries with the same hash, dead entries, and tables that are being replaced.
func (m *Map[T, V]) loadSlow(hash uint64, name string, tags []T) *Entry[T, V] {
	for t := m.root.Load(); t != nil; t = t.next.Load() {
		for i := hash; ; i++ {
			e := t.slot(i).Load()
			if e == nil {
				return nil
			}
			if e.is(hash, name, tags) && !e.deleted.Load() {
				return e
			}
			if e == &t.end {
				break // the key may be in the next table
			}
		}
	}
	return nil
}

// LoadOrStore returns the entry that has e's key and true, or stores e and returns it and false. Of several callers
// with one key exactly one stores. e must come from [NewEntry] and, once stored, must not be stored again, not even
// after [Map.Delete].
func (m *Map[T, V]) LoadOrStore(e *Entry[T, V]) (actual *Entry[T, V], loaded bool) {
	for {
		root := m.root.Load()
		if root == nil {
			m.root.CompareAndSwap(nil, newTable[T, V](0))
			continue
		}
		actual, outcome := root.store(e)
		if next := root.next.Load(); outcome == frozen && next != nil {
			if actual, outcome = next.store(e); outcome != stored && outcome != found {
				m.advance(root, next)
				continue
			}
		}
		switch outcome {
		case stored:
			m.live.Add(1)
			return e, false
		case found:
			return actual, true
		}
		m.replace(root)
	}
}

// Delete takes e out of the map and reports whether this call did it: of all calls for one entry, one returns true.
// From then on Load does not find e, and LoadOrStore stores its key anew. e must have been stored in this map.
func (m *Map[T, V]) Delete(e *Entry[T, V]) bool {
	if !e.deleted.CompareAndSwap(false, true) {
		return false
	}
	if h := m.hints.Load(); h != nil {
		h.stale.Store(true)
	}
	// Stores remove the dead entries when they need room. If no more stores come, the last deletes have to do it.
	// Otherwise a map that was large once would keep its memory for ever.
	live := m.live.Add(-1)
	if t := m.root.Load(); t != nil && t.taken.Load() > minSize+4*max(0, live) {
		m.replace(t)
	}
	return true
}

// Len returns the number of entries. While others store and delete it is a number near that.
func (m *Map[T, V]) Len() int { return int(max(0, m.live.Load())) }

// All iterates over the entries in no particular order. An entry that stays in the map meanwhile comes exactly once. An
// entry that is stored or deleted meanwhile comes once or not at all. The loop's body may change the map.
func (m *Map[T, V]) All() iter.Seq[*Entry[T, V]] {
	return func(yield func(*Entry[T, V]) bool) {
		first := m.root.Load()
		for t := first; t != nil; t = t.next.Load() {
			for i := range t.slots {
				e := t.slots[i].Load()
				if e == nil || e.deleted.Load() || copied(e, first, t) {
					continue
				}
				if !yield(e) {
					return
				}
			}
		}
	}
}

// copied reports whether e is in one of the tables from first to the one before t. If it is, All has met it there, or
// it was stored there after All had passed.
func copied[T ~struct{ Key, Value string }, V any](e *Entry[T, V], first, t *table[T, V]) bool {
	for ; first != t; first = first.next.Load() {
		if first.holds(e) {
			return true
		}
	}
	return false
}
