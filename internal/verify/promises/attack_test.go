package promises

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// Faults that an attack on the library has found, each with its sisters.

// eager is a sink that flushes while it is attached.
type eager struct {
	sinktest.Recorder
	flush func(context.Context) error
	err   error
}

func (e *eager) Attach(flush func(context.Context) error) error {
	e.flush = flush
	if err := flush(context.Background()); err != nil {
		return err
	}
	if e.err != nil {
		panic(e.err)
	}
	return nil
}

func TestAttachMayFlush(t *testing.T) {
	sink := new(eager)
	b, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

// TestAttachPanics: New returns an error, closes no sink, and leaves no goroutine.
func TestAttachPanics(t *testing.T) {
	first, closed := new(eager), &closable{Sink: new(sinktest.Recorder)}
	b, err := metricsbuffer.New(metricsbuffer.WithSink(first), metricsbuffer.WithSink(closed),
		metricsbuffer.WithSink(&eager{err: errors.New("injected")}, metricsbuffer.SinkName("last")))
	require.Nil(t, b)
	require.ErrorContains(t, err, `sink "last"`)
	require.ErrorContains(t, err, "a panic in Attach: injected")
	require.ErrorIs(t, first.flush(t.Context()), metricsbuffer.ErrClosed)
	require.Zero(t, closed.closes.Load())

	_, err = metricsbuffer.New(metricsbuffer.WithSink(&eager{err: new(leaver)}))
	require.ErrorContains(t, err, "a panic in Attach: a *promises.leaver")
}

// TestUpdatesAreOfTheirInstrument: an update is of the instrument that made it, also if the variable that held the
// instrument has another one by now.
func TestUpdatesAreOfTheirInstrument(t *testing.T) {
	b, recorder := newBuffer(t)
	var counter metricsbuffer.Counter
	var updates []metricsbuffer.Update
	for i := range 3 {
		counter = *b.Counter(fmt.Sprint("c", i))
		updates = append(updates, counter.Delta(1))
	}
	metricsbuffer.Record(updates...)
	require.NoError(t, b.Flush(t.Context()))
	for i := range 3 {
		require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, fmt.Sprint("c", i)).Count)
	}
}

// TestRecordOfManyNewTimers: all that is missing is made in one pass.
func TestRecordOfManyNewTimers(t *testing.T) {
	b, err := metricsbuffer.New()
	require.NoError(t, err)
	const n = 16_000
	updates := make([]metricsbuffer.Update, n, 2*n)
	for i := range n { // and as many updates that do nothing before them
		updates = append(updates, b.Timer(fmt.Sprint(i)).Took(time.Duration(i+1)))
	}
	begin := time.Now()
	metricsbuffer.Record(updates...)
	t.Logf("%v", time.Since(begin))
	require.EqualValues(t, n, b.Stats().Recorded.Observations)
}

// TestClosedBufferIsFreed: a sink that lives on does not keep the memory of a closed buffer.
func TestClosedBufferIsFreed(t *testing.T) {
	sink := new(asked)
	buffer := func() weak.Pointer[metricsbuffer.Buffer] {
		b, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
		require.NoError(t, err)
		for i := range 1000 {
			b.IncrTimer(fmt.Sprint(i), 1)
		}
		require.NoError(t, b.Close())
		return weak.Make(b)
	}()
	bytes := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	require.Eventually(t, func() bool { bytes(); return buffer.Value() == nil }, 10*time.Second, time.Millisecond)
	before := bytes()
	for range 20 {
		b, err := metricsbuffer.New(metricsbuffer.WithSink(new(keptFlush)))
		require.NoError(t, err)
		for i := range 1000 {
			b.IncrTimer(fmt.Sprint(i), 1)
		}
		require.NoError(t, b.Close())
	}
	require.Less(t, bytes()-before, int64(2<<20), "20 closed buffers with 1,000 timers each")
	require.ErrorIs(t, sink.flush(t.Context()), metricsbuffer.ErrClosed)
}

// keptFlush lives as long as the program, as a collector in a registry does.
type keptFlush struct{ flush func(context.Context) error }

var kept []*keptFlush

func (k *keptFlush) Write(context.Context, *metricsbuffer.Batch) error { return nil }

func (k *keptFlush) Attach(flush func(context.Context) error) error {
	k.flush = flush
	kept = append(kept, k)
	return nil
}

// TestZeroValuesInALocal: zero instruments and a zero Local do nothing.
func TestZeroValuesInALocal(t *testing.T) {
	b, _ := newBuffer(t)
	for _, local := range []*metricsbuffer.Local{b.Local(), {}} {
		local.Counter(new(metricsbuffer.Counter)).Inc()
		local.Timer(new(metricsbuffer.Timer)).Observe(1)
		local.Histogram(new(metricsbuffer.Histogram)).Observe(1)
		local.Commit()
	}
	new(metricsbuffer.Local).Counter(b.Counter("c")).Inc()
	require.Zero(t, b.Stats().Recorded)
}

// loop is a sink that wraps itself.
type loop struct{ sinktest.Recorder }

func (l *loop) Unwrap() metricsbuffer.Sink { return l }

// nothing is a sink of no size.
type nothing struct{}

func (*nothing) Write(context.Context, *metricsbuffer.Batch) error { return nil }

func TestStrangeSinks(t *testing.T) {
	b, err := metricsbuffer.New(metricsbuffer.WithSink(new(loop)), metricsbuffer.WithSink(new(nothing)),
		metricsbuffer.WithSink(new(nothing)))
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

// TestPendingSeriesAreCountedOnce: a series that is being written and was recorded in again is one.
func TestPendingSeriesAreCountedOnce(t *testing.T) {
	recorder := new(sinktest.Recorder)
	hanging, release := sinktest.Hanging(recorder)
	b, err := metricsbuffer.New(metricsbuffer.WithSink(hanging), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	counter := b.Counter("c")
	counter.Inc()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, b.Flush(ctx))
	counter.Inc()
	require.Equal(t, 1, b.Stats().Sinks[0].PendingSeries)
	release()
	require.NoError(t, b.Close())
}

// TestLongReasons: a long reason costs no more than a short one.
func TestLongReasons(t *testing.T) {
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			batch.Drop(0, strings.Repeat("long", 1<<20))
			return nil
		})))
	require.NoError(t, err)
	b.IncrCounter("c", 1)
	require.NoError(t, b.Flush(t.Context()))
	for reason := range b.Stats().Sinks[0].Drops {
		require.LessOrEqual(t, len(reason), 200)
	}
	require.NoError(t, b.Close())
}

// TestReasonsInAReusedBuffer: the reason of a drop is copied when it is given.
func TestReasonsInAReusedBuffer(t *testing.T) {
	buffer := make([]byte, 8)
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			for i := range batch.Points {
				batch.Drop(i, unsafe.String(&buffer[0], copy(buffer, fmt.Sprint("reason ", i))))
			}
			return nil
		})))
	require.NoError(t, err)
	b.IncrCounter("a", 1)
	b.IncrCounter("b", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, map[string]int64{"reason 0": 1, "reason 1": 1}, b.Stats().Sinks[0].Drops)
	require.NoError(t, b.Close())
}

// TestOverflowWithoutSinks: Stats tells of overflow also where nothing collects.
func TestOverflowWithoutSinks(t *testing.T) {
	for name, opts := range map[string][]metricsbuffer.Option{
		"no sink": nil, "closed": {metricsbuffer.WithSink(new(sinktest.Recorder)), metricsbuffer.WithInterval(0)},
	} {
		b, err := metricsbuffer.New(append(opts, metricsbuffer.WithMaxSeries(1))...)
		require.NoError(t, err)
		if name == "closed" {
			b.IncrCounter("c", 1, tag("user", "0"))
			b.IncrCounter("c", 1, tag("user", "1"))
			require.NoError(t, b.Close())
		} else {
			b.IncrCounter("c", 2, tag("user", "0"))
		}
		for i := 1; i < 100; i++ {
			b.IncrCounter("c", 1, tag("user", fmt.Sprint(i)))
		}
		stats := b.Stats()
		counters := int64(99)
		if name == "closed" {
			counters++
		}
		require.Equal(t, metricsbuffer.Totals{Increments: counters}, stats.Overflowed, name)
		require.Equal(t, []metricsbuffer.Overflow{
			{Name: "c", Kind: metricsbuffer.KindCounter, Count: counters},
		}, stats.Overflows, name)
	}
}

// deadly is an error that panics with itself when anybody reads it.
type deadly struct{ _ int }

func (d *deadly) Error() string { panic(d) }

func (d *deadly) String() string { panic(d) }

func (d *deadly) Write(context.Context, *metricsbuffer.Batch) error { return d }

func (d *deadly) Close() error { return d }

// TestErrorsThatPanic: an error, or the value of a panic, harms nobody that reads it, also if its methods panic.
func TestErrorsThatPanic(t *testing.T) {
	var typed *deadly
	for name, write := range map[string]func() error{
		"error": func() error { return new(deadly) }, "nil of a type": func() error { return typed },
		"panic": func() error { panic(new(deadly)) },
	} {
		told := make(chan string, 10)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithErrorHandler(func(err error) { told <- err.Error() }),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return write() })),
			metricsbuffer.WithSink(new(deadly)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		err = b.Flush(t.Context())
		require.ErrorContains(t, err, "panic", name)
		require.Contains(t, <-told, "panic")
		require.ErrorContains(t, b.Stats().Sinks[0].LastError, "panic")
		require.ErrorContains(t, b.Close(), "Close: a *promises.deadly whose methods panic")
	}
}

// leaver is an error whose methods end their goroutine. A second call of them never returns.
type leaver struct{ calls atomic.Int32 }

func (l *leaver) Error() string {
	if l.calls.Add(1) > 1 {
		select {}
	}
	runtime.Goexit()
	return ""
}

// TestErrorsThatExit: an error, or the value of a panic, whose methods end the goroutine is one failure of its sink.
func TestErrorsThatExit(t *testing.T) {
	for name, write := range map[string]func() error{
		"error": func() error { return new(leaver) },
		"panic": func() error { panic(new(leaver)) },
	} {
		fails := true
		told := make(chan error, 10)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithErrorHandler(func(err error) { told <- err }),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
				if fails {
					return write()
				}
				return nil
			})))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		require.ErrorContains(t, b.Flush(t.Context()), "*promises.leaver", name)
		require.ErrorContains(t, <-told, "*promises.leaver", name)
		fails = false
		require.NoError(t, b.Flush(t.Context()), name)
		require.NoError(t, b.Close(), name)
		stats := b.Stats().Sinks[0]
		require.EqualValues(t, 1, stats.Failures, name)
		require.Equal(t, b.Stats().Recorded, stats.Acknowledged, name)
	}
}

// TestHandlerThatExits: an error handler that ends its goroutine each time is told of everything nevertheless.
func TestHandlerThatExits(t *testing.T) {
	const points = 10
	told := make(chan string, points+1)
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
		metricsbuffer.WithErrorHandler(func(err error) {
			told <- err.Error()
			runtime.Goexit()
		}),
		metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
			for i := range batch.Points {
				batch.Drop(i, "reason "+batch.Points[i].Name)
			}
			return errors.New("it failed, too")
		})))
	require.NoError(t, err)
	for i := range points {
		b.IncrCounter(strconv.Itoa(i), 1)
	}
	require.ErrorContains(t, b.Flush(t.Context()), "it failed, too")
	all := ""
	for range points + 1 {
		all += <-told + "\n"
	}
	for i := range points {
		require.Contains(t, all, "reason "+strconv.Itoa(i))
	}
	require.Contains(t, all, "it failed, too")
	require.NoError(t, b.Close())
}

// TestLocalIsOfItsInstrument: the variable that held a counter may hold another one by now, also one of another buffer.
func TestLocalIsOfItsInstrument(t *testing.T) {
	b, recorder := newBuffer(t)
	local := b.Local()
	var counter metricsbuffer.Counter
	for i, name := range []string{"a", "b", "c"} {
		counter = *b.Counter(name)
		local.Counter(&counter).Add(int64(i + 1))
	}
	local.Commit()
	require.NoError(t, b.Flush(t.Context()))
	for i, name := range []string{"a", "b", "c"} {
		require.EqualValues(t, i+1, recorder.Total(metricsbuffer.KindCounter, name).Count, name)
	}
	other, err := metricsbuffer.New()
	require.NoError(t, err)
	counter = *other.Counter("c")
	require.Panics(t, func() { local.Counter(&counter).Inc() })
	counter = metricsbuffer.Counter{}
	require.Nil(t, local.Counter(&counter))
	require.Nil(t, local.Counter(nil))
}

// TestEndsAreBounded: a sink that never returns nil does not make the ends of series pile up. If it acknowledges
// anything, it acknowledges the ends, too; else they count against the limit of series.
func TestEndsAreBounded(t *testing.T) {
	for name, acknowledge := range map[string]bool{"acknowledges": true, "only drops": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const limit = 100
				ended, highest := 0, uint32(0)
				b, err := metricsbuffer.New(metricsbuffer.WithIdleExpiry(time.Second), metricsbuffer.WithMaxSeries(limit),
					metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
						ended = max(ended, len(batch.Ended))
						for i, p := range batch.Points {
							highest = max(highest, p.ID)
							if !acknowledge {
								batch.Drop(i, "injected")
							}
						}
						if acknowledge {
							batch.Acknowledge(len(batch.Points))
						}
						return errors.New("injected")
					})))
				require.NoError(t, err)
				for round := range 100 {
					for i := range limit / 10 {
						b.IncrTimer(fmt.Sprint(round, "-", i), 1)
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				require.LessOrEqual(t, ended, 2*limit)
				require.Less(t, highest, uint32(4*limit))
				overflowed := b.Stats().Overflowed.Observations
				require.Equal(t, acknowledge, overflowed == 0, overflowed)
				_ = b.Close()
			})
		})
	}
}

// TestStartAfterAFailedEnd: a batch that had nothing but ends has failed; the next one has its start.
func TestStartAfterAFailedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		var failed time.Time
		b, err := metricsbuffer.New(metricsbuffer.WithIdleExpiry(time.Second), metricsbuffer.WithSink(
			metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				if len(batch.Ended) > 0 && failed.IsZero() {
					require.Empty(t, batch.Points)
					failed = batch.Start
					return errors.New("injected")
				}
				return recorder.Write(ctx, batch)
			})))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		time.Sleep(10 * time.Second)
		require.NoError(t, b.Close())
		require.False(t, failed.IsZero())
		batches := recorder.Batches()
		require.Len(t, batches, 2)
		require.Equal(t, failed, batches[1].Start)
		require.Len(t, batches[1].Ended, 1)
	})
}

// TestGaugesHaveNoValueBeforeTheyAreSet: no batch has a value that nobody has set, also if the gauge is described.
func TestGaugesHaveNoValueBeforeTheyAreSet(t *testing.T) {
	b, recorder := newBuffer(t)
	gauge := b.Gauge("g")
	require.NoError(t, b.Flush(t.Context()))
	b.Describe("g", "help", "")
	require.NoError(t, b.Flush(t.Context()))
	_, err := recorder.Find(metricsbuffer.KindGauge, "g")
	require.Error(t, err)
	gauge.Set(0)
	require.NoError(t, b.Flush(t.Context()))
	require.Zero(t, recorder.Total(metricsbuffer.KindGauge, "g").Value)
	b.Describe("g", "another help", "")
	require.NoError(t, b.Flush(t.Context()))
	batches := recorder.Batches()
	require.Equal(t, "another help", batches[len(batches)-1].Points[0].Help)
}

// TestUpdatesThatAddUpToZeroAreUse: a counter whose updates cancel out is in use, and does not end.
func TestUpdatesThatAddUpToZeroAreUse(t *testing.T) {
	for _, delta := range []int64{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			const expiry = 20 * time.Second
			ends := make(chan time.Time, 100)
			b, err := metricsbuffer.New(metricsbuffer.WithIdleExpiry(expiry), metricsbuffer.WithSink(
				metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
					for range batch.Ended {
						ends <- time.Now()
					}
					return nil
				})))
			require.NoError(t, err)
			time.Sleep(time.Second / 2)
			var latest time.Time
			for range 100 {
				b.IncrCounter("in flight", delta)
				b.IncrCounter("in flight", -delta)
				latest = time.Now()
				time.Sleep(7 * time.Second)
			}
			require.Empty(t, ends)
			time.Sleep(2 * expiry)
			require.Len(t, ends, 1)
			idle := (<-ends).Sub(latest)
			require.GreaterOrEqual(t, idle, expiry)
			require.LessOrEqual(t, idle, expiry*5/4+2*time.Second)
			require.NoError(t, b.Close())
		})
	}
}

// TestAttachEndsItsGoroutine: New leaves no goroutine behind, although it does not return.
func TestAttachEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		first := new(eager)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = metricsbuffer.New(metricsbuffer.WithSink(first), metricsbuffer.WithSink(&exiting{}))
		}()
		<-done
		require.ErrorIs(t, first.flush(t.Context()), metricsbuffer.ErrClosed)
	})
}

type exiting struct{ sinktest.Recorder }

func (*exiting) Attach(func(context.Context) error) error { runtime.Goexit(); return nil }

// TestPrefixIsCopied: the bytes of a prefix may change after the call.
func TestPrefixIsCopied(t *testing.T) {
	b, recorder := newBuffer(t)
	bytes := []byte("http.")
	prefix := unsafe.String(&bytes[0], len(bytes))
	scopes := []*metricsbuffer.Buffer{b.WithPrefix(prefix), b.With(tag("k", "v")).WithPrefix(prefix)}
	copy(bytes, "evil\n")
	for _, scope := range scopes {
		scope.IncrCounter("requests", 1)
	}
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "http.requests").Count)
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "http.requests", tag("k", "v")).Count)
}

// TestLabelOfANilPointer: a label that is an interface with a nil pointer in it is empty, like a nil pointer.
func TestLabelOfANilPointer(t *testing.T) {
	b, recorder := newBuffer(t)
	type labels struct{ Place fmt.Stringer }
	vec := metricsbuffer.Must(metricsbuffer.NewCounterVec[labels](b, "c"))
	vec.With(labels{(*url.URL)(nil)}).Inc()
	vec.With(labels{}).Inc()
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "c", tag("Place", "")).Count)
}

// TestOverflowAfterExpiry: an overflow series that has expired leaves its account to none that comes after it.
func TestOverflowAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithMaxSeries(2), metricsbuffer.WithIdleExpiry(time.Second),
			metricsbuffer.WithSink(recorder))
		require.NoError(t, err)
		for round := range 50 {
			for i := range 4 {
				b.IncrCounter(fmt.Sprint(round, "-", i), 1)
			}
			time.Sleep(10 * time.Second)
		}
		require.EqualValues(t, 100, b.Stats().Overflowed.Increments)
		require.Empty(t, b.Stats().Overflows, "all have expired")
		b.IncrCounter("fine", 7)
		time.Sleep(time.Second)
		require.EqualValues(t, 100, b.Stats().Overflowed.Increments)
		require.Empty(t, b.Stats().Overflows)
		require.NoError(t, b.Close())
		require.NoError(t, recorder.Err())
	})
}

// TestSinkPanicsWhileSeriesAreAdded: the series of a batch stay in memory while Write panics. The collector reads the
// frame of a panicking function as if it continued at its deferred functions; a parameter that was no longer used had
// its memory freed before, and the process ended with "found bad pointer in Go heap".
func TestSinkPanicsWhileSeriesAreAdded(t *testing.T) {
	stop := make(chan struct{})
	var collecting sync.WaitGroup
	collecting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	var panics atomic.Int64
	for range 10 {
		opts := []metricsbuffer.Option{metricsbuffer.WithInterval(time.Millisecond),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil }))}
		for range 8 {
			opts = append(opts, metricsbuffer.WithSink(metricsbuffer.SinkFunc(
				func(context.Context, *metricsbuffer.Batch) error {
					time.Sleep(4 * time.Millisecond) // so that the flusher has other memory for its series meanwhile
					panics.Add(1)
					panic("injected")
				})))
		}
		b, err := metricsbuffer.New(opts...)
		require.NoError(t, err)
		for i := range 1000 {
			b.IncrCounter(fmt.Sprint("c", i), 1)
			if i%20 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		require.Error(t, b.Close())
	}
	close(stop)
	collecting.Wait()
	require.Positive(t, panics.Load())
}
