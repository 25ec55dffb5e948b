package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// keep is a sink that keeps the batches' points, without their buckets.
func keep(batches *[]Batch) Sink {
	return SinkFunc(func(_ context.Context, batch *Batch) error {
		copied := Batch{Start: batch.Start, End: batch.End, Points: append([]Point(nil), batch.Points...)}
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

// TestMissedIntervalsAreSkipped: a flusher that was kept from running collects once, and keeps to the times it had.
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
		require.Equal(t, b.shards.procs.Load()+1, flips, "one collection for all that was missed")
		b.IncrCounter("c", 1)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, batches, 1)
		require.Equal(t, 4*time.Second, batches[0].End.Sub(begin))
		require.NoError(t, b.Close())
	})
}

// TestCloseIsHeardAtOnce: however little time it is given, the flusher ends.
func TestCloseIsHeardAtOnce(t *testing.T) {
	for range 100 {
		var batches []Batch
		b, err := New(WithInterval(time.Millisecond), WithCloseTimeout(1), WithSink(keep(&batches)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		_ = b.Close() // may be too late for the last batch
		select {
		case <-b.flusher.done:
		case <-time.After(10 * time.Second):
			require.Fail(t, "the flusher goes on")
		}
		require.ErrorIs(t, b.Flush(t.Context()), ErrClosed)
	}
}

// TestStartOfABatchThatWaited: nothing in a batch is older than its start, also if the batch before was put together
// long after the collection that it is from.
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

// An errorThatAsks calls the buffer back.
type errorThatAsks struct{ b *Buffer }

func (e *errorThatAsks) Error() string { return fmt.Sprint("after ", e.b.Stats().Recorded) }

// TestErrorsRunNowhereNearTheFlusher: an error's method may do anything.
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

// TestErrorHandlerThatBlocks has one goroutine, and misses all failures but the latest.
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

// TestUnitIsNobodysTag: no tag can stand in its way.
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

// TestEveryNameHasRoom: totals per name are right for as long as the names are fewer than the limit, however many
// series there are of one.
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
	const series = 150_000 // of timers there can be 131,072
	for i := range series {
		b.IncrTimer("requests", 1, Tag{"user", fmt.Sprint(i)})
	}
	for i := range 100 {
		b.IncrTimer(fmt.Sprint("late ", i%10), 1)
	}
	require.NoError(t, b.Close())
	require.EqualValues(t, series, perName["requests"])
	require.EqualValues(t, 10, perName["late 3"])
	require.Zero(t, perName[overflowName])
}

// TestZeroValuesDoNothing: they work as nil does. (In a pinned section a nil pointer would end the process.)
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

// TestFirstDropOfEachReasonIsReported: Flush returns nil when a sink drops points. The error handler hears of it.
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
			require.Contains(t, handled[i], `[{k yyy`)
			require.Contains(t, handled[i], "too long: "+unit)
			require.Less(t, len(handled[i]), 800)
		}
		require.Equal(t, map[string]int64{"too long: bytes": 2, "too long: lines": 2, "too long: seconds": 1},
			b.Stats().Sinks[0].Drops)
		require.NoError(t, b.Close())
	})
}

// TestReasonsWithoutEnd: a sink that makes up a reason for each point costs neither memory nor the handler's time.
// While the handler is busy, no drop goes unreported.
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
