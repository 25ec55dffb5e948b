package atomicmap

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestEntryIsSmall(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		require.EqualValues(t, 48, unsafe.Sizeof(Entry[testTag, [3]uint32]{}))
	}
}

func TestEntryKeepsNoCallersMemory(t *testing.T) {
	buffer := []byte("name,key,value")
	all := unsafe.String(&buffer[0], len(buffer))
	tags := []testTag{{all[5:8], all[9:]}}
	e := NewEntry(1, all[:4], tags, 0)
	clear(buffer)
	clear(tags)
	require.Equal(t, "name", e.Name)
	require.Equal(t, []testTag{{"key", "value"}}, e.Tags())
}

func TestEqual(t *testing.T) {
	for n := range 70 {
		a := strings.Repeat("x", n)
		require.True(t, equal(a, strings.Clone(a)))
		require.False(t, equal(a, a+"x"))
		require.False(t, equal(a+"x", a))
		for i := range n {
			b := []byte(a)
			b[i] = 'y'
			require.False(t, equal(a, string(b)), "length %d, byte %d", n, i)
		}
	}
}

// FuzzKeys makes a key of each of two strings. The map must take them for one key if, and only if, their names and
// their sorted tags are equal.
func FuzzKeys(f *testing.F) {
	f.Add("requests,a=1,b=2", "requests,b=2,a=1")
	f.Add("n,a=b", "n,b=a")
	f.Add("n,ab=c", "n,a=bc")
	f.Add("n,a=1,a=1,b=2", "n,a=1,b=2,b=2")
	f.Add("n,a=1,a=1", "n,a=1")
	f.Add(",=", ",=,=")
	f.Fuzz(func(t *testing.T, first, second string) {
		name1, tags1 := cut(first)
		name2, tags2 := cut(second)
		same := name1 == name2 && slices.Equal(sorted(tags1), sorted(tags2))
		if same {
			require.Equal(t, Hash(name1, tags1), Hash(name2, tags2))
		}
		for _, hash := range []func(string, []testTag) uint64{Hash[testTag], testHashes["zero"]} {
			var m testMap
			e, _ := m.LoadOrStore(NewEntry(hash(name1, tags1), name1, tags1, 1))
			require.Equal(t, name1, e.Name)
			require.Equal(t, sorted(tags1), e.Tags())
			require.Same(t, e, m.Load(hash(name1, tags1), name1, tags1))
			require.Equal(t, same, m.Load(hash(name2, tags2), name2, tags2) == e)
			_, loaded := m.LoadOrStore(NewEntry(hash(name2, tags2), name2, tags2, 2))
			require.Equal(t, same, loaded)
		}
	})
}

// cut reads a name and tags as in "name,key=value,key=value".
func cut(s string) (name string, tags []testTag) {
	name, rest, more := strings.Cut(s, ",")
	for more && len(tags) < 8 {
		var one string
		one, rest, more = strings.Cut(rest, ",")
		key, value, _ := strings.Cut(one, "=")
		tags = append(tags, testTag{key, value})
	}
	return name, tags
}

func sorted(tags []testTag) []testTag {
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b testTag) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return tags
}
