package fraction_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// sumOf adds numbers without any rounding.
func sumOf(numbers ...float64) *big.Rat {
	sum := new(big.Rat)
	for _, v := range numbers {
		sum.Add(sum, new(big.Rat).SetFloat64(v))
	}
	return sum
}

// kept returns the rest as a number.
func kept(r *fraction.Rest) *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(r.Steps()), new(big.Int).Lsh(big.NewInt(1), 64))
}

// The returned numbers and the rest are exactly the sum, though several goroutines add numbers of either sign.
func TestConservation(t *testing.T) {
	recorded, returned := make([][]float64, 8), make([]int64, 8)
	for w := range recorded {
		random := rand.New(rand.NewPCG(uint64(w), 0))
		for range 1000 {
			// Below 2^33, with the last digit at 2^-60 or above.
			v := math.Ldexp(float64(random.Int64N(1<<53)), -20-random.IntN(41)) * float64(1-2*random.IntN(2))
			recorded[w] = append(recorded[w], v)
		}
	}
	var rest fraction.Rest
	var adding sync.WaitGroup
	const rounds = 1000 // long enough that the goroutines run at the same time
	for w := range recorded {
		adding.Go(func() {
			for i := range rounds * len(recorded[w]) {
				whole, ok := rest.Add(recorded[w][i%len(recorded[w])])
				if !ok {
					panic("it was not added")
				}
				returned[w] += whole
			}
		})
	}
	adding.Wait()
	want, got := new(big.Rat), kept(&rest)
	for w := range recorded {
		sum := sumOf(recorded[w]...)
		want.Add(want, sum.Mul(sum, new(big.Rat).SetInt64(rounds)))
		got.Add(got, new(big.Rat).SetInt64(returned[w]))
	}
	require.Zero(t, want.Cmp(got), "recorded %v, returned and kept %v", want, got)
}

func TestAdd(t *testing.T) {
	for name, test := range map[string]struct {
		add  []float64
		want []int64
	}{
		"halves":              {[]float64{0.5, 0.5, 0.5}, []int64{0, 1, 0}},
		"negative halves":     {[]float64{-0.5, -0.5, -0.5}, []int64{-1, 0, -1}},
		"whole and part":      {[]float64{1.25, 1.75}, []int64{1, 2}},
		"down and up":         {[]float64{-0.25, 0.25}, []int64{-1, 1}},
		"too small":           {[]float64{math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64}, []int64{0, 0}},
		"largest":             {[]float64{math.Nextafter(1<<63, 0), -1 << 63}, []int64{1<<63 - 1024, -1 << 63}},
		"just below one":      {[]float64{math.Nextafter(1, 0), math.Nextafter(1, 0)}, []int64{0, 1}},
		"just above zero":     {[]float64{-math.Nextafter(1, 0), math.Nextafter(1, 0)}, []int64{-1, 1}},
		"nothing is nothing":  {[]float64{0, math.Copysign(0, -1)}, []int64{0, 0}},
		"one carries exactly": {[]float64{0.75, 0.25}, []int64{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var rest fraction.Rest
			for i, v := range test.add {
				whole, ok := rest.Add(v)
				require.True(t, ok)
				require.Equal(t, test.want[i], whole, "number %d: %v", i, v)
			}
		})
	}
}

func TestRounding(t *testing.T) {
	var rest fraction.Rest
	rest.Rounding()
	for i, want := range []int64{0, 1, 0, 1, 0} { // 0.45, 0.9, 1.35, 1.8, 2.25
		whole, ok := rest.Add(0.45)
		require.True(t, ok)
		require.Equal(t, want, whole, "after %d", i+1)
	}
}

func TestUnfit(t *testing.T) {
	var rest fraction.Rest
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1 << 63, -1<<63 - 2048} {
		_, ok := rest.Add(v)
		require.False(t, ok, v)
		_, ok = fraction.Round(v)
		require.False(t, ok, v)
	}
	require.Zero(t, rest.Steps())
	whole, ok := fraction.Round(2.5)
	require.True(t, ok)
	require.EqualValues(t, 3, whole)
}
