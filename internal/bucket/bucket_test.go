package bucket

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// holds says whether 2^(i/16) < v <= 2^((i+1)/16), in exact arithmetic: 2^i < v^16 <= 2^(i+1).
func holds(i int, v int64) bool {
	power := new(big.Int).Exp(big.NewInt(v), big.NewInt(PerOctave), nil)
	above := i < 0 || power.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(i))) > 0
	return above && power.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(i+1))) <= 0
}

func TestIndexIsExact(t *testing.T) {
	check := func(v int64) {
		if v > 0 {
			require.True(t, holds(Index(v), v), "value %d, bucket %d", v, Index(v))
		}
	}
	for v := range int64(5000) {
		check(v)
	}
	// Both sides of every bound, where a rounding error would show.
	for i := Lowest; i <= Highest; i++ {
		root := new(big.Int).Lsh(big.NewInt(1), uint(i+1))
		for range Scale {
			root.Sqrt(root)
		}
		for d := int64(-2); d <= 2; d++ {
			check(root.Int64() + d)
		}
	}
	for range 100_000 {
		check(rand.Int64() >> rand.IntN(63))
	}
}

func TestIndexOfTheEnds(t *testing.T) {
	require.Equal(t, Lowest, Index(1))
	require.Equal(t, Highest, Index(math.MaxInt64))
	require.NotPanics(t, func() { Index(0); Index(-1); Index(math.MinInt64) })
}

func TestUpperBoundsMeet(t *testing.T) {
	require.InDelta(t, 1, Upper(Lowest), 0)
	require.InDelta(t, 2, Upper(Lowest+PerOctave), 0)
	for i := Lowest; i < Highest; i++ {
		require.InEpsilon(t, math.Exp2(1./PerOctave), Upper(i+1)/Upper(i), 1e-12)
	}
}

func BenchmarkIndex(b *testing.B) {
	sum, v := 0, int64(1)
	for b.Loop() {
		sum += Index(v & math.MaxInt64)
		v = v*5 + 1
	}
	_ = sum
}
