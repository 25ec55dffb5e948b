package metricsbuffer

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// heapBytes returns what is live on the heap.
func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied at the second
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// touchEverywhere has f called on the P of every shard, before and after a flush, so that both banks have seen it.
func touchEverywhere(t *testing.T, b *Buffer, f func()) {
	for range 2 {
		var wait sync.WaitGroup
		for range 4 * runtime.GOMAXPROCS(0) {
			wait.Go(func() {
				f()
				runtime.Gosched()
				f()
			})
		}
		wait.Wait()
		require.NoError(t, b.Flush(t.Context()))
	}
}

func TestMemoryPerSeries(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the promise is about the build with owner-only words, in which this takes less than a second")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n = 100_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("series.%09d", i) // 16 bytes, which is what the copy of it takes
	}
	acknowledge := SinkFunc(func(context.Context, *Batch) error { return nil })
	before := heapBytes()
	b, err := New(WithInterval(0), WithSink(acknowledge))
	require.NoError(t, err)
	for _, name := range names { // by one: those that lose the race for a name take a slot, for a while
		b.IncrCounter(name, 1)
	}
	touchEverywhere(t, b, func() {
		for _, name := range names {
			b.IncrCounter(name, 1)
		}
	})
	perSeries := float64(heapBytes()-before)/n - 16
	shards := int(b.shards.procs.Load())
	t.Logf("%.1f bytes per counter without tags, %d shards, one sink, names not counted", perSeries, shards)
	require.NoError(t, b.Close())
	require.Equal(t, 2, shards)
	require.LessOrEqual(t, perSeries, 100.0)
	runtime.KeepAlive(names)
}

// TestMemoryPerTimer is about a timer whose values span three decades, and one that was never used.
func TestMemoryPerTimer(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the promise is about the build with owner-only words, in which this takes less than a second")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n = 2000
	b, err := New(WithInterval(0))
	require.NoError(t, err)
	timers := make([]*Timer, 2*n)
	for i := range timers {
		timers[i] = b.Timer(fmt.Sprint(i))
	}
	f := newFlusher(b.shards, b.registry, &config{})
	before := b.shards.bytes() // nothing of this depends on the other allocations of the test binary
	for range 2 {
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for _, timer := range timers[:n] {
					for d := time.Microsecond; d <= time.Millisecond; d += d / 20 {
						timer.Observe(d)
					}
				}
			})
		}
		wait.Wait()
		f.collect()
	}
	perTimer := float64(b.shards.bytes()-before) / n
	t.Logf("%.0f bytes per timer, with two Ps", perTimer)
	require.LessOrEqual(t, perTimer, 2048.0)
	require.Nil(t, b.shards.common.distributions.at(timers[2*n-1].slot/distributionsPerChunk), "untouched ones cost nothing")
}
