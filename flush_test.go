package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// A drained is a flusher without a goroutine of its own, with one outlet, and n counters in the shards of two Ps.
type drained struct {
	*flusher
	outlet   *outlet
	counters []*Counter
}

func newDrained(tb testing.TB, n int) *drained {
	b, err := New(WithMaxSeries(n))
	require.NoError(tb, err)
	d := &drained{outlet: &outlet{name: "none"}}
	d.flusher = newFlusher(b.shards, b.registry, &config{sinks: []*outlet{d.outlet}})
	for i := range n {
		d.counters = append(d.counters, b.Counter(fmt.Sprint("counter ", i)))
	}
	for id := range 2 {
		b.shards.makeShard(id)
	}
	for range 2 { // both banks
		d.fill(1)
		d.collect()
		d.outlet.pending.reset(time.Time{})
	}
	return d
}

// fill adds to every counter, as writers on all Ps would: in its common chunk and, as far as there are seats, in an own
// chunk of every shard.
func (d *drained) fill(delta int64) {
	for _, c := range d.counters {
		number := c.slot / countersPerChunk
		chunk := d.shards.common.counters.at(number)
		if chunk == nil {
			d.shards.common.makeCounters(c.slot)
			chunk = d.shards.common.counters.at(number)
		}
		chunk.word(d.shards.common.gate.Active(), c.slot).Add(delta)
		if number > seatsPerShard {
			continue
		}
		d.shards.each(func(s *shard) {
			seat := s.counters.at(number)
			if seat.Load() == nil {
				seat.Store(newCounterChunk(number))
			}
			bank := s.gate.Enter()
			seat.Load().word(bank, c.slot).Add(delta)
			s.gate.Leave(bank)
		})
	}
}

func TestDrainDoesNotAllocate(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("under the race detector, pools drop some objects on purpose")
	}
	d := newDrained(t, 10_000)
	fill := int64(0)
	allocs := testing.AllocsPerRun(10, func() {
		d.fill(fill)
		d.collect()
		d.outlet.pending.reset(time.Time{})
	})
	require.Zero(t, allocs)
	fill = 1
	allocs = testing.AllocsPerRun(10, func() {
		d.fill(fill)
		d.collect()
		d.outlet.pending.reset(time.Time{})
	})
	require.LessOrEqual(t, allocs, 2.0, "the garbage collector may have taken memory that is kept between two flushes")
}

// TestBatchIsAllocatedOnce: the size of a batch is computed beforehand, so that its slices need not grow.
func TestBatchIsAllocatedOnce(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the race detector allocates, too")
	}
	const n = 1_000
	var p pending
	for i := range uint32(n) {
		p.counterChunk(i / countersPerChunk)[i%countersPerChunk] = 1
		d := p.distribution(i)
		d.count = 3
		d.tally(d.cover(10, 20), 3)
	}
	known := &catalog{registry: new(registry)}
	known.series[sums] = slices.Repeat([]*series{new(series)}, n)
	known.series[distributed] = known.series[sums]
	var points []Point
	// Other goroutines' allocations count, too. Over many runs they are less than one for each.
	allocs := testing.AllocsPerRun(200, func() { points = new(scratch).fill(&p, known) })
	require.Len(t, points, 2*n)
	require.Equal(t, 3, int(allocs), "points, buckets, counts")
}

// useMemory makes a batch of so many points, and returns the first.
func useMemory(k *keeper, points int) *Point {
	s := k.take()
	s.points = slices.Grow(s.points[:0], points)[:points]
	k.keep(s)
	return &s.points[0]
}

// The memory of a batch outlives one garbage collection, and not many.
func TestMemoryOfBatchesIsKept(t *testing.T) {
	var k keeper
	first := useMemory(&k, 5000)
	for range 3 {
		runtime.GC()
		require.Eventually(t, func() bool { return k.recent.Load() == nil }, 10*time.Second, time.Millisecond)
		require.Same(t, first, useMemory(&k, 4000))
	}
	var freed atomic.Bool
	runtime.AddCleanup(first, func(freed *atomic.Bool) { freed.Store(true) }, &freed)
	require.Eventually(t, func() bool { runtime.GC(); return freed.Load() }, 10*time.Second, time.Millisecond)
	require.Empty(t, k.take().points)
}

// Memory of every part of a batch counts. Points and buckets that are not in use keep nothing.
func TestMemoryOfALargeBatchIsDroppedAsAWhole(t *testing.T) {
	var k keeper
	for name, s := range map[string]*scratch{
		"ended": {ended: make([]Point, 0, 5000)}, "buckets": {buckets: make([]Buckets, 0, 10_000)},
		"counts": {counts: make([]uint64, 0, 50_000)}, "exemplars": {exemplars: make([]Exemplar, 0, 10_000)},
	} {
		s.points = make([]Point, 100)
		k.keep(s)
		if k.take() == s {
			t.Error("it was kept for its ", name)
		}
	}
	s := &scratch{points: []Point{{Name: "a"}, {Name: "b"}}, ended: []Point{{Name: "c"}}}
	points, ended := s.points, s.ended
	s.points, s.ended = s.points[:1], s.ended[:0]
	k.keep(s)
	require.Equal(t, []Point{{Name: "a"}, {}}, points)
	require.Equal(t, []Point{{}}, ended)

	s.buckets = []Buckets{{Counts: []uint64{1}}, {Counts: []uint64{2}}}
	buckets := s.buckets
	s.buckets = s.buckets[:1]
	k.keep(s)
	require.Equal(t, []Buckets{{Counts: []uint64{1}}, {}}, buckets)
}

// A batch that needs little of the memory that is kept frees it.
func TestMemoryOfALargeBatchIsDropped(t *testing.T) {
	var k keeper
	large := useMemory(&k, 8000)
	require.Same(t, large, useMemory(&k, 2100))
	require.Same(t, large, useMemory(&k, 1900), "it is dropped after this batch")
	small := useMemory(&k, 100)
	require.NotSame(t, large, small)
	require.Same(t, small, useMemory(&k, 1), "too little to be dropped")
}

// BenchmarkDrain reports nanoseconds per series for collecting a million counters.
func BenchmarkDrain(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n = 1_000_000
	d := newDrained(b, n)
	for _, touched := range []bool{true, false} {
		b.Run(map[bool]string{true: "touched", false: "untouched"}[touched], func(b *testing.B) {
			b.ReportAllocs()
			elapsed := time.Duration(0)
			for range b.N {
				if touched {
					d.fill(1)
				}
				begin := time.Now()
				d.collect()
				elapsed += time.Since(begin)
				d.outlet.pending.reset(time.Time{})
			}
			b.ReportMetric(float64(elapsed.Nanoseconds())/float64(b.N)/n, "ns/series")
		})
	}
}

// TestCountsOfMoreThan32Bits: higher bits of a count stay with it when the range of buckets grows, when counts are
// merged, and when more is added.
func TestCountsOfMoreThan32Bits(t *testing.T) {
	const many uint64 = 5<<32 + 7
	d := new(distribution)
	d.tally(d.cover(10, 2), many)
	d.tally(d.cover(3, 1), 1)
	d.tally(d.cover(40, 1), 2)
	require.Equal(t, many, d.at(d.cover(10, 1)))
	sum := new(distribution)
	for range 3 {
		sum.add(d)
	}
	counts := new(scratch).spread(sum)
	require.Equal(t, 3, counts.Offset)
	want := make([]uint64, 38)
	want[0], want[7], want[37] = 3, 3*many, 6
	require.Equal(t, want, counts.Counts)
}

// TestReleasedDistributionIsEmpty: the next series that takes it finds nothing of the series before.
func TestReleasedDistributionIsEmpty(t *testing.T) {
	d := new(distribution)
	d.tally(d.cover(10, 2), 1<<40)
	d.keep(&traced{value: 5, at: 1})
	d.count, d.sum, d.greatest, d.least, d.zeros = 1, 1, 1, 1, 1
	counts := d.counts
	d.release()
	require.Equal(t, []uint32{0, 0}, counts)
	require.Equal(t, distribution{counts: counts[:0], exemplars: d.exemplars}, *d)
	require.Empty(t, d.exemplars)
}

// TestBucketsOfPointsAreApart: a sink may append to a point's buckets and exemplars without changing the next point's.
func TestBucketsOfPointsAreApart(t *testing.T) {
	first, second := new(distribution), new(distribution)
	for i, d := range []*distribution{first, second} {
		d.tally(d.cover(10, 1), uint64(i+1))
		d.keep(&traced{value: int64(i + 1)})
	}
	s := &scratch{counts: make([]uint64, 0, 8), exemplars: make([]Exemplar, 0, 8)}
	buckets, exemplars := s.spread(first), s.expand(first)
	next, nextExemplars := s.spread(second), s.expand(second)
	_, _ = append(buckets.Counts, 99), append(exemplars, Exemplar{Value: 99})
	require.Equal(t, []uint64{2}, next.Counts)
	require.EqualValues(t, 2, nextExemplars[0].Value)
}

// keep is a sink that keeps the batches' points, without their buckets.
func keep(batches *[]Batch) Sink {
	return SinkFunc(func(_ context.Context, batch *Batch) error {
		copied := Batch{
			Start: batch.Start, End: batch.End,
			Points: slices.Clone(batch.Points), Ended: slices.Clone(batch.Ended),
		}
		*batches = append(*batches, copied)
		return nil
	})
}

func TestEveryBatchHasItsOwnExtremes(t *testing.T) {
	runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(runtime.NumCPU())
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	for _, d := range []time.Duration{5, 4, 6, 9, 3, 8} {
		b.IncrTimer("t", d)
		require.NoError(t, b.Flush(t.Context()))
		p := batches[len(batches)-1].Points[0]
		require.Equal(t, [3]int64{int64(d), int64(d), int64(d)}, [3]int64{p.Min, p.Max, p.Sum})
	}
	require.NoError(t, b.Close())
}

func TestOppositeDeltasDoNotCancel(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	b.IncrCounter("up", 1)
	b.IncrCounter("down", -1)
	require.NoError(t, b.Close())
	require.Len(t, batches, 1)
	require.Len(t, batches[0].Points, 2)
}

func TestWaitingFlushEndsWithTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hanging := SinkFunc(func(context.Context, *Batch) error { <-release; return nil })
		b, err := New(WithInterval(0), WithSink(hanging, SinkTimeout(3*time.Second)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		go func() { _ = b.Flush(context.Background()) }()
		time.Sleep(time.Second)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.Error(t, b.Flush(ctx))
		require.Equal(t, 2*time.Second+lastWord, time.Since(begin))
		close(release)
		synctest.Wait()
		require.NoError(t, b.Close())
	})
}

func TestStartAfterAnEmptyInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithSink(keep(&batches)))
		require.NoError(t, err)
		begin := time.Now()
		time.Sleep(10*time.Second + time.Millisecond)
		b.IncrCounter("c", 1)
		time.Sleep(time.Second)
		require.NoError(t, b.Close())
		require.Equal(t, 10*time.Second, batches[0].Start.Sub(begin))
	})
}

// TestMissedIntervalsAreSkipped: a flusher that could not run for some intervals collects once, and keeps its schedule.
func TestMissedIntervalsAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithSink(keep(&batches))) // every second
		require.NoError(t, err)
		begin := time.Now()
		flips := b.Stats().Flips
		b.flusher.do(t.Context(), func() { time.Sleep(3500 * time.Millisecond) })
		time.Sleep(100 * time.Millisecond)
		b.flusher.do(t.Context(), func() { flips = b.flusher.flips - flips })
		require.Equal(t, b.shards.procs.Load()+1, flips, "one collection for all missed intervals")
		b.IncrCounter("c", 1)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, batches, 1)
		require.Equal(t, 4*time.Second, batches[0].End.Sub(begin))
		require.NoError(t, b.Close())
	})
}

// TestCloseIsHeardAtOnce: the flusher ends, even if Close has very little time.
func TestCloseIsHeardAtOnce(t *testing.T) {
	for range 100 {
		var batches []Batch
		b, err := New(WithInterval(time.Millisecond), WithSink(keep(&batches)))
		require.NoError(t, err)
		b.closeTimeout = 1 // less than WithCloseTimeout takes
		b.IncrCounter("c", 1)
		_ = b.Close() // it may have too little time for the last batch
		select {
		case <-b.flusher.done:
		case <-time.After(10 * time.Second):
			require.Fail(t, "the flusher goes on")
		}
		require.ErrorIs(t, b.Flush(t.Context()), ErrClosed)
	}
}

// TestStartOfABatchThatWaited: no update in a batch is older than the batch's start, even if the batch before was made
// long after its collection.
func TestStartOfABatchThatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithSink(SinkFunc(func(ctx context.Context, batch *Batch) error {
			time.Sleep(4 * time.Second)
			return keep(&batches).Write(ctx, batch)
		})))
		require.NoError(t, err)
		for _, name := range []string{"a", "b"} {
			b.IncrCounter(name, 1)
			go func() { _ = b.Flush(context.Background()) }()
			time.Sleep(time.Second)
		}
		recorded := time.Now()
		b.IncrCounter("c", 1) // at 2 s; the batch with b begins to be written at 4 s, without it
		time.Sleep(10 * time.Second)
		require.NoError(t, b.Close())
		require.Len(t, batches, 3)
		require.Equal(t, "c", batches[2].Points[0].Name)
		require.False(t, batches[2].Start.After(recorded))
	})
}

// TestStartOfAPartlyAcknowledgedBatch: points that come back keep the start of their batch, although other points of it
// were acknowledged.
func TestStartOfAPartlyAcknowledgedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithSink(SinkFunc(func(ctx context.Context, batch *Batch) error {
			_ = keep(&batches).Write(ctx, batch)
			if len(batches) > 1 {
				return nil
			}
			batch.Acknowledge(1)
			return errors.New("injected")
		})))
		require.NoError(t, err)
		b.IncrCounter("a", 1)
		b.IncrCounter("b", 1)
		time.Sleep(time.Second)
		require.Error(t, b.Flush(t.Context()))
		time.Sleep(time.Second)
		require.NoError(t, b.Close())
		require.Len(t, batches, 2)
		require.Equal(t, "b", batches[1].Points[0].Name)
		require.Equal(t, batches[0].Start, batches[1].Start)
		require.True(t, batches[1].Start.Before(batches[0].End))
	})
}

// TestFlushKeepsTheBuffer: a buffer is not cleaned up while a Flush, its last use, waits.
func TestFlushKeepsTheBuffer(t *testing.T) {
	collecting, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(collecting)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	flush := func() error {
		slow := SinkFunc(func(ctx context.Context, _ *Batch) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(200 * time.Millisecond):
				return nil
			}
		})
		b, err := New(WithInterval(0), WithCloseTimeout(20*time.Millisecond), WithSink(slow))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		return b.Flush(context.Background())
	}
	require.NoError(t, flush())
	close(stop)
	<-collecting
}

// An errorThatAsks calls the buffer in its Error method.
type errorThatAsks struct{ b *Buffer }

func (e *errorThatAsks) Error() string { return fmt.Sprint("after ", e.b.Stats().Recorded) }

// TestErrorsRunNowhereNearTheFlusher: the flusher does not call the method of an error, which may do anything.
func TestErrorsRunNowhereNearTheFlusher(t *testing.T) {
	failure, handled := new(errorThatAsks), make(chan string, 1)
	b, err := New(WithInterval(0), WithErrorHandler(func(err error) { handled <- err.Error() }),
		WithSink(SinkFunc(func(context.Context, *Batch) error { return failure }), SinkName("asking")))
	require.NoError(t, err)
	failure.b = b
	b.IncrCounter("c", 1)
	require.ErrorIs(t, b.Flush(t.Context()), failure)
	require.Equal(t, `metricsbuffer: sink "asking": after {1 0}`, <-handled)
	require.Error(t, b.Close())
}

// TestErrorHandlerThatBlocks: an error handler that blocks has one goroutine, and misses all failures but the latest.
func TestErrorHandlerThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures, handled := 0, make(chan string)
		b, err := New(WithInterval(0), WithErrorHandler(func(err error) { handled <- err.Error() }),
			WithSink(SinkFunc(func(context.Context, *Batch) error { failures++; return fmt.Errorf("failure %d", failures) })))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		for range 100 {
			require.Error(t, b.Flush(t.Context()))
			synctest.Wait()
		}
		require.Contains(t, <-handled, "failure 1")
		require.Contains(t, <-handled, "failure 100")
		synctest.Wait()
		require.Empty(t, handled)
		require.Error(t, b.Close())
		<-handled
	})
}

// TestUnitIsNobodysTag: no tag can conflict with the unit of a histogram.
func TestUnitIsNobodysTag(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	b.Histogram("h", "bytes", Tag{"", "v"}, Tag{"\x00unit", "a"}).Observe(1)
	require.NoError(t, b.Close())
	point := batches[0].Points[0]
	require.Equal(t, "bytes", point.Unit)
	require.Equal(t, []Tag{{"", "v"}, {"\x00unit", "a"}}, point.Tags)
}

// TestEveryNameHasRoom: totals per name are right as long as there are fewer names than the limit, even if one name has
// more series than there is room for.
func TestEveryNameHasRoom(t *testing.T) {
	perName := make(map[string]int64)
	b, err := New(WithInterval(0), WithMaxSeries(math.MaxInt), WithCloseTimeout(time.Minute),
		WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
			for _, p := range batch.Points {
				perName[p.Name] += p.Count
			}
			return nil
		}), SinkTimeout(time.Minute)))
	require.NoError(t, err)
	const series = 200_000 // more than the 196,606 timers that have a series of their own
	for i := range series {
		b.IncrTimer("requests", 1, Tag{"user", fmt.Sprint(i)})
	}
	for i := range 100 {
		b.IncrTimer(fmt.Sprint("late ", i%10), 1)
	}
	require.NoError(t, b.Close())
	require.EqualValues(t, series+100-196_606, b.Stats().Overflowed.Observations)
	require.EqualValues(t, series, perName["requests"])
	require.EqualValues(t, 10, perName["late 3"])
	require.Zero(t, perName[overflowName])
}

// TestZeroValuesDoNothing: zero values do nothing, as nil does. (A nil pointer in a pinned section would end the
// process.)
func TestZeroValuesDoNothing(t *testing.T) {
	new(Counter).Inc()
	new(Counter).Add(2)
	new(Timer).Observe(1)
	new(Timer).Observe(0)
	require.Positive(t, new(Timer).Start().Stop())
	new(Stopwatch).Stop()
	new(Histogram).Observe(1)
	new(Gauge).Set(1)
	new(Gauge).Add(1)
	b := new(Buffer)
	b.IncrCounter("c", 1, Tag{"k", "v"})
	b.IncrTimer("t", 1)
	b.SetGauge("g", 1)
	b.ObserveHistogram("h", "bytes", 1)
	b.Counter("c").Inc()
	b.Timer("t").Observe(1)
	b.Histogram("h", "bytes").Observe(1)
	b.Gauge("g").Set(1)
	vec, err := NewCounterVec[struct{ A string }](b, "c")
	require.NoError(t, err)
	vec.With(struct{ A string }{"a"}).Inc()
	Record(new(Counter).Delta(1), new(Timer).Took(1), new(Histogram).Size(1), new(Gauge).Level(1))
	b.Local().Commit()
	require.Zero(t, b.Stats())
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Close())
}

// TestFirstDropOfEachReasonIsReported: Flush returns nil when a sink drops points. The error handler is told of the
// first drop for each reason.
func TestFirstDropOfEachReasonIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled []string
		b, err := New(WithInterval(0), WithErrorHandler(func(err error) { handled = append(handled, err.Error()) }),
			WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
				for i, p := range batch.Points {
					reused := []byte("too long: " + p.Unit)
					batch.Drop(i, unsafe.String(&reused[0], len(reused)))
					clear(reused)
				}
				return nil
			}), SinkName("strict")))
		require.NoError(t, err)
		for _, unit := range []string{"bytes", "lines", "bytes", "lines", "seconds"} {
			b.ObserveHistogram("name\nof\xff"+strings.Repeat("x", 1000), unit, 1, Tag{"k", strings.Repeat("y", 1000)})
			require.NoError(t, b.Flush(t.Context()))
			synctest.Wait()
		}
		require.Len(t, handled, 3)
		for i, unit := range []string{"bytes", "lines", "seconds"} {
			require.Contains(t, handled[i], `metricsbuffer: sink "strict": it dropped the histogram "name\nof\xff`)
			require.Contains(t, handled[i], `with the tags "k"="yyy`)
			require.Contains(t, handled[i], "too long: "+unit)
			require.Less(t, len(handled[i]), 800)
		}
		require.Equal(t, map[string]int64{"too long: bytes": 2, "too long: lines": 2, "too long: seconds": 1},
			b.Stats().Sinks[0].Drops)
		require.NoError(t, b.Close())
	})
}

// TestBatchThatIsKept: a sink that keeps a batch cannot change its outcome after Write.
func TestBatchThatIsKept(t *testing.T) {
	var kept *Batch
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		batch.Drop(0, "in time")
		kept = batch
		return nil
	})))
	require.NoError(t, err)
	b.IncrCounter("requests", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.Panics(t, func() { kept.Drop(0, "late") })
	require.Equal(t, map[string]int64{"in time": 1}, b.Stats().Sinks[0].Drops)
	require.NoError(t, b.Close())
}

// TestReasonsWithoutEnd: a sink that has a new reason for each point costs neither memory nor the handler's time. No
// report of a drop is lost while the handler is busy.
func TestReasonsWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const points = 300
		handled := make(chan string)
		b, err := New(WithInterval(0), WithErrorHandler(func(err error) { handled <- err.Error() }),
			WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
				for i, p := range batch.Points {
					batch.Drop(i, "cannot send "+p.Name)
				}
				return errors.New("and failed")
			})))
		require.NoError(t, err)
		for i := range points {
			b.IncrCounter(fmt.Sprint(i), 1)
			require.Error(t, b.Flush(t.Context()))
		}
		drops, failures := 0, 0
		for quiet := false; !quiet; {
			synctest.Wait()
			select {
			case text := <-handled:
				if strings.Contains(text, "it dropped") {
					drops++
				} else {
					failures++
				}
			default:
				quiet = true
			}
		}
		require.Equal(t, maxReasons+1, drops)
		require.Equal(t, 2, failures, "the first and the latest")
		stats := b.Stats().Sinks[0]
		require.Len(t, stats.Drops, maxReasons+1)
		require.EqualValues(t, points-maxReasons, stats.Drops[otherReasons])
		require.EqualValues(t, points, stats.Dropped.Increments)
		require.NoError(t, b.Close())
	})
}

func entry(b *Buffer, kind Kind, name string) *series {
	return b.registry.families[kind].series.Load(atomicmap.HashName(name), name, nil)
}

// TestWriteByNameHoldsItsSeries: a writer by name keeps its series until the update is made. Here each writer panics
// where it would make the update, because the memory for it is missing.
func TestWriteByNameHoldsItsSeries(t *testing.T) {
	write := map[Kind]func(b *Buffer){
		KindCounter: func(b *Buffer) { b.addNamedSlow("x", 1, nil) },
		KindTimer:   func(b *Buffer) { b.observeNamedSlow(b.timers, "x", 1, nil) },
		KindGauge:   func(b *Buffer) { b.setNamed("x", 1, nil) },
	}
	for kind, write := range write {
		b, err := New()
		require.NoError(t, err)
		b.registry.expiring = true
		s := b.registry.find(&b.registry.families[kind], atomicmap.HashName("x"), "x", nil)
		s.Value.state.Store(idle) // so that the writer of the gauge does not make the update inside a section
		if kind == KindGauge {
			s.Value.slot = maxGauges - 1
		} else {
			b.shards = nil
		}
		require.Panics(t, func() { write(b) }, kind)
		require.EqualValues(t, 1, s.Value.state.Load(), kind)
	}
}

func TestWriteByNameOpensAnIdleSeries(t *testing.T) {
	write := map[Kind]func(b *Buffer){
		KindCounter: func(b *Buffer) { b.IncrCounter("x", 1) },
		KindTimer:   func(b *Buffer) { b.IncrTimer("x", 1) },
		KindGauge:   func(b *Buffer) { b.SetGauge("x", 1) },
	}
	for kind, write := range write {
		synctest.Test(t, func(t *testing.T) {
			var batches []Batch
			b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(keep(&batches)))
			require.NoError(t, err)
			for range 100 {
				write(b)
				require.NoError(t, b.Flush(t.Context()))
			}
			s := entry(b, kind, "x")
			time.Sleep(2 * time.Second)
			require.NoError(t, b.Flush(t.Context()))
			require.EqualValues(t, idle, s.Value.state.Load(), "after the first step it can still be found")
			require.Same(t, s, entry(b, kind, "x"))
			write(b)
			require.EqualValues(t, open, s.Value.state.Load(), "a writer opens it first")
			require.NoError(t, b.Flush(t.Context()))
			require.Same(t, s, entry(b, kind, "x"))
			time.Sleep(2 * time.Second)
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(time.Second)
			require.NoError(t, b.Flush(t.Context()))
			require.EqualValues(t, gone, s.Value.state.Load())
			require.Nil(t, entry(b, kind, "x"))
			require.NoError(t, b.Close())
		})
	}
}

// TestOpenedBetweenTheStepsOfASweep: a writer opens a series after a sweep has looked whether its time is over, and
// before that sweep suspends it again. Its update leaves no trace but that.
func TestOpenedBetweenTheStepsOfASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithIdleExpiry(time.Minute), WithSink(keep(&batches)))
		require.NoError(t, err)
		f, e := b.flusher, &b.flusher.expiry
		sweep := func() {
			time.Sleep(6 * time.Second)
			require.NoError(t, b.Flush(t.Context()))
		}
		b.IncrCounter("x", 1)
		s := entry(b, KindCounter, "x")
		for range 8 {
			sweep()
		}
		require.EqualValues(t, idle, s.Value.state.Load())
		f.do(t.Context(), func() {
			before := e.suspended
			e.suspended = nil
			b.IncrCounter("x", 0)
			e.sweepAt = 0
			e.end(f)
			e.suspended = append(before, e.suspended...)
		})
		require.EqualValues(t, idle, s.Value.state.Load())
		for range 9 {
			sweep()
			require.EqualValues(t, idle, s.Value.state.Load(), "its time begins anew")
		}
		sweep()
		sweep()
		require.EqualValues(t, gone, s.Value.state.Load())
		require.NoError(t, b.Close())
	})
}

func TestSeriesInUseNowAndThenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithIdleExpiry(10*time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		const names = 2 * countersPerChunk // so that every storage has several chunks
		var first [names][3]*series
		for round := range 20 {
			for i := range names {
				name := fmt.Sprint(i)
				b.IncrCounter(name, 1)
				b.IncrTimer(name, 1)
				b.SetGauge(name, 1)
				now := [3]*series{entry(b, KindCounter, name), entry(b, KindTimer, name), entry(b, KindGauge, name)}
				if round == 0 {
					first[i] = now
				}
				for storage := range now {
					require.Same(t, first[i][storage], now[storage], "storage %d, series %d", storage, i)
				}
			}
			time.Sleep(5 * time.Second)
		}
		require.NoError(t, b.Close())
	})
}

// TestNewSeriesInAnOldSlot: a new series in a slot that was used before counts as touched, and has no values of the
// series before.
func TestNewSeriesInAnOldSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Point
		b, err := New(WithInterval(0), WithIdleExpiry(10*time.Second),
			WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
				got = append([]Point(nil), batch.Points...)
				for i := range got {
					got[i].Buckets = got[i].Buckets.Clone()
				}
				return nil
			})))
		require.NoError(t, err)
		b.IncrTimer("old", 1)
		b.IncrTimer("old", time.Hour)
		slot := entry(b, KindTimer, "old").Value.slot
		for range 3 {
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(20 * time.Second)
		}
		require.Nil(t, entry(b, KindTimer, "old"))
		s := b.registry.hold(&b.registry.families[KindTimer], "new", nil)
		require.Equal(t, slot, s.Value.slot)
		b.registry.release(s)
		require.NoError(t, b.Flush(t.Context()))
		require.EqualValues(t, open, s.Value.state.Load(), "not idle yet, although nothing was recorded")
		b.IncrTimer("new", 1000)
		require.NoError(t, b.Flush(t.Context()))
		require.Len(t, got, 1)
		p := got[0]
		require.Equal(t, [4]int64{1, 1000, 1000, 1000}, [4]int64{p.Count, p.Sum, p.Min, p.Max})
		for bucket := range p.Buckets.All() {
			require.True(t, bucket.Lower < 1000 && 1000 <= bucket.Upper && bucket.Count == 1, "%v", bucket)
		}
		require.NoError(t, b.Close())
	})
}

// TestNewGaugeInAnOldSlot: a gauge in a slot that was used before has no value before it is set, also if it is
// described.
func TestNewGaugeInAnOldSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithIdleExpiry(10*time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		b.SetGauge("old", 1)
		slot := entry(b, KindGauge, "old").Value.slot
		for range 4 {
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(20 * time.Second)
		}
		gauge := b.Gauge("new")
		require.Equal(t, slot, gauge.lease.slot)
		require.NoError(t, b.Flush(t.Context()))
		b.Describe("new", "Help.", "")
		require.NoError(t, b.Flush(t.Context()))
		require.Equal(t, []string{"gauge old[] 0 1"}, pointsOf(batches))
		gauge.Set(2)
		require.NoError(t, b.Close())
		require.Equal(t, []string{"gauge new[] 0 2", "gauge old[] 0 1"}, pointsOf(batches))
	})
}

// pointsOf returns the points of all batches, with their counts.
func pointsOf(batches []Batch) (points []string) {
	for _, batch := range batches {
		for _, p := range batch.Points {
			points = append(points, fmt.Sprint(p.Kind, " ", p.Name, p.Tags, p.Unit, " ", p.Count, " ", p.Value))
		}
	}
	slices.Sort(points)
	return points
}

// TestNewSeriesIsInTheNextBatch: every sink gets a new series once with its value, which may be zero, also if the batch
// fails at first.
func TestNewSeriesIsInTheNextBatch(t *testing.T) {
	var one, other []Batch
	failures := 3
	failing := SinkFunc(func(ctx context.Context, batch *Batch) error {
		if failures--; failures >= 0 {
			return errors.New("injected")
		}
		return keep(&other).Write(ctx, batch)
	})
	b, err := New(WithInterval(0), WithMaxSeries(8), WithSink(keep(&one)), WithSink(failing))
	require.NoError(t, err)
	b.Counter("counter")
	b.Timer("timer")
	b.Gauge("gauge")
	b.Histogram("size", "bytes", T("k", "v"))
	b.IncrCounter("named", 0)
	b.IncrCounter("cancelled", 1)
	b.IncrCounter("cancelled", -1)
	Must(NewCounterVec[struct{ Label string }](b, "vec")).With(struct{ Label string }{"l"})
	b.Local().Counter(b.Counter("local"))
	b.Counter("over") // there is no place for it
	want := []string{
		"counter cancelled[] 0 0", "counter counter[] 0 0", "counter local[] 0 0", "counter named[] 0 0",
		"counter over[{overflow true}] 0 0", "counter vec[{Label l}] 0 0",
		"histogram size[{k v}]bytes 0 0", "timer timer[] 0 0",
	} // and no gauge: nobody has set it
	for range 5 {
		_ = b.Flush(t.Context())
		require.Equal(t, want, pointsOf(one))
	}
	require.Equal(t, want, pointsOf(other))
	for _, p := range one[0].Points {
		require.Equal(t, [3]int64{}, [3]int64{p.Sum, p.Min, p.Max}, p.Name)
		require.Equal(t, p.Kind == KindTimer || p.Kind == KindHistogram, p.Buckets != nil, p.Name)
		require.True(t, math.IsNaN(p.Quantile(0.5)))
	}
	require.NoError(t, b.Close())
	require.Equal(t, want, pointsOf(one), "a series that is at rest is in no further batch")
}

// TestSeriesOfALostRaceIsNotNew: a goroutine that lost a race for a name has registered a series that nobody can find.
func TestSeriesOfALostRaceIsNotNew(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	r, f := b.registry, &b.registry.families[KindCounter]
	loser := atomicmap.NewEntry(atomicmap.HashName("x"), "x", []Tag(nil), place{slot: 1000})
	b.Counter("x")
	r.fresh.Store(&arrival{series: loser, older: r.fresh.Load()}) // as store does before it is suspended
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, []string{"counter x[] 0 0"}, pointsOf(batches))
	_, lost := f.series.LoadOrStore(loser)
	require.True(t, lost)
	loser.Value.state.Store(gone)
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	slot, _ := r.takeSlot(sums)
	require.EqualValues(t, 1000, slot)
	slot, _ = r.takeSlot(sums)
	require.NotEqualValues(t, 1000, slot, "given back once")
	require.Len(t, pointsOf(batches), 1)
	require.NoError(t, b.Close())
}

// TestSelfMetricsOfManyOverflows: a collection does not sort the names of overflow series for its self-metrics.
func TestSelfMetricsOfManyOverflows(t *testing.T) {
	var allocated [2]float64
	for i, names := range []int{0, 1000} {
		var batches []Batch
		b, err := New(WithInterval(0), WithMaxSeries(1000), WithSelfMetrics(), WithSink(keep(&batches)))
		require.NoError(t, err)
		for n := range names {
			b.IncrCounter(fmt.Sprint(n), 1, T("k", "v"))
			b.IncrCounter(fmt.Sprint(n), 1, T("k", "w"))
		}
		overflowed := b.Stats().Overflowed.Increments
		require.Equal(t, names > 0, overflowed > 0, overflowed)
		require.NoError(t, b.Flush(t.Context()))
		f := b.flusher
		require.True(t, f.do(t.Context(), func() {
			allocated[i] = testing.AllocsPerRun(10, func() { f.self.record(f) })
		}))
		require.NoError(t, b.Close())
	}
	require.InDelta(t, allocated[0], allocated[1], 0)
}

// TestEndedSeries: every sink is told of the end of a series. Until all have acknowledged it, no other series has its
// ID.
func TestEndedSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one, other []Batch
		failing := false
		sink := SinkFunc(func(ctx context.Context, batch *Batch) error {
			if failing {
				return errors.New("injected")
			}
			return keep(&other).Write(ctx, batch)
		})
		b, err := New(WithInterval(0), WithIdleExpiry(10*time.Second), WithSink(keep(&one)), WithSink(sink))
		require.NoError(t, err)
		b.IncrCounter("x", 3, T("k", "v"))
		b.ObserveHistogram("size", "bytes", 5)
		b.SetGauge("g", 1)
		held := b.Gauge("set once")
		held.Set(1)
		require.NoError(t, b.Flush(t.Context()))
		ids := make(map[Kind]uint32)
		for _, p := range one[0].Points {
			ids[p.Kind] = max(ids[p.Kind], p.ID)
		}
		ended := func(batches []Batch) (points []Point) {
			for _, batch := range batches {
				points = append(points, batch.Ended...)
			}
			return points
		}
		failing = true
		for range 4 {
			time.Sleep(20 * time.Second)
			_ = b.Flush(t.Context())
		}
		want := []Point{
			{Name: "x", Tags: []Tag{{"k", "v"}}, Kind: KindCounter, ID: ids[KindCounter]},
			{Name: "size", Unit: "bytes", Kind: KindHistogram, ID: ids[KindHistogram]},
			{Name: "g", Kind: KindGauge, ID: ids[KindGauge] - 1},
		}
		require.Equal(t, want, ended(one), "once, and not the gauge that is held")
		require.Empty(t, ended(other))
		b.IncrCounter("x", 4, T("k", "v")) // it comes back
		b.IncrCounter("y", 1)
		require.NotEqual(t, ids[KindCounter], b.registry.find(&b.registry.families[KindCounter],
			atomicmap.Hash("x", []Tag{{"k", "v"}}), "x", []Tag{{"k", "v"}}).Value.slot)
		require.NotEqual(t, ids[KindCounter], entry(b, KindCounter, "y").Value.slot, "the end is pending at one sink")
		failing = false
		require.NoError(t, b.Flush(t.Context()))
		require.Equal(t, want, ended(other))
		last := other[len(other)-1]
		require.Len(t, last.Points, 2)
		require.EqualValues(t, 4, last.Points[0].Count)
		b.IncrCounter("z", 1)
		require.Equal(t, ids[KindCounter], entry(b, KindCounter, "z").Value.slot, "it is free again")
		require.NoError(t, b.Close())
		runtime.KeepAlive(held)
	})
}

func TestExpiredSeriesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithMaxSeries(2), WithIdleExpiry(2*time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		for i := range 20 {
			b.IncrCounter(fmt.Sprint(i), 1)
			time.Sleep(10 * time.Second)
		}
		require.NoError(t, b.Close())
		for _, batch := range batches {
			for _, p := range batch.Points {
				require.Empty(t, p.Tags, "overflow")
			}
		}
	})
}

func TestLostRaceForAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		r, f, hash := b.registry, &b.registry.families[KindCounter], atomicmap.HashName("x")
		s := r.store(f, hash, "x", nil, ordinary)
		used, slots := r.series[ordinary].used.Load(), r.slots[sums].Load()
		require.Same(t, s, r.store(f, hash, "x", nil, ordinary))
		require.Equal(t, used, r.series[ordinary].used.Load())
		require.Equal(t, slots+1, r.slots[sums].Load())
		for range 5 {
			b.IncrCounter("x", 1)
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(800 * time.Millisecond)
		}
		slot, ok := r.takeSlot(sums)
		require.True(t, ok)
		require.Equal(t, slots, slot, "the loser's")
		slot, ok = r.takeSlot(sums)
		require.True(t, ok)
		require.Equal(t, slots+1, slot, "the loser's slot was given back once")
		require.NoError(t, b.Close())
	})
}

// TestLostRaceWithoutAFlusher: without a flusher, the loser of a race for a name gives its slot back by itself.
func TestLostRaceWithoutAFlusher(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	r, f, hash := b.registry, &b.registry.families[KindCounter], atomicmap.HashName("x")
	s := r.store(f, hash, "x", nil, ordinary)
	slots := r.slots[sums].Load()
	for range 10 {
		require.Same(t, s, r.store(f, hash, "x", nil, ordinary))
	}
	require.Equal(t, slots+1, r.slots[sums].Load())
}

func TestSeriesBeingRegisteredStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		r := b.registry
		slot, _ := r.takeSlot(sums)
		s := atomicmap.NewEntry(atomicmap.HashName("x"), "x", []Tag(nil), place{slot: slot})
		r.fresh.Store(&arrival{series: s, older: r.fresh.Load()}) // as store does before it is suspended
		for range 5 {
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(time.Second)
		}
		require.EqualValues(t, open, s.Value.state.Load())
		r.families[KindCounter].series.LoadOrStore(s)
		b.IncrCounter("x", 1)
		require.NoError(t, b.Close())
		require.Equal(t, "x", batches[0].Points[0].Name)
	})
}

func TestEveryInstrumentHoldsItsSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithIdleExpiry(time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		c, ti, g, h := b.Counter("c"), b.Timer("t"), b.Gauge("g"), b.Histogram("h", "")
		time.Sleep(time.Minute)
		series, slots := known(b)
		require.Equal(t, [2]int{4, 4}, [2]int{series, slots})
		c.Inc()
		ti.Observe(1)
		g.Set(1)
		h.Observe(1)
		require.NoError(t, b.Close())
		require.Len(t, batches[0].Points, 3, "the gauge was not set then")
		require.Len(t, batches[len(batches)-1].Points, 4)
	})
}

// TestCopyOfAnInstrumentHoldsItsSeries: all copies of an instrument hold its series.
func TestCopyOfAnInstrumentHoldsItsSeries(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithIdleExpiry(time.Millisecond), WithSink(keep(&batches)))
	require.NoError(t, err)
	requests := *b.Counter("requests")
	for range 10 {
		runtime.GC()
		time.Sleep(2 * time.Millisecond)
		require.NoError(t, b.Flush(t.Context()))
	}
	b.IncrCounter("other", 1)
	requests.Add(1000)
	require.NoError(t, b.Close())
	got := make(map[string]int64)
	for _, p := range batches[len(batches)-1].Points {
		got[p.Name] = p.Count
	}
	require.Equal(t, map[string]int64{"requests": 1000, "other": 1}, got)
}

// known counts the series that the registry and the flusher know, without those of the last resort.
func known(b *Buffer) (series, slots int) {
	for i := range b.registry.numbered {
		if f := b.registry.numbered[i].Load(); f != nil {
			series += f.series.Len()
		}
	}
	b.flusher.do(context.Background(), func() {
		b.flusher.collect()
		for in := range b.flusher.series {
			for _, s := range b.flusher.series[in] {
				if s != nil {
					slots++
				}
			}
		}
	})
	return series - kinds, slots - kinds
}

func TestIdleSeriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &auditor{t: t, got: make(amounts)}
		b, err := New(WithSink(sink), WithIdleExpiry(10*time.Second))
		require.NoError(t, err)
		held := b.Counter("held")
		for _, name := range []string{"c", "busy"} {
			b.IncrCounter(name, 1)
			b.IncrTimer(name, constant(name))
			b.SetGauge(name, 1)
		}
		for range 20 {
			time.Sleep(time.Second)
			b.IncrCounter("busy", 1)
		}
		series, slots := known(b)
		require.Equal(t, []int{2, 2}, []int{series, slots}, "held and the counter that is busy remain")
		highest := b.registry.slots[sums].Load()
		b.IncrCounter("c", 5, Tag{"new", "tag"})
		b.IncrCounter("c", 7)
		held.Inc()
		require.LessOrEqual(t, b.registry.slots[sums].Load(), highest+1, "the slot that is free is used again")
		b.Gauge("g").Add(2) // in a slot that was used by another
		require.NoError(t, b.Flush(t.Context()))
		slot := b.registry.find(&b.registry.families[KindGauge], atomicmap.HashName("g"), "g", nil).Value.slot
		require.InDelta(t, 2, b.registry.gauge(slot).value(), 0)
		require.Less(t, b.registry.slots[gauges].Load(), uint32(4))
		require.NoError(t, b.Close())
		require.Equal(t, amounts{
			key(KindGauge, "g"): 0, key(KindCounter, "c"): 8, key(KindCounter, "c", Tag{"new", "tag"}): 5,
			key(KindCounter, "busy"): 21, key(KindCounter, "held"): 1,
			key(KindTimer, "c"): 1, key(KindTimer, "busy"): 1, key(KindGauge, "c"): 0, key(KindGauge, "busy"): 0,
		}, sink.got)
	})
}

func TestSeriesDoesNotExpireWhilePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		sink := &auditor{t: t, got: make(amounts), fault: func(batch *Batch) (int, error) {
			if failing.Load() {
				return 0, fmt.Errorf("injected")
			}
			return len(batch.Points), nil
		}}
		b, err := New(WithSink(sink), WithIdleExpiry(5*time.Second))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		time.Sleep(time.Minute)
		series, _ := known(b)
		require.Equal(t, 1, series)
		b.IncrCounter("c", 1)
		failing.Store(false)
		time.Sleep(time.Minute)
		series, _ = known(b)
		require.Zero(t, series)
		require.Equal(t, amounts{key(KindCounter, "c"): 2}, sink.got)
		require.NoError(t, b.Close())
	})
}

func TestInstrumentKeepsItsSeries(t *testing.T) {
	sink := &auditor{t: t, got: make(amounts)}
	b, err := New(WithSink(sink), WithInterval(time.Millisecond), WithIdleExpiry(time.Millisecond))
	require.NoError(t, err)
	counter := b.Counter("c")
	time.Sleep(50 * time.Millisecond)
	series, _ := known(b)
	require.Equal(t, 1, series)
	counter.Inc()
	runtime.KeepAlive(counter)
	require.Eventually(t, func() bool {
		runtime.GC()
		series, _ := known(b)
		return series == 0
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, b.Close())
	require.EqualValues(t, 1, sink.got[key(KindCounter, "c")])
}

// TestInstrumentsStayAlive: the compiler keeps an instrument alive during the call that uses its series' slot, and a
// buffer during the call that records by name. Otherwise the garbage collector could take them, and the slot would be
// given to another series. This needs a garbage collection within a few nanoseconds. So the test asks the compiler.
func TestInstrumentsStayAlive(t *testing.T) {
	path, err := exec.LookPath("go")
	if err != nil || testing.Short() || !owner.Exclusive {
		t.Skip("builds the package once more, with the go command")
	}
	out, err := exec.Command(path, "build", "-gcflags=-live", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for callee, callers := range map[string]int{
		`instruments.go.*shards\).add: c`:               3, // Counter.Add, Counter.Inc, FractionCounter.Add
		`instruments.go.*shards\).observe: [th.]`:       3, // Timer.Observe, Histogram.Observe, Stopwatch.Stop
		`instruments.go.*shards\).observeTraced: [th]`:  2,
		`buffer.go.*call to .*Buffer\).addNamed: b`:     1,
		`buffer.go.*call to .*Buffer\).observeNamed: b`: 2,
		`buffer.go.*call to .*Buffer\).setNamed: b`:     1,
		`record.go.*call to .*group.recordIn: .*\bg\b`:  1,
	} {
		live := regexp.MustCompile(`(?m)^.*`+callee).FindAllString(string(out), -1)
		require.Len(t, live, callers, "live at calls of %s", callee)
	}
	// The compiler lists calls only. The fast way of Record and the methods of a gauge contain none after inlining.
	source, err := os.ReadFile("record.go")
	require.NoError(t, err)
	require.Contains(t, string(source), "\n\t\t\truntime.KeepAlive(&g[0])\n\t\t\treturn\n")
	source, err = os.ReadFile("instruments.go")
	require.NoError(t, err)
	methods := regexp.MustCompile(`(?s)func \((\w) \*\w+\) \w+\([^{]*\{\n.*?\n}\n`)
	checked := 0
	for _, m := range methods.FindAllStringSubmatch(string(source), -1) {
		if strings.Contains(m[0], ".slot") || strings.Contains(m[0], ".cell.") {
			require.Contains(t, m[0], "\n\t\truntime.KeepAlive("+m[1]+")\n\t}\n}\n")
			checked++
		}
	}
	require.Equal(t, 9, checked)
}

// TestStressExpiry has names come and go while they are written to. So a name is looked up, made idle, removed and
// registered again at the same time.
func TestStressExpiry(t *testing.T) {
	const always = 123_456
	sinks := []*auditor{
		{t: t, always: always, got: make(amounts)},
		{t: t, always: always, got: make(amounts), fault: atRandom},
	}
	b, err := New(WithInterval(time.Millisecond), WithIdleExpiry(shortestExpiry), WithMaxSeries(50),
		WithSink(sinks[0]), WithSink(sinks[1]))
	require.NoError(t, err)
	var stopped atomic.Bool
	var wait sync.WaitGroup
	var mutex sync.Mutex
	recorded := Totals{}
	for w := range 8 {
		wait.Go(func() {
			var sum Totals
			for n := w; !stopped.Load(); n++ {
				name := fmt.Sprint("name ", n%200)
				b.IncrCounter(name, int64(n))
				b.IncrTimer(name, always)
				b.SetGauge(name, 1)
				sum.add(Totals{Increments: int64(n), Observations: 1})
				if n%1000 == 0 {
					b.Counter(name).Inc() // an instrument that is dropped at once
					sum.Increments++
					time.Sleep(time.Millisecond)
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			recorded.add(sum)
		})
	}
	time.Sleep(stressTime(t))
	stopped.Store(true)
	wait.Wait()
	sinks[1].healed.Store(true)
	for b.Flush(t.Context()) != nil {
	}
	stats := b.Stats()
	require.NoError(t, b.Close())
	require.Equal(t, recorded, stats.Recorded)
	for i, sink := range sinks {
		require.Equal(t, recorded, stats.Sinks[i].Acknowledged)
		require.Equal(t, recorded, total(sink.got))
	}
	t.Logf("%d slots of counters for %d series", b.registry.slots[sums].Load(), len(sinks[0].got))
}

// TestNamesWithoutEnd abandons names: a thousand times the limit, or 10 million if METRICSBUFFER_STRESS is set.
func TestNamesWithoutEnd(t *testing.T) {
	limit, names := 1_000, 300_000
	if os.Getenv("METRICSBUFFER_STRESS") != "" {
		limit, names = 10_000, 10_000_000
	}
	var delivered, overflowed int64
	perName := make(map[string]int64)
	b, err := New(WithInterval(10*time.Millisecond), WithMaxSeries(limit), WithIdleExpiry(20*time.Millisecond),
		WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
			for _, p := range batch.Points {
				delivered += p.Count
				switch {
				case p.Name == "steady" || p.Name == overflowName:
					perName[p.Name] += p.Count
				case len(p.Tags) > 0:
					overflowed++
				}
			}
			return nil
		})))
	require.NoError(t, err)
	var stopped atomic.Bool
	var wait sync.WaitGroup
	counter, steady := b.Counter("steady"), make([]int64, 2)
	for w := range steady {
		wait.Go(func() {
			for ; !stopped.Load(); steady[w]++ {
				counter.Inc()
			}
		})
	}
	// The heap is compared when the names are forgotten. Before, it depends on how far the flusher is behind, which is up
	// to the scheduler.
	forgotten := func() bool { return b.Stats().Series <= 2 } // the steady one, and that of all names in common
	early := int64(0)
	for n := range names {
		b.IncrCounter(fmt.Sprint("name ", n), 1)
		if n == names/10 {
			require.Eventually(t, forgotten, time.Minute, time.Millisecond)
			early = heapBytes()
		}
	}
	require.Eventually(t, forgotten, time.Minute, time.Millisecond)
	late, bound := heapBytes(), early+early/4+1<<20
	for i := 0; late >= bound && i < 100; i++ { // chunks that were in use go at one of the next flushes
		time.Sleep(10 * time.Millisecond)
		late = heapBytes()
	}
	require.Less(t, late, bound, "memory at the end, and what is allowed after a tenth of the names")
	stopped.Store(true)
	wait.Wait()
	require.NoError(t, b.Close())
	want := steady[0] + steady[1]
	require.Equal(t, want, perName["steady"])
	require.Equal(t, want+int64(names), delivered)
	t.Logf("%d names, %d overflowed by themselves, %d in common: heap %d KiB after a tenth, %d KiB at the end",
		names, overflowed, perName[overflowName], early>>10, late>>10)
}

// heapBytes returns the number of live bytes on the heap.
func heapBytes() int64 {
	var stats runtime.MemStats
	for range 3 { // the memory that a cleanup releases is freed at the next collection
		done := make(chan struct{})
		runtime.AddCleanup(new(struct{ _ *byte }), func(done chan struct{}) { close(done) }, done)
		runtime.GC()
		<-done
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// touchEverywhere calls f on all Ps, as far as the scheduler spreads goroutines, before and after a flush, so that both
// banks are used.
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
		t.Skip("the promise holds for the build with owner-only words")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n = 100_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("series.%09d", i) // 16 bytes, as much as its copy takes
	}
	acknowledge := SinkFunc(func(context.Context, *Batch) error { return nil })
	before := heapBytes()
	b, err := New(WithInterval(0), WithSink(acknowledge))
	require.NoError(t, err)
	for _, name := range names { // on one goroutine: the loser of a race for a name takes a slot for a while
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

// TestMemoryPerTimer measures timers whose values span three decades, and timers that were never used.
func TestMemoryPerTimer(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the promise holds for the build with owner-only words")
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
	last := timers[2*n-1].slot / distributionsPerChunk
	require.Nil(t, b.shards.common.distributions.at(last), "untouched ones cost nothing")
}

// TestEndOfABatch: no update in a batch is younger than its end, and the next batch starts there. The timer observes
// the time at which it does so.
func TestEndOfABatch(t *testing.T) {
	epoch := time.Now()
	var end time.Time
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		if youngest := epoch.Add(time.Duration(batch.Points[0].Max)); youngest.After(batch.End) {
			t.Errorf("an update is younger than the end of its batch by %v", youngest.Sub(batch.End))
		}
		if !end.IsZero() && !batch.Start.Equal(end) {
			t.Errorf("a batch ends %v and the next starts %v", end, batch.Start)
		}
		end = batch.End
		return nil
	})))
	require.NoError(t, err)
	timer := b.Timer("t")
	var stopped atomic.Bool
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for !stopped.Load() {
				timer.Observe(time.Since(epoch))
			}
		})
	}
	for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); {
		timer.Observe(time.Since(epoch))
		require.NoError(t, b.Flush(t.Context()))
	}
	stopped.Store(true)
	wait.Wait()
	timer.Observe(time.Since(epoch))
	require.NoError(t, b.Close())
}

// TestNamesInAReusedBuffer: what counts is the content of the strings, and not where they are.
func TestNamesInAReusedBuffer(t *testing.T) {
	for _, length := range []int{1, 7, 8, 30} {
		var batches []Batch
		b, err := New(WithInterval(0), WithSink(keep(&batches)))
		require.NoError(t, err)
		text := []byte(strings.Repeat("n", length))
		name := unsafe.String(&text[0], length)
		const names, rounds = 10, 3
		for range rounds {
			for i := range names {
				text[length-1] = byte('0' + i)
				b.IncrCounter(name, 1)
				b.IncrCounter("tagged", 1, Tag{"key", name})
				b.IncrTimer(name, 1)
				b.ObserveHistogram(name, "bytes", 1)
				b.SetGauge(name, float64(i))
				b.With(Tag{"scope", name}).IncrCounter("scoped", 1)
				b.WithPrefix(name).IncrCounter("prefixed", 1)
			}
		}
		require.NoError(t, b.Close())
		require.Len(t, batches, 1)
		require.Len(t, batches[0].Points, 7*names)
		for _, p := range batches[0].Points {
			if p.Kind == KindGauge {
				require.Equal(t, p.Name[length-1:], fmt.Sprint(p.Value))
			} else {
				require.EqualValues(t, rounds, p.Count, "%v %s %v", p.Kind, p.Name, p.Tags)
			}
		}
	}
}

// TestNameThatExpiresAndComesBack records by name again and again while the series expires in between. Each slot goes
// to the other name.
func TestNameThatExpiresAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := make(map[string]int64)
		b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(SinkFunc(
			func(_ context.Context, batch *Batch) error {
				for _, p := range batch.Points {
					counts[p.Name] += p.Count
				}
				return nil
			})))
		require.NoError(t, err)
		const rounds = 20
		for i := range rounds {
			name := []string{"first name", "second name"}[i%2]
			for range 3 {
				b.IncrCounter(name, 1)
				b.IncrTimer(name, 1)
			}
			for range 40 {
				time.Sleep(100 * time.Millisecond)
				require.NoError(t, b.Flush(t.Context()))
			}
			require.Zero(t, b.Stats().Series)
			require.Nil(t, b.registry.families[KindCounter].series.Hint(name), "nothing is kept of it")
		}
		require.Equal(t, map[string]int64{"first name": 6 * rounds / 2, "second name": 6 * rounds / 2}, counts)
		require.NoError(t, b.Close())
	})
}

// TestStoppedPollIsFreed: a stopped function is kept no longer.
func TestStoppedPollIsFreed(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	b.Poll(func() {}).Stop()
	require.Empty(t, *b.polls.all.Load())
}

// TestReserveThatFails: a series that finds no place in its storage does not count against the limit.
func TestReserveThatFails(t *testing.T) {
	r := newRegistry(10, false, false)
	r.places[ordinary][sums].limit = 0
	require.False(t, r.reserve(sums, ordinary))
	require.Zero(t, r.series[ordinary].used.Load())
}
