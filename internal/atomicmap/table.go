package atomicmap

import "sync/atomic"

const (
	minSize = 16 // slots of the smallest table

	// maxDead is how many dead entries of its own key a store passes by before it has the table replaced. Without it a
	// key that is deleted and stored over and over would line up its dead at one place, for every lookup to walk along.
	maxDead = 16
)

// A table is an array of slots, searched from hash modulo its size upward. A slot is written once in its life: from
// nil to an entry, or from nil to the address of the table's own end, which freezes it.
type table[T ~struct{ Key, Value string }, V any] struct {
	slots []atomic.Pointer[Entry[T, V]] // a power of two, never all taken
	next  atomic.Pointer[table[T, V]]   // set once, when every slot is written

	// taken counts the slots that are, or are about to be, taken. A store adds itself before it writes, and gives way
	// to a larger table above limit; entries copied from the table before are counted when this one is made. It is
	// therefore limit, not luck, that leaves every search a slot to end at. A store that loses its slot to another of
	// its key leaves its reservation behind, which can only bring the next table sooner.
	taken atomic.Int64
	limit int64

	end Entry[T, V] // never compared equal to a key: it is deleted from the start
}

// newTable returns a table with room reserved for live entries, and for a share of them to come: at least as many
// stores as five sixteenths of its slots pass before it needs replacing, which pays for the replacing.
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

// slot returns the slot where the i-th step of a search looks. The mask keeps it inside.
func (t *table[T, V]) slot(i uint64) *atomic.Pointer[Entry[T, V]] {
	return &t.slots[i&uint64(len(t.slots)-1)]
}

// An outcome says how an attempt to store ended.
type outcome int

const (
	stored outcome = iota // the entry is in the table
	found                 // another entry has its key
	frozen                // the key is not here and never will be: look in the next table
	full                  // no room for it, or too many dead on the way to it
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
			continue // somebody took this slot: it may be e's key
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
