package workload

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

// Every contender does every workload, or says why not.
func TestEveryPair(t *testing.T) {
	for _, w := range All() {
		for _, c := range contender.All() {
			values, err := w.Measure(c, Setting{CPU: 2, Duration: time.Millisecond, Series: 1000, ManyPs: 4})
			if errors.Is(err, ErrNotOffered) {
				require.NotEmpty(t, w.Reason(c), "%s, %s: no reason", w.Name, c.Name)
				continue
			}
			require.NoError(t, err)
			require.Contains(t, values, w.Main)
			if w.Main != "B/series" { // so small, that garbage of others may hide it
				require.Positive(t, values[w.Main], "%s, %s", w.Name, c.Name)
			}
		}
	}
}

func TestQuantilesAreNearlyExact(t *testing.T) {
	var h histogram
	var all []uint64
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		d := r.Uint64N(1 << r.UintN(40))
		h.record(time.Duration(d))
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{.5, .9, .99, .999} {
		exact := float64(all[int(q*10_000)-1])
		require.InEpsilon(t, exact, h.quantile(q), 1./32, "q = %v", q)
	}
	require.EqualValues(t, all[len(all)-1], h.max)
}

func TestOrdersStayInRange(t *testing.T) {
	counts := make([]int, some)
	for _, order := range zipf(3, some) {
		require.Len(t, order, orderLength)
		for _, i := range order {
			counts[i]++
		}
	}
	slices.Sort(counts)
	require.Greater(t, counts[some-1], 10*counts[some/2], "few series are used often")
}
