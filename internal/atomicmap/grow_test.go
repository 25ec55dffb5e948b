package atomicmap

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// newHalfFull returns a map with the entries 0 to n-1, and its table.
func newHalfFull(n int) (*testMap, *table[testTag, int]) {
	m := new(testMap)
	for i := range n {
		store(m, strconv.Itoa(i))
	}
	return m, m.root.Load()
}

// A goroutine may be suspended for ever after any step of a replacement. After each step the others must find the
// stored keys, store new ones, and be able to finish the replacement.

func TestLeftOffAfterFreezing(t *testing.T) {
	m, old := newHalfFull(5)
	require.EqualValues(t, 5, old.freeze())

	require.NotNil(t, load(m, "3"))
	require.Nil(t, load(m, "new"))
	e := store(m, "new")
	require.Same(t, e, load(m, "new"))
	require.NotSame(t, old, m.root.Load(), "the store has replaced the table")
	require.NotNil(t, load(m, "3"))
	require.Equal(t, 6, m.Len())
}

// TestSearchEndsAtTheFreeze: a search ends at a frozen slot, even in a table without entries.
func TestSearchEndsAtTheFreeze(t *testing.T) {
	m, frozen := new(testMap), newTable[testTag, int](0)
	m.root.Store(frozen)
	require.Zero(t, frozen.freeze())
	require.Nil(t, load(m, "new"))
	require.False(t, frozen.holds(NewEntry(0, "new", []testTag(nil), 0)))
	e := store(m, "new")
	require.Same(t, e, load(m, "new"))
}

func TestLeftOffBeforeCopying(t *testing.T) {
	m, old := newHalfFull(5)
	next := newTable[testTag, int](old.freeze())
	old.next.Store(next)

	three := load(m, "3")
	require.NotNil(t, three)
	require.Same(t, three, store(m, "3"), "not copied, but not to be stored again")
	require.True(t, m.Delete(three))
	require.Nil(t, load(m, "3"))
	born := store(m, "3")
	require.NotSame(t, three, born)
	require.Same(t, born, load(m, "3"))
	require.Same(t, old, m.root.Load(), "a store that finds room does not wait for the copying")
	require.True(t, next.holds(born))

	seen := make(map[*testEntry]int)
	for e := range m.All() {
		seen[e]++
	}
	require.Len(t, seen, 5)

	for i := range 100 { // the next table runs out of room, too
		store(m, "new"+strconv.Itoa(i))
	}
	require.Equal(t, 105, m.Len())
	for i := range 5 {
		require.NotNil(t, load(m, strconv.Itoa(i)), "%d was copied by the stores that needed room", i)
	}
	require.Same(t, born, load(m, "3"))
}

func TestLeftOffWhileCopying(t *testing.T) {
	m, old := newHalfFull(5)
	next := newTable[testTag, int](old.freeze())
	old.next.Store(next)
	next.copy(load(m, "1"))
	next.copy(load(m, "1"))
	next.copy(load(m, "2"))

	seen := make(map[*testEntry]int)
	for e := range m.All() {
		seen[e]++
		require.Equal(t, 1, seen[e], "All gave %s twice", e.Name)
	}
	require.Len(t, seen, 5)

	m.advance(old, next)
	require.Same(t, next, m.root.Load())
	require.Equal(t, 5, written(next))
	require.EqualValues(t, 5, next.taken.Load(), "copies take the room that was reserved")
}

func TestLateHelperRevivesNothing(t *testing.T) {
	m, old := newHalfFull(5)
	dead := load(m, "3")
	next := newTable[testTag, int](old.freeze())
	old.next.Store(next)
	m.Delete(dead)
	born := store(m, "3")

	next.copy(dead) // by a helper that saw it alive
	require.Same(t, born, load(m, "3"))
	require.Same(t, born, store(m, "3"))

	m.advance(old, next)
	next.freeze()
	before := written(next)
	next.copy(NewEntry(Hash[testTag]("x", nil), "x", []testTag(nil), 0)) // by an even later helper
	require.Equal(t, before, written(next))
}

func TestLateReplaceDoesNothing(t *testing.T) {
	m, old := newHalfFull(5)
	m.replace(old)
	next := m.root.Load()
	store(m, "new")
	m.replace(old)
	m.advance(old, old.next.Load())
	require.Same(t, next, m.root.Load())
	require.NotNil(t, load(m, "new"))
}

// TestHoldsFindsEntriesFurtherOn: entries with the same hash stand one after the other.
func TestHoldsFindsEntriesFurtherOn(t *testing.T) {
	tab := newTable[testTag, int](0)
	for i := range 5 {
		e := NewEntry(7, strconv.Itoa(i), []testTag(nil), 0)
		require.False(t, tab.holds(e))
		_, outcome := tab.store(e)
		require.Equal(t, stored, outcome)
		require.True(t, tab.holds(e))
	}
}

func TestRoomIsNeverExceeded(t *testing.T) {
	tab := newTable[testTag, int](0)
	for i := range 2 * tab.limit {
		name := strconv.Itoa(int(i))
		_, outcome := tab.store(NewEntry(Hash[testTag](name, nil), name, []testTag(nil), 0))
		require.Equal(t, i >= tab.limit, outcome == full)
	}
	require.EqualValues(t, tab.limit, written(tab))
}

// written counts the entries in a table, dead ones too.
func written(t *table[testTag, int]) (n int) {
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil && e != &t.end {
			n++
		}
	}
	return n
}

// TestMemoryStaysFlat stores and deletes many more entries than live at a time, under new names and under one name.
func TestMemoryStaysFlat(t *testing.T) {
	const live = 1000
	for _, c := range []struct {
		name  string
		churn int
		key   func(i int) string
	}{
		{"new names", 100_000, strconv.Itoa},
		{"one name", 5000, func(int) string { return "again" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := newHalfFull(0)
			for i := range live {
				store(m, "live"+strconv.Itoa(i))
			}
			for i := range c.churn {
				require.True(t, m.Delete(store(m, c.key(i))))
				if i%1000 == 0 {
					require.LessOrEqual(t, len(m.root.Load().slots), 4*live)
				}
			}
			require.Equal(t, live, m.Len())
		})
	}
}

// TestReborn: the dead entries of one key never form a long row that lookups walk along.
func TestReborn(t *testing.T) {
	var m testMap
	for i := range 1000 {
		store(&m, strconv.Itoa(i))
	}
	for range 10 * maxDead {
		e := store(&m, "again")
		m.Delete(e)
		dead := 0
		slots := m.root.Load().slots
		for i := range slots {
			if e := slots[i].Load(); e != nil && e.Name == "again" {
				dead++
			}
		}
		require.LessOrEqual(t, dead, maxDead)
	}
}

func TestDeletingShrinks(t *testing.T) {
	m, _ := newHalfFull(100_000)
	perEntry := float64(len(m.root.Load().slots)*8) / 100_000
	require.LessOrEqual(t, perEntry, 24.0, "bytes of table per entry, where a pointer has eight")

	tables, last := 0, m.root.Load()
	for e := range m.All() {
		m.Delete(e)
		if now := m.root.Load(); now != last {
			tables, last = tables+1, now
			require.LessOrEqual(t, tables, 20, "each table is much smaller than the one before")
		}
	}
	require.Zero(t, m.Len())
	require.LessOrEqual(t, len(m.root.Load().slots), 4*minSize, "deleted entries keep no memory")
}
