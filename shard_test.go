package metricsbuffer

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// TestEveryShardIsKept has several goroutines make the same shard at the same moment. A shard that one of them has seen
// must stay in the table, because the flusher drains only the shards in the table.
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

// TestShardsAreMadeOnce: makeShard changes neither a shard that exists already nor another shard.
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

// firstUses are the ways to record 1 in a series for the first time.
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

// TestTallyThatIsFull: a bucket that has no room for another observation continues in a new window.
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
		b.shards.eachChunk(func(*counterChunk, bool) {}, func(chunk *distributionChunk, _ bool) {
			for bank := range uint32(2) {
				if w := chunk.cell(bank, timer.slot).window.Load(); w != nil {
					tally := &w.counts[bucket.Index(1)-w.first]
					tally.Add(math.MaxUint32 - tally.Peek())
				}
			}
		})
		full := b.shards.peek().Observations
		for range 100 {
			timer.Observe(1)
		}
		require.Equal(t, full+100, b.shards.peek().Observations)
	}
}

// TestEveryCounterOfAChunkCounts: no word of a chunk is overlooked, and none holds anything else.
func TestEveryCounterOfAChunkCounts(t *testing.T) {
	chunk := newCounterChunk(7)
	for bank := range uint32(2) {
		require.True(t, chunk.isEmpty(bank))
		for slot := firstUsable(sums, 0); slot < 2*countersPerChunk; slot = firstUsable(sums, slot+1) {
			word := chunk.word(bank, slot)
			word.Add(1)
			require.False(t, chunk.isEmpty(bank), "slot %d", slot)
			require.True(t, chunk.isEmpty(1-bank), "slot %d", slot)
			require.EqualValues(t, 1, chunk.total())
			word.Add(-1)
		}
	}
	require.EqualValues(t, 7, chunk.number())
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

// TestDemotion: idle chunks give their memory back, and no update is lost when their series are used again.
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

// TestIdleCellGivesItsWindowBack: a timer that is no longer used gives its counts back, although others of its chunk
// are used. It is counted in again afterwards.
func TestIdleCellGivesItsWindowBack(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	f := newFlusher(b.shards, b.registry, &config{})
	used, unused := b.Timer("0"), b.Timer("1")
	for i := 2; used.slot/distributionsPerChunk != unused.slot/distributionsPerChunk; i++ {
		used, unused = unused, b.Timer(fmt.Sprint(i))
	}
	windows := func(timer *Timer) (n int) {
		b.shards.eachChunk(func(*counterChunk, bool) {}, func(chunk *distributionChunk, _ bool) {
			for bank := range uint32(2) {
				if chunk.cell(bank, timer.slot).window.Load() != nil {
					n++
				}
			}
		})
		return n
	}
	collect := func(timers ...*Timer) {
		for _, timer := range timers {
			timer.Observe(time.Millisecond)
		}
		f.collect()
	}
	collect(used, unused)
	collect(used, unused)
	require.Equal(t, 2, windows(unused))
	for range idleLimit + 2 {
		collect(used)
	}
	require.Zero(t, windows(unused))
	require.Equal(t, 2, windows(used))
	collect(used, unused)
	require.Equal(t, Totals{Observations: 4 + idleLimit + 2 + 2}, f.recorded)
}

// recordAfterTheEnd records 1 and 5 in the counter, and two observations in the timer. The 5 and the second observation
// are in chunks that the last collection has taken away.
func recordAfterTheEnd(t *testing.T, b *Buffer, counter *Counter, timer *Timer) {
	t.Helper()
	counter.Inc()
	timer.Observe(1)
	in := b.shards.enter()
	word, _ := b.shards.word(in, counter.slot)
	cell, _ := b.shards.cell(in, timer.slot)
	b.shards.leave(in)
	for range idleLimit { // the first finds an update
		require.NoError(t, b.Flush(t.Context()))
	}
	require.NoError(t, b.Close())
	require.Zero(t, b.Stats().CommonChunks, "the last collection has taken it away")
	word.AddShared(5) // as a writer does that found the chunk before
	cell.zeroShared()
	require.Equal(t, Totals{Increments: 6, Observations: 2}, b.Stats().Recorded)
}

// TestDroppedChunkAtTheEnd: an update in a chunk that the last collection has taken away is counted as dropped.
func TestDroppedChunkAtTheEnd(t *testing.T) {
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(context.Context, *Batch) error { return nil })))
	require.NoError(t, err)
	recordAfterTheEnd(t, b, b.Counter("c"), b.Timer("t"))
	require.Equal(t, Totals{Increments: 5, Observations: 1}, b.Stats().Sinks[0].Dropped)
}

// TestOverflowedAtTheEnd: such an update of an overflow series counts as overflowed, too.
func TestOverflowedAtTheEnd(t *testing.T) {
	acknowledge := SinkFunc(func(context.Context, *Batch) error { return nil })
	b, err := New(WithInterval(0), WithMaxSeries(1), WithSink(acknowledge))
	require.NoError(t, err)
	b.Counter("first")
	recordAfterTheEnd(t, b, b.Counter("c"), b.Timer("t"))
	require.Equal(t, b.Stats().Recorded, b.Stats().Overflowed)
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
	require.Len(t, f.dropped.counters, 2)
	active := b.shards.common.gate.Active()
	own.word(active, counter.slot).Add(5)
	common.word(active, counter.slot).Add(11)
	counter.Add(1000) // in a new chunk of the same number
	f.collect()
	require.Equal(t, recorded+1016, f.recorded.Increments)
	require.Empty(t, f.dropped.counters)
}

// TestLayout: the own words of two Ps are never within 128 bytes, the pair of cache lines that processors fetch
// together. A gate and a word never agree in the low 12 bits of their addresses: see internal/owner. So gates have the
// first 64 bytes of each KiB, and words have the rest of it.
func TestLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are chosen for 64 bits")
	}
	require.EqualValues(t, 64, unsafe.Sizeof(distributionCell{}))
	require.EqualValues(t, 2048, unsafe.Sizeof(counterChunk{}))
	require.EqualValues(t, 512, unsafe.Sizeof(distributionChunk{}))
	require.EqualValues(t, 128, 8+unsafe.Offsetof(shard{}.counters))
	const reserved = 64
	var kept []any
	word := func(p unsafe.Pointer, size uintptr) {
		offset := uintptr(p) % 1024
		require.GreaterOrEqual(t, offset, uintptr(reserved))
		require.LessOrEqual(t, offset+size, uintptr(1024))
	}
	for i := range 1000 {
		s, c, d := new(shard), newCounterChunk(1), newDistributionChunk(1)
		own, common := widen(nil, i, 2*ownStep, ownStep), widen(nil, i, 3*commonStep, commonStep)
		kept = append(kept, s, c, d, own, common)
		gate := uintptr(unsafe.Pointer(&s.gate)) % 1024
		require.GreaterOrEqual(t, gate, uintptr(16), "Pin loads the number of the P, 8 bytes behind the begin of a page")
		require.LessOrEqual(t, gate+unsafe.Sizeof(s.gate)+unsafe.Sizeof(s.misses), uintptr(reserved))
		require.Zero(t, uintptr(unsafe.Pointer(c))%128)
		for bank := range uint32(2) {
			for slot := firstUsable(sums, 0); slot < 2*countersPerChunk; slot = firstUsable(sums, slot+1) {
				word(unsafe.Pointer(c.word(bank, slot)), 8)
			}
			word(unsafe.Pointer(&c[numberWord]), 8)
			for slot := firstUsable(distributed, 0); slot < 2*distributionsPerChunk; slot = firstUsable(distributed, slot+1) {
				word(unsafe.Pointer(d.cell(bank, slot)), 64)
			}
		}
		require.Zero(t, uintptr(unsafe.Pointer(&own.counts[0]))%64)
		for _, w := range []*window{own, common} {
			word(unsafe.Pointer(&w.counts[0]), uintptr(len(w.counts))*4)
		}
	}
	runtime.KeepAlive(kept)
}

// TestWindowsOfABurst: the windows that a bank collects until it is drained take at most four times the memory of the
// widest, however the values come.
func TestWindowsOfABurst(t *testing.T) {
	rising := make([]int, 63)
	for i := range rising {
		rising[i] = bucket.Index(1 << i)
	}
	falling := slices.Clone(rising)
	slices.Reverse(falling)
	outwards := make([]int, 0, 63)
	for i := range 31 {
		outwards = append(outwards, rising[31-i], rising[31+i])
	}
	for name, indexes := range map[string][]int{
		"rising": rising, "falling": falling, "outwards": append(outwards, rising[0], rising[62]),
	} {
		for _, step := range []int{ownStep, commonStep} {
			var w *window
			for _, index := range indexes {
				if w == nil || index < w.first || index >= w.first+len(w.counts) {
					w = widen(w, index, 1, step)
				}
				require.GreaterOrEqual(t, index, w.first)
				require.Less(t, index, w.first+len(w.counts))
			}
			require.Equal(t, bucket.Lowest&^(step-1), w.first)
			require.Zero(t, len(w.counts)%step)
			require.LessOrEqual(t, w.first+len(w.counts), bucket.Highest+step)
			all := 0
			for older := w; older != nil; older = older.older {
				all += len(older.counts)
			}
			require.LessOrEqual(t, all, 4*len(w.counts), "%s, in steps of %d", name, step)
		}
	}
}

// TestRecordOfZeros: an observation that is in no bucket needs no window.
func TestRecordOfZeros(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	timer := b.Timer("timer")
	Record(timer.Took(0), timer.Took(-1))
	chunk := b.shards.common.distributions.at(timer.slot / distributionsPerChunk)
	for bank := range uint32(2) {
		if chunk.cell(bank, timer.slot).window.Load() != nil {
			t.Error("there is a window in bank ", bank)
		}
	}
}

// TestInlining: functions of hot paths are compiled into their callers, down to one call.
func TestInlining(t *testing.T) {
	path, err := exec.LookPath("go")
	if err != nil || testing.Short() || !owner.Exclusive {
		t.Skip("builds the package once more, with the go command, as most users do")
	}
	out, err := exec.Command(path, "build", "-gcflags=-m", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, function := range []string{
		"(*Counter).Inc", "(*Counter).Add", "(*Timer).Observe", "(*Histogram).Observe", "(*Gauge).Set", "(*Gauge).Add",
		"(*Timer).Start", "(*Buffer).IncrCounter", "(*Buffer).IncrTimer", "(*Buffer).SetGauge",
		"(*Local).Counter", "(*LocalCounter).Inc", "(*LocalCounter).Add",
		"Record", "(*Counter).Delta", "(*Timer).Took", "(*Histogram).Size", "(*Gauge).Level",
		"(*distributionCell).count", "(*distributionCell).tally", "(*distributionCell).add",
	} {
		require.Contains(t, string(out), "can inline "+function+"\n")
	}
}

// TestGaugeIsMarkedAfterItsValue has one goroutine change a gauge while another takes it, as the flusher does. A value
// that was set before the flusher looks is delivered by it, or was delivered before.
func TestGaugeIsMarkedAfterItsValue(t *testing.T) {
	changes := 200_000
	if owner.Exclusive {
		changes *= 25
	}
	for name, change := range map[string]func(c *gaugeCell, v float64){
		"set": func(c *gaugeCell, v float64) { c.set(v) },
		"add": func(c *gaugeCell, _ float64) { c.add(1) },
	} {
		t.Run(name, func(t *testing.T) {
			var cell gaugeCell
			var changed atomic.Int64
			go func() {
				for n := int64(1); n <= int64(changes); n++ {
					change(&cell, float64(n))
					changed.Store(n)
					for range 50 { // long enough for the other goroutine to look twice
						changed.Load()
					}
				}
			}()
			missed, delivered := 0, int64(0)
			for n := int64(0); n < int64(changes); {
				n = changed.Load()
				if cell.take(0) {
					delivered = int64(cell.value())
				}
				if delivered < n {
					missed++
				}
			}
			require.Zero(t, missed, "values that were set and not delivered")
		})
	}
}

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

// TestObserveN: many observations at once are the same as one by one, also where the P has its own chunk, in several
// batches, and beyond what one section takes.
func TestObserveN(t *testing.T) {
	var got []Point
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		got = slices.Clone(batch.Points)
		for i := range got {
			got[i].Buckets = got[i].Buckets.Clone()
		}
		return nil
	})))
	require.NoError(t, err)
	timer, direct, histogram := b.Timer("t"), b.Timer("direct"), b.Histogram("h", "")
	words := func(p Point) [4]int64 { return [4]int64{p.Count, p.Sum, p.Min, p.Max} }
	for range 3 {
		for range 200 { // more than it takes to be promoted
			timer.Observe(7)
			direct.Observe(7)
			histogram.Observe(7)
		}
		for _, v := range []int64{1000, 0, 1, -5, 3, 1_000_000_000, 1} {
			for _, n := range []int64{1, 0, 7, -1} {
				timer.ObserveN(time.Duration(v), n)
				histogram.ObserveN(v, n)
				for range n {
					direct.Observe(time.Duration(v))
				}
			}
		}
		require.NoError(t, b.Flush(t.Context()))
		require.Len(t, got, 3)
		for i := range 2 {
			require.Equal(t, words(got[1]), words(got[i*2]))
			require.Equal(t, slices.Collect(got[1].Buckets.All()), slices.Collect(got[i*2].Buckets.All()))
		}
	}
	require.EqualValues(t, 3*3*8, b.Stats().Negatives)

	for v := range int64(2) {
		const n = 5000*maxLocal + 3 // more than a tally holds
		histogram.ObserveN(v, n)
		require.NoError(t, b.Flush(t.Context()))
		require.Len(t, got, 1)
		require.Equal(t, [4]int64{n, n * v, v, v}, words(got[0]))
		require.Equal(t, []Bucket{{Lower: bucket.Upper(-2) * float64(v), Upper: float64(v), Count: n}},
			slices.Collect(got[0].Buckets.All()))
	}
	require.NoError(t, b.Close())
	b.Histogram("new", "").ObserveN(0, 5)
	b.Timer("new").ObserveN(9, 5)
	require.EqualValues(t, 10, b.Stats().Sinks[0].Dropped.Observations)
	(*Timer)(nil).ObserveN(1, 1)
	(*Histogram)(nil).ObserveN(1, 1)
	new(Timer).ObserveN(1, 1)
	new(Histogram).ObserveN(1, 1)
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

// TestLocalThatIsDropped: updates of a Local that was dropped are committed when the garbage collector finds them.
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

// TestStressLocal: updates that are committed together arrive in one batch. Every commit adds the same number to each
// counter, so every batch must have the same number for each.
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

// TestStressCommit: a commit is one section. This one takes so little time that flips often fall between two, if there
// are two.
func TestStressCommit(t *testing.T) {
	var delivered int64
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		if len(batch.Points) != 2 || batch.Points[0].Count != batch.Points[1].Count {
			t.Errorf("not together: %v", batch.Points)
		}
		delivered += batch.Points[0].Count
		return nil
	})))
	require.NoError(t, err)
	counter, timer := b.Counter("c"), b.Timer("t")
	var stopped atomic.Bool
	done := make(chan int64)
	go func() {
		l, n := b.Local(), int64(0)
		for ; !stopped.Load(); n++ {
			l.Counter(counter).Inc()
			l.Timer(timer).Observe(1)
			l.Commit()
			if n%100 == 0 {
				runtime.Gosched() // for the flusher
			}
		}
		done <- n
	}()
	for end := time.Now().Add(stressTime(t) / 2); time.Now().Before(end) && !t.Failed(); {
		require.NoError(t, b.Flush(t.Context()))
	}
	stopped.Store(true)
	committed := <-done
	require.NoError(t, b.Close())
	require.Equal(t, committed, delivered)
	t.Logf("%d commits, %d flips", committed, b.flusher.flips)
}

// TestCommitOfManyTimers: the first commit of many timers allocates in proportion to their number.
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
	runtime.GC() // it would wait for ever for a goroutine that is pinned
	b.shards.leave(in)
	l := b.Local()
	for i := range maxPinned + 1 {
		l.Counter(b.Counter(fmt.Sprint(i))).Inc()
	}
	l.Commit()
	require.Zero(t, b.shards.procs.Load(), "it went to the common gate")
	require.EqualValues(t, maxPinned+1, b.Stats().Recorded.Increments)
}

// TestLongRecordIsNotPinned: nor is a long Record.
func TestLongRecordIsNotPinned(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	updates := make([]Update, maxPinned+1)
	for i := range updates {
		updates[i] = b.Counter(fmt.Sprint(i)).Delta(1)
	}
	Record(updates...)
	require.Zero(t, b.shards.procs.Load(), "it went to the common gate")
	require.EqualValues(t, maxPinned+1, b.Stats().Recorded.Increments)
}

// TestNothingIsLookedUpWhilePinned: the time of a lookup depends on the lengths of a name and of tags, so that it comes
// before a goroutine is pinned. Memory is allocated before that, too.
func TestNothingIsLookedUpWhilePinned(t *testing.T) {
	pinned := regexp.MustCompile(`(?s)owner\.Pin\(\).*?owner\.Unpin\(\)`)
	slow := regexp.MustCompile(`atomicmap\.|\.(Find|Hint|hold|find|family)\(|Hash|\b(new|make|append|widen)\(`)
	sections := 0
	for _, file := range []string{"buffer.go", "record.go", "shard.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, section := range pinned.FindAllString(string(source), -1) {
			require.NotRegexp(t, slow, section)
			sections++
		}
	}
	require.Equal(t, 6, sections)
}

// TestRoomIsMadeAtOnce: a commit or a Record of many new timers finds out once that there is no room for them, and not
// once for each. The first attempt finds no chunks, the second no windows.
func TestRoomIsMadeAtOnce(t *testing.T) {
	for _, n := range []int{maxPinned / 2, 4 * maxPinned} { // pinned, and not
		b, err := New()
		require.NoError(t, err)
		l := b.Local()
		var updates []Update
		for i := range n {
			l.Timer(b.Timer(fmt.Sprint("committed", i))).Observe(time.Duration(i + 1))
			updates = append(updates, b.Timer(fmt.Sprint("recorded", i)).Took(time.Duration(i+1)))
		}
		require.LessOrEqual(t, commit(b, nil, l.distributions), 3)
		require.LessOrEqual(t, group(updates).recordIn(b.shards), 3)
		require.EqualValues(t, 2*n, b.Stats().Recorded.Observations)
	}
}

func TestRecord(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	other, err := New()
	require.NoError(t, err)
	counter, timer, histogram, gauge := b.Counter("c"), b.Timer("t"), b.Histogram("h", "bytes"), b.Gauge("g")
	for range 1000 { // more than it takes to be promoted
		Record(counter.Delta(2), Update{}, timer.Took(time.Second), other.Counter("c").Delta(3), histogram.Size(7),
			gauge.Level(math.Pi), other.Timer("t").Took(1), counter.Delta(1))
	}
	Record(timer.Took(-1), timer.Took(0), histogram.Size(math.MaxInt64/2))
	Record()
	Record((*Counter)(nil).Delta(1), (*Timer)(nil).Took(1), (*Histogram)(nil).Size(1), (*Gauge)(nil).Level(1))
	Record(new(Counter).Delta(1), new(Timer).Took(1), new(Histogram).Size(1), new(Gauge).Level(1))
	require.Equal(t, Totals{3000, 1000}, other.Stats().Recorded)
	require.EqualValues(t, 1, b.Stats().Negatives)
	require.NoError(t, b.Close())
	points := make(map[string]Point)
	for _, p := range batches[0].Points {
		points[p.Name] = p
	}
	require.EqualValues(t, 3000, points["c"].Count)
	require.Equal(t, []int64{1002, 1000 * int64(time.Second), 0, int64(time.Second)},
		[]int64{points["t"].Count, points["t"].Sum, points["t"].Min, points["t"].Max})
	require.Equal(t, []int64{1001, 7000 + math.MaxInt64/2, 7, math.MaxInt64 / 2},
		[]int64{points["h"].Count, points["h"].Sum, points["h"].Min, points["h"].Max})
	require.InDelta(t, math.Pi, points["g"].Value, 0)
}

// TestRecordWithoutAPlace: if one update has no place in an own chunk, whichever it is, each is made exactly once.
func TestRecordWithoutAPlace(t *testing.T) {
	const value, full = 1000, 1 << 31
	type updated struct{ count, sum int64 }
	type scene struct {
		b, other *Buffer
		counter  *Counter // these two have no own chunk
		timer    *Timer
	}
	// own makes a chunk every P's own, and changes the timer's cell in both banks.
	own := func(s *scene, number uint32, change func(cell *distributionCell)) {
		s.b.shards.each(func(shard *shard) {
			chunk := newDistributionChunk(number)
			shard.distributions.at(number).Store(chunk)
			change(chunk.cell(0, s.timer.slot))
			change(chunk.cell(1, s.timer.slot))
		})
	}
	roomFor := func(v int64) func(*distributionCell) {
		return func(cell *distributionCell) { cell.window.Store(widen(nil, bucket.Index(v), 1, ownStep)) }
	}
	for name, lack := range map[string]struct {
		update func(s *scene) Update
		expect updated // by the series "lacking"
	}{
		"a counter without an own chunk": {
			func(s *scene) Update { return s.counter.Delta(7) }, updated{count: 7},
		},
		"a counter with a common chunk": {func(s *scene) Update {
			s.b.shards.common.makeCounters(s.counter.slot)
			return s.counter.Delta(7)
		}, updated{count: 7}},
		"a counter whose seat is taken": {func(s *scene) Update {
			s.b.shards.each(func(shard *shard) {
				number := s.counter.slot / countersPerChunk
				shard.counters.at(number).Store(newCounterChunk(number + seatsPerShard))
			})
			return s.counter.Delta(7)
		}, updated{count: 7}},
		"a timer without an own chunk": {
			func(s *scene) Update { return s.timer.Took(value) }, updated{1, value},
		},
		"a timer whose seat is taken": {func(s *scene) Update {
			own(s, s.timer.slot/distributionsPerChunk+seatsPerShard, roomFor(value))
			return s.timer.Took(value)
		}, updated{1, value}},
		"a timer without a window": {func(s *scene) Update {
			own(s, s.timer.slot/distributionsPerChunk, func(*distributionCell) {})
			return s.timer.Took(value)
		}, updated{1, value}},
		"a timer with a narrow window": {func(s *scene) Update {
			own(s, s.timer.slot/distributionsPerChunk, roomFor(1))
			return s.timer.Took(value)
		}, updated{1, value}},
		"a timer with a full tally": {func(s *scene) Update {
			own(s, s.timer.slot/distributionsPerChunk, func(cell *distributionCell) {
				roomFor(value)(cell)
				cell.tally(bucket.Index(value)).Add(full)
			})
			return s.timer.Took(value)
		}, updated{full + 1, value}},
		"zero":             {func(s *scene) Update { return s.timer.Took(0) }, updated{count: 1}},
		"a negative value": {func(s *scene) Update { return s.timer.Took(-1) }, updated{count: 1}},
		"no instrument":    {func(*scene) Update { return (*Counter)(nil).Delta(1) }, updated{}},
		"a gauge":          {func(s *scene) Update { return s.b.Gauge("gauge").Level(math.Pi) }, updated{}},
		"another buffer":   {func(s *scene) Update { return s.other.Counter("c").Delta(1) }, updated{}},
	} {
		for position := range fewOwn {
			t.Run(fmt.Sprintf("update %d: %s", position+1, name), func(t *testing.T) {
				var batches []Batch
				b, err := New(WithInterval(0), WithSink(keep(&batches)))
				require.NoError(t, err)
				other, err := New()
				require.NoError(t, err)
				s := &scene{b: b, other: other, timer: b.Timer("timer")}
				counter, timer := b.Counter("counter"), s.timer
				for id := range runtime.GOMAXPROCS(0) {
					b.shards.makeShard(id)
				}
				own(s, timer.slot/distributionsPerChunk, roomFor(value))
				b.shards.each(func(shard *shard) {
					chunk := newCounterChunk(counter.slot / countersPerChunk)
					shard.counters.at(chunk.number()).Store(chunk)
				})
				// The first ones in other chunks.
				for i := 0; s.timer.slot/distributionsPerChunk == timer.slot/distributionsPerChunk; i++ {
					s.timer = b.Timer("lacking", T("n", fmt.Sprint(i)))
				}
				for i := 0; s.counter == nil || s.counter.slot/countersPerChunk == counter.slot/countersPerChunk; i++ {
					s.counter = b.Counter("lacking", T("n", fmt.Sprint(i)))
				}

				expect := map[string]updated{"lacking": lack.expect}
				updates := make([]Update, fewOwn)
				for i := range updates {
					switch {
					case i == position:
						updates[i] = lack.update(s)
					case i%2 == 0:
						updates[i] = counter.Delta(1 << i)
						expect["counter"] = updated{count: expect["counter"].count + 1<<i}
					default:
						updates[i] = timer.Took(value + time.Duration(i))
						expect["timer"] = updated{expect["timer"].count + 1, expect["timer"].sum + value + int64(i)}
					}
				}
				Record(updates...)

				require.NoError(t, b.Close())
				got := make(map[string]updated)
				for _, p := range batches[0].Points {
					got[p.Name] = updated{got[p.Name].count + p.Count, got[p.Name].sum + p.Sum}
					if p.Kind == KindGauge {
						require.InDelta(t, math.Pi, p.Value, 0)
					}
				}
				for name := range expect {
					require.Equal(t, expect[name], got[name], name)
				}
				require.Equal(t, name == "a gauge", slices.ContainsFunc(batches[0].Points, func(p Point) bool {
					return p.Name == "gauge"
				}))
				require.Equal(t, name == "another buffer", other.Stats().Recorded.Increments == 1)
			})
		}
	}
}

// TestRecordPromotes: the chunk of a counter that is used by Record alone becomes the P's own, too.
func TestRecordPromotes(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	counter, timer := b.Counter("c"), b.Timer("t")
	for range 20_000 {
		Record(counter.Delta(1), timer.Took(1))
	}
	require.GreaterOrEqual(t, b.Stats().OwnChunks, 2)
}

func TestRecordDoesNotAllocate(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the race detector allocates, and shards picked by chance take long to see everything")
	}
	b, err := New()
	require.NoError(t, err)
	c, d, timer, gauge := b.Counter("c"), b.Counter("d"), b.Timer("t"), b.Gauge("g")
	record := func() { Record(c.Delta(1), d.Delta(5), timer.Took(time.Millisecond), gauge.Level(1)) }
	for range 20_000 {
		record()
	}
	require.Zero(t, testing.AllocsPerRun(1000, record))
}

// TestStressRecord: updates that are recorded together arrive together, while chunks are promoted, taken away and made
// anew, and while timers need wider windows.
func TestStressRecord(t *testing.T) {
	const many = 2*maxPinned + 3
	var delivered, manyDelivered int64
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		counts := make(map[string]int64)
		for _, p := range batch.Points {
			counts[p.Name] += p.Count
		}
		if counts["requests"] != counts["errors"] || counts["requests"] != counts["latency"] {
			t.Errorf("torn: %v", counts)
		}
		for i := range many {
			if n := counts[fmt.Sprint("many ", i)]; n != counts["many 0"] {
				t.Errorf("torn: %d and %d", n, counts["many 0"])
			}
		}
		delivered += counts["requests"]
		manyDelivered += counts["many 0"]
		return nil
	})))
	require.NoError(t, err)
	requests, errors, latency := b.Counter("requests"), b.Counter("errors"), b.Timer("latency")
	counters := make([]*Counter, many)
	for i := range counters {
		counters[i] = b.Counter(fmt.Sprint("many ", i))
	}
	var stopped atomic.Bool
	var recorded, manyRecorded atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for n := int64(0); !stopped.Load(); n++ {
				if n%3000 < 1000 { // the rest of the time is for demotions
					Record(requests.Delta(1), latency.Took(time.Duration(n%1_000_000+1)), errors.Delta(1))
					recorded.Add(1)
				} else {
					runtime.Gosched()
				}
				if n%500 == 0 {
					updates := make([]Update, many)
					for i := range updates {
						updates[i] = counters[i].Delta(1)
					}
					Record(updates...)
					manyRecorded.Add(1)
				}
			}
		})
	}
	for end := time.Now().Add(stressTime(t) / 2); time.Now().Before(end); {
		require.NoError(t, b.Flush(t.Context()))
	}
	stopped.Store(true)
	wait.Wait()
	require.NoError(t, b.Flush(t.Context()))
	stats := b.Stats()
	require.NoError(t, b.Close())
	require.Equal(t, recorded.Load(), delivered)
	require.Equal(t, manyRecorded.Load(), manyDelivered)
	t.Logf("%d and %d records, %d flips, %d promotions, %d demotions", delivered, manyDelivered, stats.Flips,
		stats.Promotions, stats.Demotions)
}

// In a bubble, a stopwatch shows the time of the bubble.
func TestStopwatchInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New()
		require.NoError(t, err)
		timer := b.Timer("latency")
		stopwatch, unlabelled := timer.Start(), Start()
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, stopwatch.Elapsed(), "and records nothing")
		require.Equal(t, time.Hour, stopwatch.Stop())
		require.Equal(t, time.Hour, timer.Since(unlabelled))
		require.Equal(t, time.Hour, unlabelled.Stop(), "which no timer records")
		stats := b.Stats()
		require.EqualValues(t, 2, stats.Recorded.Observations)
		require.Equal(t, "runtime", stats.Clock)
		require.Zero(t, stats.ClockFallbacks)
	})
	require.Zero(t, Stopwatch{}.Stop(), "it was not started")
}

// TestRecordedGauges: a gauge that is recorded together with a counter is in the same batches, although gauges have no
// banks.
func TestRecordedGauges(t *testing.T) {
	var cell gaugeCell
	cell.setTogether(1, 1)
	require.False(t, cell.take(0), "it is for the other bank")
	require.True(t, cell.take(1))
	require.False(t, cell.take(1))
	cell.set(2)
	require.True(t, cell.take(0))
	require.False(t, cell.take(1))

	var split, batches int
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		var counter, gauge bool
		for _, p := range batch.Points {
			counter = counter || p.Kind == KindCounter && p.Count > 0
			gauge = gauge || p.Kind == KindGauge
		}
		batches++
		if counter != gauge {
			split++
		}
		return nil
	})))
	require.NoError(t, err)
	counter, gauge := b.Counter("requests"), b.Gauge("queue")
	var writer sync.WaitGroup
	var stopped atomic.Bool
	writer.Go(func() {
		for i := 0; !stopped.Load(); i++ {
			Record(counter.Delta(1), gauge.Level(float64(i)))
		}
	})
	for range 2000 {
		require.NoError(t, b.Flush(t.Context()))
	}
	stopped.Store(true)
	writer.Wait()
	require.NoError(t, b.Close())
	require.Zero(t, split, "of %d batches", batches)
}
