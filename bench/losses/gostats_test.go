package losses

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	stats "github.com/lyft/gostats"
	"github.com/stretchr/testify/require"
)

// A gostatsSink keeps timers, and the first count that cannot be.
type gostatsSink struct {
	impossible atomic.Uint64
	timers     []float64
}

func (s *gostatsSink) FlushGauge(string, uint64) {}

func (s *gostatsSink) FlushCounter(_ string, value uint64) {
	if value > math.MaxInt64 {
		s.impossible.CompareAndSwap(0, value)
	}
}

func (s *gostatsSink) FlushTimer(_ string, value float64) { s.timers = append(s.timers, value) }

func TestGostatsConcurrentFlush(t *testing.T) {
	sink := new(gostatsSink)
	store := stats.NewStore(sink, false)
	counter := store.NewCounter("requests")
	until(t, func() bool {
		var stop atomic.Bool
		time.AfterFunc(50*time.Millisecond, func() { stop.Store(true) })
		together(8, func(i int) {
			for !stop.Load() {
				if i < 4 {
					counter.Inc()
				} else {
					store.Flush()
				}
			}
		})
		return sink.impossible.Load() != 0
	})
	t.Logf("the counter stands at %d, and a flush reported %d", counter.Value(), sink.impossible.Load())
}

func TestGostatsShortDurations(t *testing.T) {
	sink := new(gostatsSink)
	stats.NewStore(sink, false).NewMilliTimer("latency").AddDuration(999 * time.Microsecond)
	require.Equal(t, []float64{0}, sink.timers)
}
