package promises

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestPolledValuesAreInEachBatch(t *testing.T) {
	b, recorder := newBuffer(t)
	var depth float64
	var sent, calls int64
	scope := b.With(tag("queue", "in")).WithPrefix("app.")
	scope.GaugeFunc("depth", func() float64 { return depth }, tag("side", "left"))
	b.CounterFunc("sent", func() int64 { return sent })
	counter := b.Counter("calls")
	poll := scope.Poll(func() { calls++; counter.Inc() })
	for i, total := range []int64{5, 12, 12, 3, -1, 4} { // begins anew at 3
		sent, depth = total, float64(i)
		require.NoError(t, b.Flush(t.Context()))
		value := recorder.Total(metricsbuffer.KindGauge, "app.depth", tag("queue", "in"), tag("side", "left")).Value
		require.InDelta(t, i, value, 0)
		require.EqualValues(t, i+1, recorder.Total(metricsbuffer.KindCounter, "calls").Count)
		require.Equal(t, []int64{5, 12, 12, 15, 15, 19}[i], recorder.Total(metricsbuffer.KindCounter, "sent").Count)
	}
	poll.Stop()
	poll.Stop()
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 6, calls)
	sent++
	require.NoError(t, b.Close())
	require.EqualValues(t, 20, recorder.Total(metricsbuffer.KindCounter, "sent").Count, "polled before the last flush")
	sent++
	require.ErrorIs(t, b.Flush(t.Context()), metricsbuffer.ErrClosed)
	b.Poll(func() { t.Error("called after Close") })
	require.ErrorIs(t, b.Flush(t.Context()), metricsbuffer.ErrClosed)
	require.Zero(t, b.Stats().Sinks[0].Dropped)
}

func TestPolledFunctionsOfNoBuffer(t *testing.T) {
	var none *metricsbuffer.Buffer
	none.Poll(func() {}).Stop()
	none.GaugeFunc("g", func() float64 { return 1 }).Stop()
	none.CounterFunc("c", func() int64 { return 1 }).Stop()
	silent, err := metricsbuffer.New()
	require.NoError(t, err)
	defer silent.Poll(func() { t.Error("called without a sink") }).Stop()
	require.NoError(t, silent.Flush(t.Context()))
	require.NoError(t, silent.Close())
	for name, with := range map[string]func(){
		"metricsbuffer: Poll: the function is nil":        func() { silent.Poll(nil) },
		"metricsbuffer: GaugeFunc: the function is nil":   func() { none.GaugeFunc("g", nil) },
		"metricsbuffer: CounterFunc: the function is nil": func() { silent.CounterFunc("c", nil) },
	} {
		require.PanicsWithValue(t, name, with)
	}
}

func TestPollingInTestsOfUsers(t *testing.T) {
	b := metricstest.New(t)
	b.GaugeFunc("g", func() float64 { return 7 })
	metricstest.Equal(t, b, "gauge g 7")
}

// TestPollingAtAnInterval: a function is called once before each batch, and every sink has its value.
func TestPollingAtAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := new(sinktest.Recorder), new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(fast, metricsbuffer.SinkInterval(time.Second)),
			metricsbuffer.WithSink(slow, metricsbuffer.SinkInterval(3*time.Second)))
		require.NoError(t, err)
		counter := b.Counter("calls")
		b.Poll(counter.Inc)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 7, fast.Total(metricsbuffer.KindCounter, "calls").Count)
		require.EqualValues(t, 6, slow.Total(metricsbuffer.KindCounter, "calls").Count)
		require.Len(t, fast.Batches(), 7)
		require.Len(t, slow.Batches(), 2)
		require.NoError(t, b.Close())
	})
}

// TestFunctionThatHangs: it delays one batch by 100 ms, is reported once, and is polled again when it has returned.
func TestFunctionThatHangs(t *testing.T) {
	for name, interval := range map[string]time.Duration{"flush": 0, "interval": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := new(sinktest.Recorder)
				var errs []error
				b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(interval),
					metricsbuffer.WithErrorHandler(func(err error) { errs = append(errs, err) }))
				require.NoError(t, err)
				release := make(chan struct{})
				hanging, healthy := b.Counter("hanging"), b.Counter("healthy")
				b.Poll(func() { <-release; hanging.Inc() })
				b.Poll(healthy.Inc)
				deliver := func() time.Duration {
					begin := time.Now()
					if interval == 0 {
						require.NoError(t, b.Flush(t.Context()))
					} else {
						for n := len(recorder.Batches()); len(recorder.Batches()) == n; synctest.Wait() {
							time.Sleep(10 * time.Millisecond)
						}
					}
					synctest.Wait() // for the error handler
					return time.Since(begin)
				}
				require.Equal(t, interval+100*time.Millisecond, deliver())
				if interval == 0 {
					require.Zero(t, deliver())
				} else {
					require.Equal(t, interval-100*time.Millisecond, deliver())
				}
				require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "healthy").Count)
				require.Zero(t, recorder.Total(metricsbuffer.KindCounter, "hanging").Count)
				require.EqualValues(t, 1, b.Stats().PollFailures)
				require.Len(t, errs, 1)
				require.ErrorContains(t, errs[0], "TestFunctionThatHangs.func")
				require.ErrorContains(t, errs[0], "has not returned within 100ms")
				close(release)
				synctest.Wait()
				deliver()
				require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "hanging").Count)
				require.Len(t, errs, 1)
				require.NoError(t, b.Close())
			})
		})
	}
}

// TestFunctionThatFails is reported at each call, and harms no other function.
func TestFunctionThatFails(t *testing.T) {
	for text, fail := range map[string]func(){
		"panicked: injected":                      func() { panic("injected") },
		"ended its goroutine (runtime.Goexit)":    runtime.Goexit,
		"panicked: metricsbuffer: the last words": func() { panic(errors.New("metricsbuffer: the last words")) },
		"a *promises.deadly whose methods pan":    func() { panic(&deadly{}) },
		"panicked: a *promises.leaver whose meth": func() { panic(new(leaver)) },
	} {
		for _, handler := range []func(){func() {}, runtime.Goexit} {
			synctest.Test(t, func(t *testing.T) {
				recorder := new(sinktest.Recorder)
				var errs []error
				b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder),
					metricsbuffer.WithErrorHandler(func(err error) { errs = append(errs, err); handler() }))
				require.NoError(t, err)
				healthy := b.Counter("healthy")
				b.Poll(fail)
				b.Poll(healthy.Inc)
				for i := range 3 {
					require.NoError(t, b.Flush(t.Context()))
					synctest.Wait()
					require.EqualValues(t, i+1, recorder.Total(metricsbuffer.KindCounter, "healthy").Count)
					require.Len(t, errs, i+1)
					require.ErrorContains(t, errs[i], text)
				}
				require.NoError(t, b.Close())
				require.EqualValues(t, 4, b.Stats().PollFailures)
			})
		}
	}
}

// TestFlushPollsAnew: a call that another batch has begun may have read its values before the flush was called.
func TestFlushPollsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
		require.NoError(t, err)
		var depth, running atomic.Int64
		b.GaugeFunc("depth", func() float64 {
			require.EqualValues(t, 1, running.Add(1))
			defer running.Add(-1)
			value := float64(depth.Load())
			time.Sleep(50 * time.Millisecond)
			return value
		})
		flushed := make(chan error)
		for range 3 {
			go func() { flushed <- b.Flush(t.Context()) }()
		}
		synctest.Wait()
		depth.Store(1)
		require.NoError(t, b.Flush(t.Context()))
		require.InDelta(t, 1, recorder.Total(metricsbuffer.KindGauge, "depth").Value, 0)
		for range 3 {
			require.NoError(t, <-flushed)
		}
		require.NoError(t, b.Close())
	})
}

// TestStopWhileACallIsUnderWay: a batch that found a call under way would call the function once more. It does not
// after Stop.
func TestStopWhileACallIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := metricsbuffer.New(metricsbuffer.WithSink(new(sinktest.Recorder)), metricsbuffer.WithInterval(0))
		require.NoError(t, err)
		calls, stopped := 0, make(chan struct{})
		poll := b.Poll(func() { calls++; <-stopped })
		flushed := make(chan error)
		for range 2 {
			go func() { flushed <- b.Flush(t.Context()) }()
			synctest.Wait()
		}
		poll.Stop()
		close(stopped)
		for range 2 {
			require.NoError(t, <-flushed)
		}
		require.NoError(t, b.Close())
		require.Equal(t, 1, calls)
	})
}

// TestPolledFunctionMayDoAnything: poll, stop, flush and close.
func TestPolledFunctionMayDoAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
		require.NoError(t, err)
		once, inner := b.Counter("once"), b.Counter("inner")
		var poll *metricsbuffer.Poll
		poll = b.Poll(func() {
			once.Inc()
			b.Poll(inner.Inc)
			poll.Stop()
			require.NoError(t, b.Flush(t.Context()))
			_ = b.Stats()
		})
		for range 3 {
			require.NoError(t, b.Flush(t.Context()))
		}
		require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "once").Count)
		require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "inner").Count)
		closed := make(chan error, 1)
		b.Poll(func() { closed <- b.Close() })
		if err := b.Flush(t.Context()); err != nil {
			require.ErrorIs(t, err, metricsbuffer.ErrClosed)
		}
		require.NoError(t, <-closed)
	})
}

// TestPollDoesNotKeepTheBuffer: a function that refers to its buffer does not keep it from being closed.
func TestPollDoesNotKeepTheBuffer(t *testing.T) {
	recorder := new(sinktest.Recorder)
	closing := make(chan struct{})
	func() {
		b, err := metricsbuffer.New(metricsbuffer.WithSink(&closer{Sink: recorder, closed: closing}))
		require.NoError(t, err)
		b.GaugeFunc("series", func() float64 { return float64(b.Stats().Series) })
		b.IncrCounter("c", 1)
		require.NoError(t, b.Flush(t.Context()))
	}()
	for {
		runtime.GC()
		select {
		case <-closing:
			require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "c").Count)
			return
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the buffer is never closed")
		}
	}
}

type closer struct {
	metricsbuffer.Sink
	closed chan struct{}
}

func (c *closer) Close() error { close(c.closed); return nil }

// TestFunctionThatHangsAtClose: the sinks have half of the time to close for themselves.
func TestFunctionThatHangsAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithCloseTimeout(90*time.Millisecond))
		require.NoError(t, err)
		release := make(chan struct{})
		b.Poll(func() { <-release })
		b.IncrCounter("c", 1)
		begin := time.Now()
		require.NoError(t, b.Close())
		require.Equal(t, 45*time.Millisecond, time.Since(begin))
		require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "c").Count)
		close(release)
	})
}
