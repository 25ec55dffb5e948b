package promises

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestEverySinkHasItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow, never := new(sinktest.Recorder), new(sinktest.Recorder), new(sinktest.Recorder)
		b, err := metricsbuffer.New(
			metricsbuffer.WithSink(fast), // every second
			metricsbuffer.WithSink(slow, metricsbuffer.SinkInterval(5*time.Second)),
			metricsbuffer.WithSink(never, metricsbuffer.SinkInterval(0)))
		require.NoError(t, err)
		begin := time.Now()
		time.Sleep(time.Second / 2)
		for range 10 {
			b.IncrCounter("c", 1)
			time.Sleep(time.Second)
		}
		require.Len(t, fast.Batches(), 10)
		require.Len(t, slow.Batches(), 2)
		require.Empty(t, never.Batches())
		for i, batch := range fast.Batches() {
			require.Equal(t, begin.Add(time.Duration(i)*time.Second), batch.Start)
			require.Equal(t, begin.Add(time.Duration(i+1)*time.Second), batch.End)
		}
		require.NoError(t, b.Close())
		for _, recorder := range []*sinktest.Recorder{fast, slow, never} {
			require.EqualValues(t, 10, recorder.Total(metricsbuffer.KindCounter, "c").Count)
		}
	})
}

// TestFailedBatchIsMerged tests for the bug that this library comes from: the updates of a failed batch arrive once, in
// the next batch, which keeps the earlier start.
func TestFailedBatchIsMerged(t *testing.T) {
	failures := map[string]func() error{
		"error": func() error { return errors.New("injected") },
		"panic": func() error { panic("injected") },
		"exit":  func() error { runtime.Goexit(); return nil },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := new(sinktest.Recorder)
				writes := 0
				b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
					metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
						if writes++; writes <= 2 {
							return fail()
						}
						return recorder.Write(ctx, batch)
					}), metricsbuffer.SinkName("faulty")))
				require.NoError(t, err)
				begin := time.Now()
				for i := range 3 {
					b.IncrCounter("c", 1)
					b.IncrTimer("t", time.Duration(i+1))
					b.SetGauge("g", float64(i))
					time.Sleep(time.Second)
					err := b.Flush(t.Context())
					if i < 2 {
						require.ErrorContains(t, err, `sink "faulty"`)
						stats := b.Stats()
						require.Equal(t, stats.Recorded, stats.Sinks[0].Pending)
						require.EqualValues(t, i+1, stats.Sinks[0].Failures)
						require.Error(t, stats.Sinks[0].LastError)
					} else {
						require.NoError(t, err)
					}
				}
				require.Len(t, recorder.Batches(), 1)
				batch := recorder.Batches()[0]
				require.Equal(t, begin, batch.Start)
				require.Equal(t, begin.Add(3*time.Second), batch.End)
				require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "c").Count)
				timer := recorder.Total(metricsbuffer.KindTimer, "t")
				require.Equal(t, [4]int64{3, 6, 1, 3}, [4]int64{timer.Count, timer.Sum, timer.Min, timer.Max})
				require.InDelta(t, 2, recorder.Total(metricsbuffer.KindGauge, "g").Value, 0)
				stats := b.Stats()
				require.Equal(t, stats.Recorded, stats.Sinks[0].Acknowledged)
				require.NoError(t, b.Close())
			})
		})
	}
}

// TestFailedBatchKeepsItsGauges: a gauge that was set once, before the failure, arrives with the next batch.
func TestFailedBatchKeepsItsGauges(t *testing.T) {
	recorder := new(sinktest.Recorder)
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
		metricsbuffer.WithSink(sinktest.Failing(recorder, func(write int64) bool { return write <= 2 })))
	require.NoError(t, err)
	b.SetGauge("by name", 1)
	b.Gauge("g").Set(2)
	require.Error(t, b.Flush(t.Context()))
	require.Equal(t, 2, b.Stats().Sinks[0].PendingSeries)
	require.Error(t, b.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	require.InDelta(t, 1, recorder.Total(metricsbuffer.KindGauge, "by name").Value, 0)
	require.InDelta(t, 2, recorder.Total(metricsbuffer.KindGauge, "g").Value, 0)
	require.Len(t, recorder.Batches(), 1)
	require.NoError(t, b.Close())
}

// TestEveryBatchHasItsOwnDeadline: a batch that is written right after another has all of the sink's timeout.
func TestEveryBatchHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled []error
		var deadlines []time.Duration
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithErrorHandler(func(err error) { handled = append(handled, err) }),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(ctx context.Context, _ *metricsbuffer.Batch) error {
				deadline, _ := ctx.Deadline()
				deadlines = append(deadlines, time.Until(deadline))
				time.Sleep(2900 * time.Millisecond)
				return ctx.Err()
			}), metricsbuffer.SinkTimeout(3*time.Second)))
		require.NoError(t, err)
		flushes := make(chan error)
		const calls, batches = 5, 4 // one batch serves the last two calls
		for range calls {
			b.IncrCounter("c", 1)
			go func() { flushes <- b.Flush(t.Context()) }() // while the batch before is being written
			time.Sleep(2 * time.Second)
		}
		for range calls {
			require.NoError(t, <-flushes)
		}
		require.NoError(t, b.Close())
		synctest.Wait()
		require.Empty(t, handled)
		require.Len(t, deadlines, batches)
		for _, d := range deadlines {
			require.Equal(t, 3*time.Second, d)
		}
	})
}

func TestPartlyAcknowledgedBatch(t *testing.T) {
	recorder := new(sinktest.Recorder)
	writes := 0
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
		metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			if writes++; writes > 1 {
				return recorder.Write(ctx, batch)
			}
			part := *batch
			part.Points = batch.Points[:2]
			require.NoError(t, recorder.Write(ctx, &part))
			batch.Acknowledge(2)
			batch.Acknowledge(1) // changes nothing
			batch.Drop(3, "too long")
			require.Panics(t, func() { batch.Drop(len(batch.Points), "") })
			return errors.New("connection reset")
		})))
	require.NoError(t, err)
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		b.IncrCounter(name, int64(i+1))
	}
	b.IncrTimer("t", 1)
	b.SetGauge("g", 1)
	require.ErrorContains(t, b.Flush(t.Context()), "connection reset")
	stats := b.Stats()
	require.Equal(t, metricsbuffer.Totals{Increments: 1 + 2}, stats.Sinks[0].Acknowledged)
	require.Equal(t, metricsbuffer.Totals{Increments: 4}, stats.Sinks[0].Dropped)
	require.Equal(t, metricsbuffer.Totals{Increments: 3 + 5, Observations: 1}, stats.Sinks[0].Pending)
	require.Equal(t, map[string]int64{"too long": 1}, stats.Sinks[0].Drops)
	requireBalance(t, stats)
	require.NoError(t, b.Close())
	for name, want := range map[string]int64{"a": 1, "b": 2, "c": 3, "e": 5} {
		require.Equal(t, want, recorder.Total(metricsbuffer.KindCounter, name).Count, name)
	}
	_, err = recorder.Find(metricsbuffer.KindCounter, "d")
	require.Error(t, err, "d was dropped")
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindTimer, "t").Count)
	require.NoError(t, recorder.Err())
}

// A sink that never gets to the end of its batches in time, or that always fails at one point, delivers all other
// points. Those behind the failure waited for ever once.
func TestFailuresHoldUpNoOtherPoint(t *testing.T) {
	const rounds = 100
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "timer", "gauge"}
	for _, c := range []struct {
		bad  string
		time int // for so many points
	}{{time: 1}, {time: 3}, {time: 9}, {bad: "a"}, {bad: "e"}, {bad: "gauge"}, {bad: "e", time: 3}} {
		delivered := make(map[string]int)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
				for i := range batch.Points {
					if batch.Points[i].Name == c.bad || c.time > 0 && i == c.time {
						return errors.New("no")
					}
					delivered[batch.Points[i].Name]++
					batch.Acknowledge(i + 1)
				}
				return nil
			})))
		require.NoError(t, err)
		for range rounds {
			for _, name := range names[:8] {
				b.IncrCounter(name, 1)
			}
			b.IncrTimer("timer", 1)
			b.SetGauge("gauge", 1)
			require.Error(t, b.Flush(t.Context()))
		}
		for _, name := range names {
			if name != c.bad {
				require.GreaterOrEqual(t, delivered[name], rounds/len(names)-1, "%+v: %v", c, delivered)
			}
		}
		requireBalance(t, b.Stats())
		_ = b.Close()
	}
}

// TestSinkPastItsTimeout: no caller waits for a sink past its timeout. Its result still counts when it returns.
func TestSinkPastItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		hanging, release := sinktest.Hanging(recorder)
		handled := make(chan error, 1)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithErrorHandler(func(err error) { handled <- err }),
			metricsbuffer.WithSink(hanging, metricsbuffer.SinkName("hanging"), metricsbuffer.SinkTimeout(time.Second)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		begin := time.Now()
		err = b.Flush(t.Context())
		require.ErrorContains(t, err, `sink "hanging"`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second+100*time.Millisecond, time.Since(begin))
		require.Equal(t, err, errors.Join(<-handled))
		b.IncrCounter("c", 2)
		require.Error(t, b.Flush(t.Context()), "as long as it hangs")
		require.Equal(t, time.Second+100*time.Millisecond, time.Since(begin), "it is known to hang: no caller waits again")
		release()
		synctest.Wait()
		require.EqualValues(t, 1, b.Stats().Sinks[0].Acknowledged.Increments)
		require.NoError(t, b.Flush(t.Context()))
		require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "c").Count)
		require.NoError(t, b.Close())
		require.NoError(t, recorder.Err())
	})
}

// TestErrorsNameTheOptionOfTime: "context deadline exceeded" alone does not tell which time is over.
func TestErrorsNameTheOptionOfTime(t *testing.T) {
	obedient := metricsbuffer.SinkFunc(func(ctx context.Context, _ *metricsbuffer.Batch) error {
		<-ctx.Done()
		return ctx.Err()
	})
	synctest.Test(t, func(t *testing.T) {
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithSink(obedient, metricsbuffer.SinkTimeout(2*time.Second)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		err = b.Flush(t.Context())
		require.ErrorContains(t, err, "the 2s of SinkTimeout are over: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, b.Close(), "the 2s of SinkTimeout are over")
	})
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan error, 1)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithCloseTimeout(3*time.Second),
			metricsbuffer.WithErrorHandler(func(err error) { handled <- err }), metricsbuffer.WithSink(obedient))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		err = b.Close()
		require.ErrorContains(t, err, "the buffer's time to close (WithCloseTimeout) is over after 3s")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, <-handled, "the buffer's time to close (WithCloseTimeout) is over: context canceled")
	})
}

// TestErrorHandlerThatEndsItsGoroutine is told of the next failure all the same.
func TestErrorHandlerThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled []error
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithErrorHandler(func(err error) {
				handled = append(handled, err)
				runtime.Goexit()
			}),
			metricsbuffer.WithSink(sinktest.Failing(new(sinktest.Recorder), func(write int64) bool { return write <= 2 })))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		for failure := range 2 {
			require.Error(t, b.Flush(t.Context()))
			synctest.Wait()
			require.Len(t, handled, failure+1)
		}
		require.NoError(t, b.Close())
	})
}

// TestFlushWaitsForWhatIsBeingWritten: a flush whose updates are in a batch under way waits for that batch. If the
// batch fails, the flush waits for the next one.
func TestFlushWaitsForWhatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		begun, proceed := make(chan struct{}), make(chan error)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				begun <- struct{}{}
				if err := <-proceed; err != nil {
					return err
				}
				return recorder.Write(ctx, batch)
			})))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { first <- b.Flush(t.Context()) }()
		<-begun
		go func() { second <- b.Flush(t.Context()) }()
		go func() { third <- b.Flush(t.Context()) }()
		synctest.Wait()
		require.Empty(t, second)
		proceed <- errors.New("injected")
		require.Error(t, <-first)
		<-begun // the next batch follows at once, because a caller waits for it
		require.Empty(t, second)
		proceed <- nil
		require.NoError(t, <-second)
		require.NoError(t, <-third, "one batch served both")
		require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "c").Count)
		require.NoError(t, b.Close())
	})
}

func TestCloseCutsOffWritersOfSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithCloseTimeout(time.Second),
			metricsbuffer.WithSink(sinktest.Slow(new(sinktest.Recorder), time.Hour), metricsbuffer.SinkTimeout(2*time.Hour)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		begin := time.Now()
		require.ErrorIs(t, b.Close(), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begin))
		synctest.Wait() // its context has ended: the sink returns, and the flusher with it
		require.EqualValues(t, 1, b.Stats().Sinks[0].Dropped.Increments)
	})
}

// TestNoDeliveryAfterTheLast: after Close has flushed, the end of an interval begins no delivery, even if the flusher
// wakes up for another sink.
func TestNoDeliveryAfterTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		hanging, release := sinktest.Hanging(new(sinktest.Recorder))
		b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), // every second
			metricsbuffer.WithSink(hanging, metricsbuffer.SinkTimeout(3*time.Second)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		go func() {
			time.Sleep(500 * time.Millisecond)
			b.IncrCounter("c", 2)
		}()
		require.ErrorIs(t, b.Close(), context.DeadlineExceeded)
		release()
		synctest.Wait()
		require.Len(t, recorder.Batches(), 1)
		require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "c").Count)
		require.EqualValues(t, 2, b.Stats().Sinks[0].Dropped.Increments)
	})
}

// TestSinkThatHeedsItsContext can still return its own error.
func TestSinkThatHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(ctx context.Context, _ *metricsbuffer.Batch) error {
				<-ctx.Done()
				return errors.New("the backend did not answer")
			}), metricsbuffer.SinkTimeout(time.Second)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		require.ErrorContains(t, b.Flush(t.Context()), "the backend did not answer")
		require.Error(t, b.Close())
	})
}

// TestCloseWaitsForAnOverdueSink: a Write that returns within the time to close is followed by the last batch, although
// it has passed its own timeout before, or passes it meanwhile.
func TestCloseWaitsForAnOverdueSink(t *testing.T) {
	for _, timeout := range []time.Duration{50 * time.Millisecond, 600 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			delivered, writes := int64(0), 0
			b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithCloseTimeout(5*time.Second),
				metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
					if writes++; writes == 1 {
						time.Sleep(time.Second)
					}
					for _, p := range batch.Points {
						delivered += p.Count
					}
					return nil
				}), metricsbuffer.SinkTimeout(timeout)))
			require.NoError(t, err)
			b.IncrCounter("requests", 1)
			go func() { _ = b.Flush(t.Context()) }()
			time.Sleep(200 * time.Millisecond)
			b.IncrCounter("requests", 1)
			require.NoError(t, b.Close())
			require.EqualValues(t, 2, delivered)
			require.Zero(t, b.Stats().Sinks[0].Dropped)
		})
	}
}

// TestFlushesEndWithTheTimeToClose: nobody waits for a sink that hangs when the time to close is over.
func TestFlushesEndWithTheTimeToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithCloseTimeout(time.Second),
			metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
				<-release
				return nil
			}), metricsbuffer.SinkTimeout(500*time.Millisecond)))
		require.NoError(t, err)
		b.IncrCounter("requests", 1)
		flushed := make(chan error, 2)
		for range 2 { // the first one's batch is being written, the second one waits
			go func() { flushed <- b.Flush(context.Background()) }()
			synctest.Wait()
			b.IncrCounter("requests", 1)
		}
		require.ErrorIs(t, b.Close(), context.DeadlineExceeded)
		synctest.Wait()
		require.Len(t, flushed, 2)
		require.Error(t, <-flushed)
		require.Error(t, <-flushed)
		close(release)
	})
}

// TestFlushesThatGaveUpTakeNoMemory while the sink hangs.
func TestFlushesThatGaveUpTakeNoMemory(t *testing.T) {
	release := make(chan struct{})
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(
		metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
			<-release
			return nil
		}), metricsbuffer.SinkTimeout(time.Hour)))
	require.NoError(t, err)
	b.IncrCounter("requests", 1)
	flush := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		require.ErrorIs(t, b.Flush(ctx), context.DeadlineExceeded)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, b.Flush(ctx), "its batch is being written")
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const flushes = 5000
	for range 100 {
		flush()
	}
	before := heap()
	for range flushes {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		require.Error(t, b.Flush(ctx))
	}
	require.Less(t, float64(heap())-float64(before), 40.0*flushes)
	close(release)
	require.NoError(t, b.Close())
}
