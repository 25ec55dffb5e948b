package atomicmap

import "sync/atomic"

const (
	minSize = 16 // slots of the smallest table

	// maxDead is the number of dead entries of its own key at which a store has the table replaced. Otherwise a key
	// that is deleted and stored again and again would leave a long row of dead entries, and every lookup would walk
	// along it.
	maxDead = 16
)

// A table is an array of slots, searched from hash modulo its size upward. A slot is written once in its life: from
// nil to an entry, or from nil to the address of the table's own end, which freezes it.
type table[T ~struct{ Key, Value string }, V any] struct {
	slots []atomic.Pointer[Entry[T, V]] // a power of two, never all taken
	next  atomic.Pointer[table[T, V]]   // set once, when every slot is written

	// taken counts the slots that are taken or reserved. A store reserves a slot before it writes, and has the table
	// replaced if taken is above limit. Entries copied from the table before are counted when this table is made. So
	// every search finds a slot to end at. A store that loses its slot to another store of its key leaves its
	// reservation behind. That can only bring the next table sooner.
	taken atomic.Int64
	limit int64

	end Entry[T, V] // no lookup returns it: its deleted mark is set from the start
}

// newTable returns a table with room reserved for the live entries. It takes at least as many further stores as five
// sixteenths of its slots before it has to be replaced. So the cost of replacing it is spread over these stores.
func newTable[T ~struct{ Key, Value string }, V any](live int64) *table[T, V] {
	size := int64(minSize)
	for live > size/2 {
		size *= 2
	}
	t := &table[T, V]{slots: make([]atomic.Pointer[Entry[T, V]], size), limit: size * 13 / 16}
	t.taken.Store(live)
	t.end.deleted.Store(true)
	return t
}

// slot returns the slot for step i of a search. The mask keeps the index inside the array.
func (t *table[T, V]) slot(i uint64) *atomic.Pointer[Entry[T, V]] {
	return &t.slots[i&uint64(len(t.slots)-1)]
}

// An outcome says how an attempt to store ended.
type outcome int

const (
	stored outcome = iota // the entry is in the table
	found                 // another entry has its key
	frozen                // the key is not here and never will be: look in the next table
	full                  // there is no room, or the key has too many dead entries here
)

// store puts e into the first nil slot of its search, unless an entry with its key stands before that.
func (t *table[T, V]) store(e *Entry[T, V]) (actual *Entry[T, V], _ outcome) {
	reserved, dead := false, 0
	for i := e.hash; ; {
		slot := t.slot(i)
		other := slot.Load()
		switch {
		case other == nil:
			if !reserved && t.taken.Add(1) > t.limit {
				return nil, full
			}
			reserved = true
			if slot.CompareAndSwap(nil, e) {
				return e, stored
			}
			continue // another store took this slot, perhaps with e's key
		case other == &t.end:
			return nil, frozen
		case other.is(e.hash, e.Name, e.Tags()):
			if !other.deleted.Load() {
				return other, found
			}
			if dead++; dead == maxDead {
				return nil, full
			}
		}
		i++
	}
}
