package runtimemetrics

import (
	"math"
	"runtime/metrics"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A distribution moves the counts of one of the runtime's histograms of seconds into a timer.
type distribution struct {
	timer   *metricsbuffer.Timer
	middles []time.Duration // of the runtime's buckets, which never change
	moved   []uint64        // how many observations of each bucket are in the timer
}

// move records the observations that are new since the last call.
func (d *distribution) move(h *metrics.Float64Histogram) {
	if d.moved == nil {
		d.moved = make([]uint64, len(h.Counts))
		d.middles = make([]time.Duration, len(h.Counts))
		for i := range d.middles {
			d.middles[i] = middle(h.Buckets[i], h.Buckets[i+1])
		}
	}
	for i, n := range h.Counts {
		if n != d.moved[i] {
			d.timer.ObserveN(d.middles[i], int64(n-d.moved[i]))
			d.moved[i] = n
		}
	}
}

// middle returns the duration that stands for all of a bucket. The first bucket has no lower bound, and is for negative
// durations. The last one has no upper bound.
func middle(low, high float64) time.Duration {
	switch {
	case math.IsInf(low, -1):
		return 0
	case math.IsInf(high, 1):
		high = low
	}
	return time.Duration(math.Round((low + high) / 2 * 1e9))
}
