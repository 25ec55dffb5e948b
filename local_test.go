package metricsbuffer

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLocal(t *testing.T) {
	sink := &auditor{t: t, got: make(amounts), always: 2}
	b, err := New(WithSink(sink), WithInterval(0))
	require.NoError(t, err)
	l := b.Local()
	c, timer, histogram := b.Counter("c"), b.Timer("t"), b.Histogram("h", "bytes")
	for range 100 {
		l.Counter(c).Inc()
		l.Counter(b.Counter("c2")).Add(3)
		l.Timer(timer).Observe(2)
		l.Histogram(histogram).Observe(2)
	}
	local := l.Counter(c)
	l.Counter(b.Counter("c2"))
	require.Same(t, local, l.Counter(c))
	require.NoError(t, b.Flush(t.Context()))
	require.Empty(t, sink.got, "nothing before Commit")
	l.Commit()
	l.Commit() // has nothing to do
	require.NoError(t, b.Flush(t.Context()))
	want := amounts{
		key(KindCounter, "c"): 100, key(KindCounter, "c2"): 300,
		key(KindTimer, "t"): 100, key(KindHistogram, "h"): 100,
	}
	require.Equal(t, want, sink.got)
	l.Counter(c).Inc()
	l.Commit()
	require.NoError(t, b.Close())
	want[key(KindCounter, "c")]++
	require.Equal(t, want, sink.got)
}

func TestLocalDistribution(t *testing.T) {
	var got []Point
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		for _, p := range batch.Points {
			p.Buckets = p.Buckets.Clone()
			got = append(got, p)
		}
		return nil
	})))
	require.NoError(t, err)
	l, direct := b.Local(), b.Histogram("direct", "")
	local := l.Histogram(b.Histogram("local", ""))
	for _, v := range []int64{0, -5, 1, 2, 3, 1000, 1_000_000_000, math.MaxInt64 / 2} {
		direct.Observe(v)
		local.Observe(v)
	}
	l.Commit()
	l.Timer(b.Timer("zero")).Observe(0)
	l.Commit()
	require.NoError(t, b.Close())
	require.Len(t, got, 3)
	buckets := func(p Point) (all []Bucket) {
		for bucket := range p.Buckets.All() {
			all = append(all, bucket)
		}
		return all
	}
	require.Equal(t, buckets(got[0]), buckets(got[1]))
	words := func(p Point) [4]int64 { return [4]int64{p.Count, p.Sum, p.Min, p.Max} }
	require.Equal(t, words(got[0]), words(got[1]))
	require.Equal(t, [4]int64{8, got[0].Sum, 0, math.MaxInt64 / 2}, words(got[1]))
	require.Equal(t, [4]int64{1, 0, 0, 0}, words(got[2]))
	require.EqualValues(t, 2, b.Stats().Negatives)
}

func TestLocalOfNil(t *testing.T) {
	var b *Buffer
	l := b.Local()
	l.Counter(b.Counter("c")).Inc()
	l.Timer(b.Timer("t")).Observe(1)
	l.Histogram(b.Histogram("h", "")).Observe(1)
	l.Commit()
	b, err := New()
	require.NoError(t, err)
	l = b.Local()
	l.Counter(nil).Inc()
	l.Timer(nil).Observe(1)
	l.Histogram(nil).Observe(1)
	l.Commit()
	other, err := New()
	require.NoError(t, err)
	require.Panics(t, func() { l.Counter(other.Counter("c")) })
	require.Panics(t, func() { l.Timer(other.Timer("c")) })
}

// TestLocalThatIsDropped: what was not committed is committed when it cannot be any more.
func TestLocalThatIsDropped(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	func() {
		l := b.Local()
		l.Counter(b.Counter("c")).Add(5)
		l.Timer(b.Timer("t")).Observe(time.Second)
		l.Histogram(b.Histogram("h", "")).Observe(0)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return b.Stats().Recorded == Totals{Increments: 5, Observations: 2}
	}, 10*time.Second, time.Millisecond)
}

// TestStressLocal: what is committed together arrives in one batch together. Every commit has as much of each counter
// as of the others, so every batch has.
func TestStressLocal(t *testing.T) {
	const parts = 200 // more than a chunk
	var delivered int64
	b, err := New(WithInterval(time.Millisecond), WithIdleExpiry(time.Millisecond),
		WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
			first := batch.Points[0].Count
			delivered += first
			for _, p := range batch.Points {
				if p.Count != first {
					t.Errorf("%s has %d, %s has %d", p.Name, p.Count, batch.Points[0].Name, first)
				}
			}
			if len(batch.Points) != parts+1 {
				t.Errorf("%d series arrived without the others", len(batch.Points))
			}
			return nil
		})))
	require.NoError(t, err)
	const writers = 8
	done := make(chan int64)
	end := time.Now().Add(stressTime(t) / 2)
	for range writers {
		go func() {
			l, n := b.Local(), int64(0)
			for time.Now().Before(end) {
				for i := range parts {
					l.Counter(b.Counter(fmt.Sprint("c", i))).Inc()
				}
				l.Timer(b.Timer("t")).Observe(time.Duration(n%5_000_000 + 1))
				n++
				l.Commit()
			}
			done <- n
		}()
	}
	committed := int64(0)
	for range writers {
		committed += <-done
	}
	require.NoError(t, b.Close())
	require.Equal(t, committed, delivered)
	t.Logf("%d commits", committed)
}

// TestCommitOfManyTimers: the first commit of many timers takes time in proportion to their number, and is not pinned.
func TestCommitOfManyTimers(t *testing.T) {
	if testing.Short() {
		t.Skip("commits 16,000 timers")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	sections := func(n int) (allocs uint64) {
		b, err := New()
		require.NoError(t, err)
		l := b.Local()
		for i := range n {
			l.Timer(b.Timer(fmt.Sprint(i))).Observe(time.Duration(i + 1))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		l.Commit()
		runtime.ReadMemStats(&after)
		require.Equal(t, Totals{Observations: int64(n)}, b.Stats().Recorded)
		return after.Mallocs - before.Mallocs
	}
	few, many := sections(500), sections(16_000)
	t.Logf("%d allocations for 500 timers, %d for 16,000", few, many)
	require.LessOrEqual(t, many, few*40, "32 times as many timers")
}

// TestLongCommitIsNotPinned: the world can be stopped while a commit of many instruments is under way.
func TestLongCommitIsNotPinned(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	in := b.shards.enterUnpinned()
	require.Nil(t, in.shard)
	runtime.GC() // would wait for ever for a goroutine that is pinned
	b.shards.leave(in)
	l := b.Local()
	for i := range maxPinned + 1 {
		l.Counter(b.Counter(fmt.Sprint(i))).Inc()
	}
	l.Commit()
	require.Zero(t, b.shards.procs.Load(), "it went to the common gate")
	require.EqualValues(t, maxPinned+1, b.Stats().Recorded.Increments)
}
