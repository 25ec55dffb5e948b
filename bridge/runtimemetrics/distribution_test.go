package runtimemetrics

import (
	"math"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

func TestMove(t *testing.T) {
	buffer, recorder := newBuffer(t)
	d := distribution{timer: buffer.Timer("t")}
	h := &metrics.Float64Histogram{
		Counts:  []uint64{1, 2, 3, 0, 4},
		Buckets: []float64{math.Inf(-1), 0, 64e-9, 128e-9, 1, math.Inf(1)},
	}
	total := func() metricsbuffer.Point {
		d.move(h)
		require.NoError(t, buffer.Flush(t.Context()))
		return recorder.Total(metricsbuffer.KindTimer, "t")
	}
	const second = int64(time.Second)
	for range 2 { // the second time there is nothing to move
		p := total()
		require.Equal(t, [4]int64{10, 2*32 + 3*96 + 4*second, 0, second}, [4]int64{p.Count, p.Sum, p.Min, p.Max})
		require.EqualValues(t, 1, p.Buckets.Zeros)
	}
	h.Counts[3] += 5
	p := total()
	require.Equal(t, [2]int64{15, 2*32 + 3*96 + 5*(second/2+64) + 4*second}, [2]int64{p.Count, p.Sum})
}

// No duration is further from the middle of its bucket than the documentation says.
func TestMiddles(t *testing.T) {
	r := newReading()
	r.read()
	for _, i := range []source{latencies, pauses} {
		h := r.samples[i].Value.Float64Histogram()
		require.True(t, math.IsInf(h.Buckets[0], -1))
		for i, low := range h.Buckets[1 : len(h.Buckets)-2] {
			low, high := low*1e9, h.Buckets[i+2]*1e9
			middle := float64(middle(h.Buckets[i+1], h.Buckets[i+2]))
			if low < 256 {
				require.LessOrEqual(t, math.Max(middle-low, high-middle), 32.001, low)
			} else {
				require.LessOrEqual(t, (middle-low)/low, 0.12501, low)
				require.LessOrEqual(t, (high-middle)/high, 0.12501, low)
			}
		}
	}
}
