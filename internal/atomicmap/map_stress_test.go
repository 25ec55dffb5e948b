package atomicmap

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneWinner has all goroutines store the same keys, while the table grows several times. One store of each key
// wins, and all goroutines get its entry.
func TestOneWinner(t *testing.T) {
	const goroutines, keys = 8, 3000
	for name, hash := range map[string]func(string, []testTag) uint64{
		"good": Hash[testTag],
		"bad":  func(name string, tags []testTag) uint64 { return Hash(name, tags) & 0xf0f },
	} {
		t.Run(name, func(t *testing.T) {
			var m testMap
			var got [goroutines][keys]*testEntry
			var wins atomic.Int64
			var all sync.WaitGroup
			for g := range goroutines {
				all.Go(func() {
					for i := range keys {
						name := strconv.Itoa(i)
						e, loaded := m.LoadOrStore(NewEntry(hash(name, nil), name, []testTag(nil), g))
						if !loaded {
							wins.Add(1)
						}
						if m.Load(hash(name, nil), name, nil) != e {
							t.Errorf("goroutine %d does not find key %d after storing it", g, i)
						}
						got[g][i] = e
					}
				})
			}
			all.Wait()
			require.EqualValues(t, keys, wins.Load())
			require.Equal(t, keys, m.Len())
			for g := range goroutines {
				require.Equal(t, got[0], got[g])
			}
		})
	}
}

// TestNeverTwoAlive has goroutines store and delete few keys as fast as they can, while others make the table grow and
// shrink, and counts each key's living entries. A goroutine counts down before it deletes, and counts up after it has
// stored. So the count exceeds one only if the map has let a key in twice.
func TestNeverTwoAlive(t *testing.T) {
	const keys, rounds = 10, 4000
	var m Map[testTag, *atomic.Bool]
	var alive [keys]atomic.Int64
	var all sync.WaitGroup
	for g := range 6 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			for range rounds {
				i := random.IntN(keys)
				name := strconv.Itoa(i)
				hash := uint64(i % 3)
				e, loaded := m.LoadOrStore(NewEntry(hash, name, []testTag(nil), new(atomic.Bool)))
				if !loaded && alive[i].Add(1) > 1 {
					t.Errorf("key %d is in the map twice", i)
				}
				if e.Value.CompareAndSwap(false, true) {
					alive[i].Add(-1)
					if !m.Delete(e) {
						t.Errorf("key %d was deleted by another goroutine", i)
					}
					if m.Load(hash, name, nil) == e {
						t.Errorf("key %d is found after it was deleted", i)
					}
				}
			}
		})
	}
	all.Go(func() { // grows and shrinks
		for round := range 40 {
			var mine []*Entry[testTag, *atomic.Bool]
			for i := range 200 {
				name := fmt.Sprint("x", round, i)
				e, _ := m.LoadOrStore(NewEntry(Hash[testTag](name, nil), name, []testTag(nil), new(atomic.Bool)))
				mine = append(mine, e)
			}
			for _, e := range mine {
				if m.Load(e.hash, e.Name, nil) != e || !m.Delete(e) {
					t.Errorf("%s was lost", e.Name)
				}
			}
		}
	})
	all.Wait()
	require.Zero(t, m.Len())
	for i := range alive {
		require.Zero(t, alive[i].Load())
	}
}

// TestLivingAreAlwaysFound looks up, and iterates over, entries that stay while others come and go around them.
func TestLivingAreAlwaysFound(t *testing.T) {
	var m testMap
	stay := make(map[*testEntry]bool)
	for i := range 100 {
		stay[store(&m, "stay"+strconv.Itoa(i))] = true
	}
	var done atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for !done.Load() {
			for e := range stay {
				if load(&m, e.Name) != e {
					t.Errorf("%s is not found", e.Name)
				}
			}
			seen := 0
			for e := range m.All() {
				if stay[e] {
					seen++
				}
			}
			if seen != len(stay) {
				t.Errorf("All gave %d of %d entries", seen, len(stay))
			}
			runtime.Gosched()
		}
	})
	for i := range 30_000 {
		e := store(&m, strconv.Itoa(i))
		if i%5 != 0 {
			m.Delete(e)
		}
	}
	done.Store(true)
	all.Wait()
	require.Equal(t, 100+6000, m.Len())
}

// TestSameMoment starts two goroutines at the same moment, key after key, so that they compete for one slot. With the
// same key only one may win. With different keys neither may overwrite the other.
func TestSameMoment(t *testing.T) {
	const rounds = 20_000
	for _, c := range []struct {
		name string
		keys [2]string
		wins int
	}{
		{"same key", [2]string{"a", "a"}, 1},
		{"same slot", [2]string{"a", "b"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m testMap
			var arrived atomic.Int64
			var wins, lost [rounds]atomic.Int64
			var all sync.WaitGroup
			for g := range 2 {
				all.Go(func() {
					for round := range rounds {
						hash := uint64(round) * 0x9e3779b97f4a7c15
						e := NewEntry(hash, c.keys[g], []testTag(nil), 0)
						for arrived.Add(1); arrived.Load() < int64(2*round+2); {
							runtime.Gosched()
						}
						if _, loaded := m.LoadOrStore(e); !loaded {
							wins[round].Add(1)
						}
						if m.Load(hash, c.keys[g], nil) == nil {
							lost[round].Add(1)
						}
					}
				})
			}
			all.Wait()
			for round := range rounds {
				require.EqualValues(t, c.wins, wins[round].Load(), "stores of round %d", round)
				require.Zero(t, lost[round].Load(), "keys lost in round %d", round)
			}
			require.Equal(t, rounds*c.wins, m.Len())
		})
	}
}
