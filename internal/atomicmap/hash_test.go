package atomicmap

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashTellsKeysApart(t *testing.T) {
	seen := make(map[uint64]string)
	distinct := func(name string, tags ...testTag) {
		t.Helper()
		key := strconv.Quote(name)
		for _, tag := range tags {
			key += strconv.Quote(tag.Key) + strconv.Quote(tag.Value)
		}
		h := Hash(name, tags)
		other, taken := seen[h]
		require.False(t, taken, "%s and %s have one hash", key, other)
		seen[h] = key
	}
	distinct("")
	distinct("", testTag{"", ""})
	distinct("", testTag{"", ""}, testTag{"", ""})
	distinct("n")
	distinct("n", testTag{"a", "b"})
	distinct("n", testTag{"b", "a"})
	distinct("n", testTag{"a", "a"})
	distinct("n", testTag{"a", "b"}, testTag{"a", "b"})
	distinct("n", testTag{"a", "b"}, testTag{"a", "b"}, testTag{"a", "b"})
	distinct("n", testTag{"ab", "c"})
	distinct("n", testTag{"a", "bc"})
	distinct("n", testTag{"abc", ""})
	distinct("n", testTag{"", "abc"})
	distinct("na", testTag{"", "bc"})
	distinct("n", testTag{"x", "1"}, testTag{"y", "2"})
	distinct("n", testTag{"x", "2"}, testTag{"y", "1"})
	distinct("n", testTag{"x", "y"}, testTag{"1", "2"})
}

func TestHashDoesNotKnowTheTagsOrder(t *testing.T) {
	a, b, c := testTag{"a", "1"}, testTag{"b", "2"}, testTag{"c", "3"}
	require.Equal(t, Hash("n", []testTag{a, b, c, a}), Hash("n", []testTag{c, a, a, b}))
}

// TestHashSeesEveryByte flips each byte of strings of every length around the steps of the hash.
func TestHashSeesEveryByte(t *testing.T) {
	seen := make(map[uint64]bool)
	for n := range 70 {
		s := make([]byte, n)
		require.False(t, seen[Hash[testTag](string(s), nil)], "length %d", n)
		seen[Hash[testTag](string(s), nil)] = true
		for i := range s {
			s[i] = 1
			require.False(t, seen[Hash[testTag](string(s), nil)], "length %d, byte %d", n, i)
			seen[Hash[testTag](string(s), nil)] = true
			s[i] = 0
		}
	}
}

// TestHashSpreads puts names as people write them into as many buckets, by each of several groups of the hash's bits. A
// good hash leaves e^-1, about 37 %, of the buckets empty.
func TestHashSpreads(t *testing.T) {
	const n = 1 << 14
	for kind, hash := range map[string]func(i int) uint64{
		"short":     func(i int) uint64 { return Hash[testTag](strconv.Itoa(i), nil) },
		"long":      func(i int) uint64 { return Hash[testTag](strings.Repeat("x", 40)+strconv.Itoa(i), nil) },
		"beginning": func(i int) uint64 { return Hash[testTag](strconv.Itoa(i)+strings.Repeat("x", 40), nil) },
		"tags": func(i int) uint64 {
			return Hash("requests", []testTag{{"path", strconv.Itoa(i / 128)}, {"status", strconv.Itoa(i % 128)}})
		},
		"one tag": func(i int) uint64 { return Hash("requests", []testTag{{"path", strconv.Itoa(i)}}) },
	} {
		for _, shift := range []int{0, 8, 32, 50} {
			hit := make(map[uint64]bool)
			for i := range n {
				hit[hash(i)>>shift%n] = true
			}
			require.InDelta(t, 0.632, float64(len(hit))/n, 0.02, "%s names, bits from %d", kind, shift)
		}
	}
}

// TestHashIsWide: among so many names a hash of 64 bits has no two that are equal, and one of 32 bits about twenty.
func TestHashIsWide(t *testing.T) {
	const n = 400_000
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = HashName(strconv.Itoa(i))
	}
	slices.Sort(hashes)
	distinct := len(slices.Compact(hashes))
	require.Equal(t, n, distinct)
}

// TestTagsMixTheNamesHash: if the hashes of two names differ in one bit, the hashes with the same tags differ in about
// half of their bits.
func TestTagsMixTheNamesHash(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	differences := 0
	const n = 64 * 1000
	for i := range n {
		name, tags := random.Uint64(), []testTag{{"path", strconv.Itoa(i)}}
		differences += bits.OnesCount64(WithTags(name, tags) ^ WithTags(name^1<<(i%64), tags))
	}
	require.InDelta(t, 32, float64(differences)/n, 4)
}

var maphashSeed = maphash.MakeSeed()

func BenchmarkHash(b *testing.B) {
	name := "arroyo.consumer.metric.requests"
	b.Run("tags=0", func(b *testing.B) {
		for b.Loop() {
			Hash[testTag](name, nil)
		}
	})
	b.Run("maphash.String", func(b *testing.B) { // an own hash must be faster than this
		for b.Loop() {
			maphash.String(maphashSeed, name)
		}
	})
	tags := []testTag{{"status", "success"}, {"producer_name", "events"}}
	b.Run("tags=2", func(b *testing.B) {
		for b.Loop() {
			Hash(name, tags)
		}
	})
}
