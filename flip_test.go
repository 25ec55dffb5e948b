package metricsbuffer

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/fence"
)

// TestFlipAwaitsWriters: a collection has the updates of writers that were inside a gate when it began.
func TestFlipAwaitsWriters(t *testing.T) {
	for name, enter := range map[string]func(*shards) section{
		"of a shard": (*shards).enter, "of the common gate": (*shards).enterUnpinned,
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
			b, slot := flippable(t)
			var inside atomic.Bool
			go func() {
				in := enter(b.shards)
				inside.Store(true)
				for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); { // pinned, it cannot sleep
				}
				word, _ := b.shards.word(in, slot)
				word.AddShared(1)
				b.shards.leave(in)
			}()
			for !inside.Load() {
				runtime.Gosched()
			}
			require.EqualValues(t, 2, b.Stats().Recorded.Increments, "the flusher has not waited")
		})
	}
}

// TestFlipComesBeforeTheFence: the flusher flips, and then calls the fence. A fence that stops the world cannot end while
// a writer is pinned, so the writer sees the flip only if that comes first.
func TestFlipComesBeforeTheFence(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	fence.Refuse(true)
	defer fence.Refuse(false)
	b, _ := flippable(t)
	var inside, flipped, left atomic.Bool
	go func() {
		in := b.shards.enter()
		inside.Store(true)
		for end := time.Now().Add(time.Second); !flipped.Load() && time.Now().Before(end); {
			active := in.shard.gate.Enter() // it writes nothing, so it may enter and leave as it likes
			in.shard.gate.Leave(active)
			flipped.Store(active != in.bank)
		}
		b.shards.leave(in)
		left.Store(true)
	}()
	for !inside.Load() {
		runtime.Gosched()
	}
	before := worldStops(t)
	b.Stats()
	require.Greater(t, worldStops(t), before, "there was no fence")
	for !left.Load() {
		runtime.Gosched()
	}
	require.True(t, flipped.Load(), "the fence came before the flip")
}

// flippable returns a buffer with a counter that has a chunk and was increased by one.
func flippable(t *testing.T) (b *Buffer, slot uint32) {
	t.Helper()
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(context.Context, *Batch) error { return nil })))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	counter := b.Counter("counter")
	counter.Inc()
	b.Stats()
	return b, counter.slot
}

// worldStops returns how often the runtime has stopped the world for anything but garbage collection.
func worldStops(t *testing.T) (n uint64) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	require.Equal(t, metrics.KindFloat64Histogram, sample[0].Value.Kind())
	for _, count := range sample[0].Value.Float64Histogram().Counts {
		n += count
	}
	return n
}
