package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
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
		require.ErrorContains(t, b.Close(), "Close: an error of type *promises.deadly")
	}
}
