package point

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []int64
		median int64
	}{
		{[]int64{1, 2, 2, 2, 3}, 2},
		{[]int64{1, 4, 4, 4, 30}, 4},
		{[]int64{0, 0, 1}, 0},
		{[]int64{math.MaxInt64, math.MaxInt64}, math.MaxInt64},
		{[]int64{math.MaxInt64 - 1}, math.MaxInt64 - 1},
	} {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder))
		require.NoError(t, err)
		for _, v := range c.values {
			b.ObserveHistogram("sizes", "", v)
		}
		require.NoError(t, b.Close())
		p, err := recorder.FindHistogram("sizes", "")
		require.NoError(t, err)
		median, ok := Quantile(&p, 0.5)
		require.True(t, ok)
		require.Equal(t, c.median, median, "%v", c.values)
	}
	_, ok := Quantile(&metricsbuffer.Point{Kind: metricsbuffer.KindTimer}, 0.5)
	require.False(t, ok)
}
