package metricsbuffer

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
)

// TestGrowKeepsEveryShard has several goroutines grow the table at the same moment. A shard that anybody has seen in it
// stays: what was recorded in one that does not would never be drained.
func TestGrowKeepsEveryShard(t *testing.T) {
	const goroutines, rounds = 2, 10_000
	tables := make([]shards, rounds)
	for i := range tables {
		tables[i].table.Store(new([]*shard))
	}
	var arrived atomic.Int64
	var seen [goroutines][rounds]*shard
	var wait sync.WaitGroup
	for g := range goroutines {
		wait.Go(func() {
			for round := range tables {
				for arrived.Add(1); arrived.Load() < int64(goroutines*(round+1)); {
					runtime.Gosched()
				}
				tables[round].grow(g)
				seen[g][round] = (*tables[round].table.Load())[g]
			}
		})
	}
	wait.Wait()
	for round := range tables {
		for g, shard := range *tables[round].table.Load() {
			if seen[g][round] != shard {
				t.Fatalf("round %d: the shard of P %d was lost", round, g)
			}
		}
	}
}

// TestGrowOnlyGrows: what is there already is not touched, and there is not one shard more than was asked for.
func TestGrowOnlyGrows(t *testing.T) {
	s := newShards()
	require.Len(t, *s.table.Load(), runtime.GOMAXPROCS(0))
	before := s.table.Load()
	s.grow(len(*before) - 1)
	require.Same(t, before, s.table.Load())
	s.grow(len(*before))
	after := *s.table.Load()
	require.Len(t, after, len(*before)+1)
	require.Equal(t, *before, after[:len(*before)])
	require.NotNil(t, after[len(*before)].bank.Load())
}

// TestPWithoutAShard: each way to record makes the shard of a P that the table ends just before.
func TestPWithoutAShard(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, record := range map[string]func(b *Buffer){
		"add":           func(b *Buffer) { b.shards.add(0, 1) },
		"observe":       func(b *Buffer) { b.shards.observe(0, 1) },
		"observe, zero": func(b *Buffer) { b.shards.observe(0, 0) },
		"add, named":    func(b *Buffer) { b.IncrCounter("c", 1) },
		"observe named": func(b *Buffer) { b.IncrTimer("t", 1) },
	} {
		b, err := New()
		require.NoError(t, err)
		b.shards.table.Store(new([]*shard))
		record(b)
		require.NotEmpty(t, *b.shards.table.Load(), name)
		recorded := b.Stats().Recorded
		require.EqualValues(t, 1, recorded.Increments+recorded.Observations, name)
	}
}

// TestTallyThatIsFull: a bucket that has no room for another observation goes on in a new window.
func TestTallyThatIsFull(t *testing.T) {
	s := newShards()
	s.observe(0, 1)
	full := int64(0)
	for _, shard := range *s.table.Load() {
		shard.bank.Load().distributions.each(func(_ uint32, chunk *distributionChunk) {
			if w := chunk[0].window.Load(); w != nil { // in the twin, a writer may leave a shard before it has one
				tally := &w.counts[bucket.Index(1)-w.first]
				tally.Add(math.MaxUint32 - tally.Peek())
				full += math.MaxUint32
			}
		})
	}
	require.Equal(t, full, s.peek().Observations)
	for range 100 {
		s.observe(0, 1)
	}
	require.Equal(t, full+100, s.peek().Observations)
}
