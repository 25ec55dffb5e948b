package atomicmap

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

type testTag struct{ Key, Value string }

type (
	testMap   = Map[testTag, int]
	testEntry = Entry[testTag, int]
)

// testHashes are the hashes to test with: a good one, one that gives many keys few slots, one that gives all keys the
// first slot, and one that gives all keys the last slot.
var testHashes = map[string]func(name string, tags []testTag) uint64{
	"good": Hash[testTag],
	"few":  func(name string, tags []testTag) uint64 { return Hash(name, tags) % 4 },
	"zero": func(string, []testTag) uint64 { return 0 },
	"last": func(string, []testTag) uint64 { return ^uint64(0) },
}

// store stores name without tags under its good hash and returns the entry in the map.
func store(m *testMap, name string) *testEntry {
	e, _ := m.LoadOrStore(NewEntry(Hash[testTag](name, nil), name, []testTag(nil), 0))
	return e
}

func load(m *testMap, name string) *testEntry { return m.Load(Hash[testTag](name, nil), name, nil) }

func TestZeroMap(t *testing.T) {
	var m testMap
	require.Nil(t, load(&m, "a"))
	require.Zero(t, m.Len())
	for range m.All() {
		t.Fatal("an empty map has an entry")
	}
	require.True(t, m.Delete(NewEntry(1, "a", []testTag(nil), 0)), "even where nothing was stored")
}

func TestTagOrderMakesNoNewKey(t *testing.T) {
	var m testMap
	tags := []testTag{{"b", "1"}, {"a", "2"}, {"a", "1"}, {"b", "1"}}
	e, loaded := m.LoadOrStore(NewEntry(Hash("n", tags), "n", tags, 1))
	require.False(t, loaded)
	require.Equal(t, []testTag{{"a", "1"}, {"a", "2"}, {"b", "1"}, {"b", "1"}}, e.Tags())

	for range 50 {
		rand.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
		require.Same(t, e, m.Load(Hash("n", tags), "n", tags))
		again, loaded := m.LoadOrStore(NewEntry(Hash("n", tags), "n", tags, 2))
		require.True(t, loaded)
		require.Same(t, e, again)
	}
}

// TestModel runs random operations on few keys against a plain map.
func TestModel(t *testing.T) {
	for name, hash := range testHashes {
		t.Run(name, func(t *testing.T) {
			var m testMap
			model := make(map[string]*testEntry)
			random := rand.New(rand.NewPCG(1, 2))
			for step := range 10_000 {
				name := strconv.Itoa(random.IntN(60))
				var tags []testTag
				for range random.IntN(3) {
					tags = append(tags, testTag{strconv.Itoa(random.IntN(2)), strconv.Itoa(random.IntN(2))})
				}
				e := NewEntry(hash(name, tags), name, tags, step)
				key := fmt.Sprint(name, e.Tags())

				switch random.IntN(3) {
				case 0:
					require.Same(t, model[key], m.Load(hash(name, tags), name, tags))
				case 1:
					actual, loaded := m.LoadOrStore(e)
					require.Equal(t, model[key] != nil, loaded)
					if !loaded {
						require.Same(t, e, actual)
						model[key] = e
					}
					require.Same(t, model[key], actual)
				case 2:
					if old := model[key]; old != nil {
						require.True(t, m.Delete(old))
						require.False(t, m.Delete(old))
						delete(model, key)
						require.Nil(t, m.Load(hash(name, tags), name, tags))
					}
				}
				require.Equal(t, len(model), m.Len())
			}
			requireModel(t, &m, model)
		})
	}
}

// requireModel requires that All gives each entry of the model once and nothing else.
func requireModel(t *testing.T, m *testMap, model map[string]*testEntry) {
	t.Helper()
	seen := make(map[*testEntry]bool)
	for e := range m.All() {
		require.False(t, seen[e], "All gave %v twice", e.Name)
		require.Same(t, model[fmt.Sprint(e.Name, e.Tags())], e)
		seen[e] = true
	}
	require.Len(t, seen, len(model))
}

func TestAllStopsAndAllowsChanges(t *testing.T) {
	var m testMap
	for i := range 100 {
		store(&m, strconv.Itoa(i))
	}
	n := 0
	for e := range m.All() {
		require.True(t, m.Delete(e))
		store(&m, "new"+e.Name)
		if n++; n == 50 {
			break
		}
	}
	require.Equal(t, 100, m.Len())
}

func TestLoadAndHashDoNotAllocate(t *testing.T) {
	var m testMap
	name := "requests"
	value := strconv.Itoa(200)
	m.LoadOrStore(NewEntry(Hash[testTag](name, nil), name, []testTag(nil), 1))
	tags := []testTag{{"status", value}, {"method", "GET"}}
	m.LoadOrStore(NewEntry(Hash(name, tags), name, tags, 2))

	found := 0
	allocs := testing.AllocsPerRun(100, func() {
		if e := m.Load(Hash[testTag](name, nil), name, nil); e != nil {
			found += e.Value
		}
		// The caller's tags stay on its stack, although LoadOrStore may have to store them.
		tags := []testTag{{"status", value}, {"method", "GET"}}
		e := m.Load(Hash(name, tags), name, tags)
		if e == nil {
			e, _ = m.LoadOrStore(NewEntry(Hash(name, tags), name, tags, 0))
		}
		found += e.Value
		if m.Load(Hash(value, tags), value, tags) != nil {
			found++
		}
	})
	require.Zero(t, allocs)
	require.Equal(t, 101*3, found)
}
