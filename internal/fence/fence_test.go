package fence

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMode(t *testing.T) {
	Process()
	switch {
	case refused.Load():
		require.Equal(t, "stop-the-world", Mode())
	case runtime.GOOS == "linux":
		require.Equal(t, "membarrier", Mode())
	case runtime.GOOS == "windows":
		require.Equal(t, "FlushProcessWriteBuffers", Mode())
	}
	before := Mode()
	Refuse(true)
	require.Equal(t, "stop-the-world", Mode())
	Process()
	Refuse(false)
	require.Equal(t, before, Mode())
}

// TestStopTheWorld: no other goroutine runs at some moment of the call. It is what the fallback relies on.
func TestStopTheWorld(t *testing.T) {
	var stopped atomic.Bool
	var turns atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopped.Load() {
			turns.Add(1)
		}
	}()
	for turns.Load() == 0 {
		runtime.Gosched()
	}
	before := new(runtime.MemStats)
	runtime.ReadMemStats(before)
	var pauses [2]uint64
	pauses[0] = worldStops(t)
	stopTheWorld()
	pauses[1] = worldStops(t)
	stopped.Store(true)
	<-done
	require.Greater(t, pauses[1], pauses[0], "the runtime has not stopped the world")
}

// worldStops returns how often the runtime has stopped the world for anything but garbage collection.
func worldStops(t *testing.T) (n uint64) {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	require.Equal(t, metrics.KindFloat64Histogram, sample[0].Value.Kind())
	for _, count := range sample[0].Value.Float64Histogram().Counts {
		n += count
	}
	return n
}
