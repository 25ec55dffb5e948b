package prom_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// counts returns the number of values up to each bound.
func counts(bounds []prom.Bound, values ...int64) []uint64 {
	buckets := new(metricsbuffer.Buckets)
	for _, v := range values {
		if v == 0 {
			buckets.Add(&metricsbuffer.Buckets{Zeros: 1})
			continue
		}
		buckets.Add(&metricsbuffer.Buckets{Offset: bucket.Index(v), Counts: []uint64{1}})
	}
	var all []uint64
	for _, n := range prom.Cumulative(buckets, bounds) {
		all = append(all, n)
	}
	return all
}

// The bounds by default are the buffer's own, so that a value on a bound is below it and the next one is not.
func TestBoundsByDefault(t *testing.T) {
	var chosen prom.Bounds
	timer, histogram := chosen.Of(metricsbuffer.KindTimer, ""), chosen.Of(metricsbuffer.KindHistogram, "bytes")
	require.Len(t, timer, 27)
	for i, b := range timer {
		ns := int64(1) << (10 + i)
		require.InDelta(t, float64(ns)/1e9, b.LE, 0)
		require.EqualValues(t, 2, counts(timer, 0, ns, ns+1)[i])
	}
	require.Len(t, histogram, 21)
	for i, b := range histogram {
		v := int64(1) << (2 * i)
		require.InDelta(t, float64(v), b.LE, 0)
		require.EqualValues(t, 2, counts(histogram, 0, v, v+1)[i])
	}
}

// A chosen bound is at most half a bucket from the bound that counts.
func TestChosenBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		bound := math.Exp2(random.Float64() * 55)
		chosen := make(prom.Bounds)
		require.NoError(t, chosen.Set("rows", []float64{bound}))
		require.NoError(t, chosen.Set(prom.Seconds, []float64{bound / 1e9}))
		const off = 1.0221
		below, above := int64(bound/off), int64(math.Ceil(bound*off))
		for _, bounds := range [][]prom.Bound{
			chosen.Of(metricsbuffer.KindHistogram, "rows"), chosen.Of(metricsbuffer.KindTimer, ""),
			chosen.Of(metricsbuffer.KindTimer, "rows"), // a timer has no unit
		} {
			require.Equal(t, []uint64{1}, counts(bounds, below, above+1), "%v", bound)
		}
		require.InDelta(t, bound, chosen.Of(metricsbuffer.KindHistogram, "rows")[0].LE, 0)
		require.InDelta(t, bound/1e9, chosen.Of(metricsbuffer.KindTimer, "")[0].LE, 0)
	}
}

func TestNoBounds(t *testing.T) {
	chosen := make(prom.Bounds)
	require.NoError(t, chosen.Set(prom.Seconds, nil))
	require.Empty(t, chosen.Of(metricsbuffer.KindTimer, ""))
	require.Empty(t, chosen.Of(metricsbuffer.KindHistogram, prom.Seconds))
	require.Len(t, chosen.Of(metricsbuffer.KindHistogram, "rows"), 21)
	require.Error(t, chosen.Set(prom.Seconds, nil), "twice")

	bounds := []float64{1, 2}
	require.NoError(t, chosen.Set("rows", bounds))
	bounds[0] = 7 // the caller's
	require.InDelta(t, 1, chosen.Of(metricsbuffer.KindHistogram, "rows")[0].LE, 0)
}

// Bounds below the smallest value count zeros only, and those above the largest count everything.
func TestExtremeBounds(t *testing.T) {
	chosen := make(prom.Bounds)
	require.NoError(t, chosen.Set("", []float64{math.SmallestNonzeroFloat64, 0.5, 1, 1e19, math.MaxFloat64}))
	require.Equal(t, []uint64{1, 1, 2, 3, 3},
		counts(chosen.Of(metricsbuffer.KindHistogram, ""), 0, 1, math.MaxInt64))
	require.NoError(t, chosen.Set(prom.Seconds, []float64{1e-10, 1e-9, math.MaxFloat64}))
	require.Equal(t, []uint64{1, 2, 3}, counts(chosen.Of(metricsbuffer.KindTimer, ""), 0, 1, math.MaxInt64))
}
