package atomicmap

import (
	"math/rand/v2"
	"sync/atomic"
)

// Hints shorten a lookup. The strings of a key are nearly always the same ones in memory, call after call: constants of
// the program. So [Map.Find] looks at a place first that their addresses choose. There it finds the entry that such a
// lookup found before. That entry is a hit only if its name and tags are those of the key. So strings that have moved,
// or memory that holds another key now, make a lookup slower, not wrong.
//
// Most lookups find their own key, and write nothing. Strings that move would make all processors write to the same
// places. So only one in replaceOne of their lookups does. Two keys that share a place have it in turns, for the same
// reason.
type hints[T ~struct{ Key, Value string }, V any] struct {
	places []atomic.Pointer[Entry[T, V]] // a power of two
	stale  atomic.Bool                   // an entry may have been deleted
}

const (
	minPlaces   = 64
	maxPlaces   = 16_384
	leastPlaces = 4 // for an entry; with fewer, many keys would share a place, and a lookup would be hard to predict

	replaceOne = 64
)

func newHints[T ~struct{ Key, Value string }, V any](live int) *hints[T, V] {
	size := minPlaces
	for size < 2*leastPlaces*live && size < maxPlaces {
		size *= 2
	}
	return &hints[T, V]{places: make([]atomic.Pointer[Entry[T, V]], size)}
}

// at returns the place for a code. The mask keeps the index inside the array.
func (h *hints[T, V]) at(code uint64) *atomic.Pointer[Entry[T, V]] {
	return &h.places[code>>32&uint64(len(h.places)-1)]
}

// spread makes the codes of neighbouring addresses distant. It is 2^64 divided by the golden ratio, as in Fibonacci
// hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4).
const spread = 0x9e3779b97f4a7c15

// codeOf returns a number that is the same for the same strings in memory, and likely to be another one otherwise.
func codeOf[T ~struct{ Key, Value string }](name string, tags []T) uint64 {
	code := address(name) * spread
	for i := range tags {
		code = (code>>32 ^ code ^ address(tag(tags[i]).Value)) * spread
	}
	return code
}

// Hint returns an entry that may be that of the name without tags, or nil. The caller has to ask [Entry.IsPlain] and
// [Same]. The compiler inlines the three. So the hottest callers save the call of [Map.Find].
func (m *Map[T, V]) Hint(name string) *Entry[T, V] {
	h := m.hints.Load()
	if h == nil {
		return nil
	}
	return h.at(address(name) * spread).Load()
}

// IsPlain reports whether e has no tags, and was not deleted.
func (e *Entry[T, V]) IsPlain() bool { return e.tags == nil && !e.deleted.Load() }

// Same reports whether a and b are equal and have at least eight bytes.
func Same(a, b string) bool {
	last := len(a) - 8
	if last < 0 || len(a) != len(b) {
		return false
	}
	for i := 0; i < last; i += 8 {
		if word64(a, i) != word64(b, i) {
			return false
		}
	}
	return word64(a, last) == word64(b, last)
}

// Find returns the entry of a key, with the tags in any order, or nil, as [Map.Load] does. It is faster where the
// strings have not moved since the last time.
func (m *Map[T, V]) Find(name string, tags []T) *Entry[T, V] {
	if h := m.hints.Load(); h != nil {
		e := h.at(codeOf(name, tags)).Load()
		if e != nil && equal(e.Name, name) && e.hasTags(tags) && !e.deleted.Load() {
			return e
		}
	}
	return m.findSlow(name, tags)
}

func (m *Map[T, V]) findSlow(name string, tags []T) *Entry[T, V] {
	e := m.Load(Hash(name, tags), name, tags)
	if e == nil {
		return nil
	}
	h := m.hints.Load()
	if live := m.Len(); h == nil || len(h.places) < min(leastPlaces*live, maxPlaces) {
		m.hints.CompareAndSwap(h, newHints[T, V](live))
		h = m.hints.Load()
	}
	place := h.at(codeOf(name, tags))
	if old := place.Load(); old == nil || old.deleted.Load() || rand.Uint32()%replaceOne == 0 {
		place.Store(e)
		if e.deleted.Load() { // Forget may have passed already
			place.CompareAndSwap(e, nil)
		}
	}
	return e
}

// Forget sees to it that the hints keep no deleted entry in memory, and take no more memory than the entries need. Call
// it from time to time.
func (m *Map[T, V]) Forget() {
	h := m.hints.Load()
	if h == nil || !h.stale.Load() {
		return
	}
	h.stale.Store(false)
	if len(h.places) > max(minPlaces, 4*leastPlaces*m.Len()) {
		m.hints.CompareAndSwap(h, nil)
		return
	}
	for i := range h.places {
		if e := h.places[i].Load(); e != nil && e.deleted.Load() {
			h.places[i].Store(nil)
		}
	}
}
