package atomicmap

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzModel makes an operation of each byte, on one of 64 keys, and applies it to this map and to a plain one. Both
// must give the same results with every hash.
func FuzzModel(f *testing.F) {
	f.Add([]byte{64, 0, 128, 0, 64, 0})                                 // stored, found, deleted, not found, stored again
	f.Add([]byte{64, 65, 66, 128, 65, 66, 64, 130, 129, 128, 67, 3, 0}) // deleted in the middle of others
	grow := make([]byte, 0, 3*64)
	for key := range byte(64) {
		grow = append(grow, 64+key, key/2, 128+key/3) // grows, with dead entries
	}
	f.Add(grow)
	f.Fuzz(func(t *testing.T, operations []byte) {
		for _, hash := range testHashes {
			var m testMap
			model := make(map[string]*testEntry)
			for step, operation := range operations {
				name, tags := strconv.Itoa(int(operation%16)), []testTag(nil)
				if tag := operation / 16 % 4; tag > 0 {
					tags = []testTag{{"k", strconv.Itoa(int(tag))}}
				}
				h, key := hash(name, tags), strconv.Itoa(int(operation%64))
				switch operation / 64 {
				case 0, 3:
					require.Same(t, model[key], m.Load(h, name, tags))
				case 1:
					actual, loaded := m.LoadOrStore(NewEntry(h, name, tags, step))
					require.Equal(t, model[key] != nil, loaded)
					if !loaded {
						model[key] = actual
					}
					require.Same(t, model[key], actual)
				case 2:
					if old := model[key]; old != nil {
						require.True(t, m.Delete(old))
						delete(model, key)
					}
				}
				require.Equal(t, len(model), m.Len())
			}
			n := 0
			for e := range m.All() {
				require.Contains(t, model, key(e))
				n++
			}
			require.Len(t, model, n)
		}
	})
}

// key returns the key of the entry in FuzzModel's plain map.
func key(e *testEntry) string {
	k, _ := strconv.Atoi(e.Name)
	for _, tag := range e.Tags() {
		v, _ := strconv.Atoi(tag.Value)
		k += 16 * v
	}
	return strconv.Itoa(k)
}
