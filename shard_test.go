package metricsbuffer

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// TestEveryShardIsKept has several goroutines make the same shard at the same moment. A shard that anybody has seen
// stays: nobody would drain one that does not.
func TestEveryShardIsKept(t *testing.T) {
	const goroutines, rounds = 2, 2_000
	tables := make([]shards, rounds)
	var arrived atomic.Int64
	var seen [goroutines][rounds]*shard
	var wait sync.WaitGroup
	for g := range goroutines {
		wait.Go(func() {
			for round := range tables {
				for arrived.Add(1); arrived.Load() < int64(goroutines*(round+1)); {
					runtime.Gosched()
				}
				tables[round].makeShard(3)
				seen[g][round] = tables[round].table[3].Load()
			}
		})
	}
	wait.Wait()
	for round := range tables {
		for g := range seen {
			if seen[g][round] == nil || seen[g][round] != tables[round].table[3].Load() {
				t.Fatalf("round %d: the shard was lost", round)
			}
		}
		require.EqualValues(t, 1, tables[round].procs.Load())
	}
}

// TestShardsAreMadeOnce: nothing happens to one that is there already, and to the others.
func TestShardsAreMadeOnce(t *testing.T) {
	s := new(shards)
	s.makeShard(1)
	first := s.table[1].Load()
	s.makeShard(1)
	require.Same(t, first, s.table[1].Load())
	s.makeShard(maxShards - 1)
	found := 0
	s.each(func(*shard) { found++ })
	require.Equal(t, 2, found)
	require.EqualValues(t, 2, s.procs.Load())
}

// ways to record 1 in a series, each for the first time.
var firstUses = map[string]func(b *Buffer){
	"add":           func(b *Buffer) { b.Counter("c").Add(1) },
	"observe":       func(b *Buffer) { b.Timer("t").Observe(1) },
	"observe, zero": func(b *Buffer) { b.Timer("t").Observe(0) },
	"add, named":    func(b *Buffer) { b.IncrCounter("c", 1) },
	"observe named": func(b *Buffer) { b.IncrTimer("t", 1) },
	"commit":        func(b *Buffer) { l := b.Local(); l.Counter(b.Counter("c")).Inc(); l.Commit() },
	"commit timer":  func(b *Buffer) { l := b.Local(); l.Timer(b.Timer("t")).Observe(1); l.Commit() },
}

// TestPWithoutAShard: each way to record makes the shard of the P that it runs on.
func TestPWithoutAShard(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, record := range firstUses {
		b, err := New()
		require.NoError(t, err)
		record(b)
		require.Positive(t, b.shards.procs.Load(), name)
		recorded := b.Stats().Recorded
		require.EqualValues(t, 1, recorded.Increments+recorded.Observations, name)
	}
}

// TestPBeyondTheTable: a P whose number is too high for a shard records at the common gate.
func TestPBeyondTheTable(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("this build picks shards by chance")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(maxShards + 40))
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(context.Context, *Batch) error { return nil })))
	require.NoError(t, err)
	counter, timer := b.Counter("c"), b.Timer("t")
	var beyond, recorded atomic.Int64
	var wait sync.WaitGroup
	for range 2 * maxShards {
		wait.Go(func() {
			for range 200 {
				id := owner.Pin()
				owner.Unpin()
				if id >= maxShards {
					beyond.Add(1)
				}
				counter.Inc()
				timer.Observe(5)
				b.IncrCounter("c", 1)
				b.IncrTimer("t", 5)
				b.SetGauge("g", 1)
				recorded.Add(4)
				runtime.Gosched()
			}
		})
	}
	wait.Wait()
	got := b.Stats().Recorded
	require.Equal(t, recorded.Load(), got.Increments+got.Observations)
	require.NoError(t, b.Close())
	t.Logf("%d rounds on Ps beyond the table", beyond.Load())
}

// TestTallyThatIsFull: a bucket that has no room for another observation goes on in a new window.
func TestTallyThatIsFull(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	timer := b.Timer("t")
	for _, promoted := range []bool{false, true} {
		if promoted {
			for b.shards.promotions.Load() == 0 {
				timer.Observe(1)
			}
		}
		timer.Observe(1)
		full := int64(0)
		b.shards.eachChunk(func(*counterChunk, bool) {}, func(chunk *distributionChunk, _ bool) {
			for bank := range uint32(2) {
				if w := chunk.cell(bank, timer.slot).window.Load(); w != nil {
					tally := &w.counts[bucket.Index(1)-w.first]
					tally.Add(math.MaxUint32 - tally.Peek())
				}
			}
		})
		full = b.shards.peek().Observations
		for range 100 {
			timer.Observe(1)
		}
		require.Equal(t, full+100, b.shards.peek().Observations)
	}
}

// TestPromotion: a chunk that a P misses often becomes its own, one that it rarely misses does not.
func TestPromotion(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b, err := New(WithMaxSeries(200_000))
	require.NoError(t, err)
	hot, timer := b.Counter("hot"), b.Timer("hot")
	own := func() int { return b.Stats().OwnChunks }
	for range sampleMisses * votesNeeded / 2 {
		hot.Inc()
	}
	require.Zero(t, own(), "the first few updates of a series say nothing")
	for range 10_000 {
		hot.Inc()
		timer.Observe(1)
	}
	require.GreaterOrEqual(t, own(), 2)
	require.EqualValues(t, own(), b.Stats().Promotions)
	cold := make([]*Counter, 100_000)
	for i := range cold {
		cold[i] = b.Counter(fmt.Sprint("cold ", i))
	}
	before := own()
	for range 20 {
		for _, i := range rand.Perm(len(cold)) {
			cold[i].Inc()
		}
	}
	require.LessOrEqual(t, own(), before+seatsPerShard/4, "2,000,000 updates, evenly among 834 chunks")
}

// TestDemotion: what is idle gives its memory back, and nothing is lost when it is used again.
func TestDemotion(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var delivered Totals
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		for _, p := range batch.Points {
			delivered.count(p.Kind.storage(), p.Count)
		}
		return nil
	})))
	require.NoError(t, err)
	counters, timers := make([]*Counter, 1000), make([]*Timer, 200)
	for i := range counters {
		counters[i] = b.Counter(fmt.Sprint(i))
	}
	for i := range timers {
		timers[i] = b.Timer(fmt.Sprint(i))
	}
	use := func() {
		for range 2000 {
			counters[0].Inc()
			timers[0].Observe(time.Millisecond)
		}
		for _, c := range counters {
			c.Inc()
		}
		for i, timer := range timers {
			timer.Observe(time.Duration(1) << (i % 60))
		}
	}
	empty := b.Stats().Bytes
	for round := range int64(3) {
		use()
		require.NoError(t, b.Flush(t.Context()))
		use()
		require.NoError(t, b.Flush(t.Context()))
		peak := b.Stats()
		require.Positive(t, peak.OwnChunks)
		require.Greater(t, peak.CommonChunks, 50)
		for range 100 {
			require.NoError(t, b.Flush(t.Context()))
		}
		idle := b.Stats()
		require.Zero(t, idle.OwnChunks)
		require.Zero(t, idle.CommonChunks)
		require.LessOrEqual(t, idle.Bytes-empty, (peak.Bytes-empty)/5)
		require.GreaterOrEqual(t, idle.Demotions, int64(peak.OwnChunks+peak.CommonChunks))
		require.Equal(t, Totals{2 * (round + 1) * 3000, 2 * (round + 1) * 2200}, delivered)
	}
	require.NoError(t, b.Close())
}

// TestDroppedChunkIsDrainedOnceMore: a writer that found a chunk before it was taken away may still write to it.
func TestDroppedChunkIsDrainedOnceMore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b, err := New()
	require.NoError(t, err)
	o := &outlet{name: "none"}
	f := newFlusher(b.shards, b.registry, &config{sinks: []*outlet{o}})
	counter := b.Counter("c")
	for b.shards.promotions.Load() == 0 {
		counter.Inc()
	}
	var own, common *counterChunk
	b.shards.eachChunk(func(c *counterChunk, isOwn bool) {
		if isOwn {
			own = c
		} else {
			common = c
		}
	}, func(*distributionChunk, bool) {})
	for bank := range uint32(2) {
		own.word(bank, counter.slot).Add(1)
		common.word(bank, counter.slot).Add(1)
	}
	f.collect()
	f.collect()
	recorded := f.recorded.Increments
	for range idleLimit {
		f.collect()
	}
	require.Equal(t, 2, len(f.dropped.counters))
	own.word(0, counter.slot).Add(5)
	own.word(1, counter.slot).Add(7)
	common.word(0, counter.slot).Add(11)
	counter.Add(1000) // in a new chunk of the same number
	f.collect()
	require.EqualValues(t, recorded+1023, f.recorded.Increments)
	require.Empty(t, f.dropped.counters)
}
