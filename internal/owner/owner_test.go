package owner

import (
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPinIsInRange(t *testing.T) {
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10_000 {
				id := Pin()
				Unpin()
				if id < 0 || id >= runtime.GOMAXPROCS(0) {
					t.Errorf("pinned to %d of %d", id, runtime.GOMAXPROCS(0))
				}
			}
		})
	}
	wait.Wait()
}

func TestPinnedIsNotPreempted(t *testing.T) {
	if !Exclusive {
		t.Skip("nothing is pinned in this build")
	}
	var inside [64]int // one per P: no goroutine may meet another there
	var wait sync.WaitGroup
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for range 16 {
		wait.Go(func() {
			for range 2000 {
				id := Pin()
				inside[id]++
				met := inside[id] != 1
				for range 200 { // long enough to be pre-empted in, if that were possible
					inside[id]++
				}
				inside[id] -= 201
				Unpin()
				if met {
					t.Error("two goroutines were pinned to one P")
				}
			}
		})
	}
	wait.Wait()
}

func TestWord(t *testing.T) {
	var w Word
	w.Add(math.MaxInt64)
	w.Add(1)
	require.Equal(t, int64(math.MinInt64), w.Peek(), "sums wrap around")
	w.Raise(3)
	w.Raise(-1)
	require.EqualValues(t, 3, w.Peek())
	w.Reset()
	require.Zero(t, w.Peek())
}

func TestTally(t *testing.T) {
	var tally Tally
	tally.Inc()
	tally.Add(limit - 2)
	require.False(t, tally.Full())
	tally.Inc()
	require.True(t, tally.Full())
	require.Equal(t, uint32(limit), tally.Peek())
}
