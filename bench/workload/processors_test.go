package workload

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// The scenario of many processors uses many Ps, on a machine of few cores.
const manyPs = 64

func TestEveryGoroutineHasItsOwnP(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("this build does not know the number of a P")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(manyPs))
	ps := 0
	for try := 0; try < 5 && ps <= manyPs*3/4; try++ { // a busy machine preempts more goroutines
		var used [manyPs]atomic.Bool
		onEachP(manyPs, func(int) {
			used[owner.Pin()].Store(true)
			owner.Unpin()
		})
		ps = 0
		for i := range used {
			if used[i].Load() {
				ps++
			}
		}
	}
	require.Greater(t, ps, manyPs*3/4)
}
