package atomicmap

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"
)

// find is Find as its hottest callers write it.
func find(m *testMap, name string, tags ...testTag) *testEntry {
	if e := m.Hint(name); len(tags) == 0 && e != nil && e.IsPlain() && Same(e.Name, name) {
		return e
	}
	return m.Find(name, tags)
}

func hintOf(m *testMap, name string, tags ...testTag) *testEntry {
	return m.hints.Load().at(codeOf(name, tags)).Load()
}

func TestFindRemembers(t *testing.T) {
	var m testMap
	require.Nil(t, find(&m, "requests"))
	e := store(&m, "requests")
	require.Same(t, e, find(&m, "requests"))
	require.Same(t, e, hintOf(&m, "requests"))
	require.Same(t, e, m.Hint("requests"))
	require.Same(t, e, find(&m, "requests"))

	tags := []testTag{{"b", "2"}, {"a", "1"}}
	h := m.hints.Load()
	for i := 0; h.at(codeOf("requests", tags)) == h.at(codeOf("requests", []testTag(nil))); i++ {
		tags[0].Value = strconv.Itoa(i) // addresses choose the place, and the system chooses addresses
	}
	tagged, _ := m.LoadOrStore(NewEntry(Hash("requests", tags), "requests", tags, 2))
	require.Same(t, tagged, find(&m, "requests", tags...))
	require.Same(t, tagged, hintOf(&m, "requests", tags...))
	require.Same(t, tagged, find(&m, "requests", tags[1], tags[0]))
	require.Same(t, e, find(&m, "requests"))
	require.Nil(t, find(&m, "requests", tags[0]))
}

// TestOnlyTheContentCounts has strings change in place, as those of a buffer that is reused do.
func TestOnlyTheContentCounts(t *testing.T) {
	for _, size := range []int{1, 2, 7, 8, 9, 16, 40} {
		var m testMap
		bytes := []byte(strings.Repeat("n", size))
		name := unsafe.String(&bytes[0], size)
		for range 3 { // the hint is there from the second time on
			for i := range 10 {
				bytes[size/2] = byte('0' + i)
				store(&m, name)
				require.Equal(t, strings.Clone(name), find(&m, name).Name)

				tags := []testTag{{"key", name}, {name, "value"}}
				m.LoadOrStore(NewEntry(Hash("name", tags), "name", tags, 0))
				require.Equal(t, sorted(tags), find(&m, "name", tags...).Tags())
			}
			bytes[size/2] = 'x'
			require.Nil(t, find(&m, name))
			require.Nil(t, find(&m, "name", testTag{"key", name}, testTag{name, "value"}))
		}
		// A part of a string is at the same address.
		require.Nil(t, find(&m, name[:size/2]+"y"))
		store(&m, name[:size/2])
		require.Equal(t, name[:size/2], find(&m, name[:size/2]).Name)
	}
}

func TestHintOfADeletedEntry(t *testing.T) {
	var m testMap
	first := store(&m, "requests")
	require.Same(t, first, find(&m, "requests"))
	require.True(t, m.Delete(first))
	require.Nil(t, find(&m, "requests"))
	second := store(&m, "requests")
	require.Same(t, second, find(&m, "requests"))
	require.Same(t, second, hintOf(&m, "requests"), "the place of a deleted entry is free")
}

func TestForgetReleasesDeletedEntries(t *testing.T) {
	var m testMap
	var entries []weak.Pointer[testEntry]
	for i := range 1000 {
		e := store(&m, "requests"+strconv.Itoa(i))
		require.Same(t, e, m.Find(e.Name, nil))
		if i%2 == 0 {
			entries = append(entries, weak.Make(e))
		}
	}
	for _, e := range entries {
		m.Delete(e.Value())
	}
	m.Forget()
	m.replace(m.root.Load()) // the table has dead entries, too
	runtime.GC()
	for _, e := range entries {
		require.Nil(t, e.Value())
	}
	require.NotNil(t, m.hints.Load(), "the other half has hints still")
	m.Forget()
	require.Len(t, m.hints.Load().places, 4096)

	for e := range m.All() {
		m.Delete(e)
	}
	m.Forget()
	require.Nil(t, m.hints.Load(), "there are far too many places")
}

func TestPlacesAreLimited(t *testing.T) {
	var m testMap
	for i := range 3 * maxPlaces {
		e := store(&m, "requests"+strconv.Itoa(i))
		require.Same(t, e, m.Find(e.Name, nil))
		require.LessOrEqual(t, len(m.hints.Load().places), max(minPlaces, 4*leastPlaces*m.Len()))
	}
	require.Len(t, m.hints.Load().places, maxPlaces)
}

// TestKeysThatShareAPlace: each of them has it at times.
func TestKeysThatShareAPlace(t *testing.T) {
	var m testMap
	store(&m, "requests")
	m.Find("requests", nil)
	h := m.hints.Load()
	for i := range 100 * minPlaces {
		name := "other requests " + strconv.Itoa(i)
		if h.at(codeOf(name, []testTag(nil))) != h.at(codeOf("requests", []testTag(nil))) {
			continue
		}
		store(&m, name)
		for had := make(map[string]bool); len(had) < 2; had[hintOf(&m, name).Name] = true {
			require.Equal(t, name, m.Find(name, nil).Name)
			require.Equal(t, "requests", m.Find("requests", nil).Name)
		}
		return
	}
	t.Fatal("no two names share a place")
}

func TestFindDoesNotAllocate(t *testing.T) {
	var m testMap
	tags := []testTag{{"b", "2"}, {"a", "1"}}
	m.LoadOrStore(NewEntry(Hash("requests", tags), "requests", tags, 0))
	store(&m, "requests")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.Find("requests", nil)
		m.Find("requests", tags)
		m.Find("unknown", tags)
	}))
}

// TestFindWhileKeysComeAndGo: an entry that Find returns has the key, and was in the map at some moment of the call.
func TestFindWhileKeysComeAndGo(t *testing.T) {
	const keys = 200
	var m testMap
	names := make([]string, keys)
	for i := range names {
		names[i] = "requests" + strconv.Itoa(i)
	}
	kept := store(&m, "requests that stay")
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		writers.Go(func() {
			for range 300 {
				for _, name := range names {
					m.Delete(store(&m, name))
				}
				m.Forget()
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, name := range names {
					if e := find(&m, name); e != nil && e.Name != name {
						t.Errorf("%q was found for %q", e.Name, name)
					}
				}
				if find(&m, "requests that stay") != kept {
					t.Error("a key that stays was not found")
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	m.Forget()
	if h := m.hints.Load(); h != nil {
		for i := range h.places {
			if e := h.places[i].Load(); e != nil {
				require.Same(t, kept, e, "a hint keeps %q", e.Name)
			}
		}
	}
}
