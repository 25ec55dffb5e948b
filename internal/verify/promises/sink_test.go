package promises

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// asked is a sink that is asked for its values.
type asked struct {
	sinktest.Recorder
	flush func(context.Context) error
	err   error
}

func (a *asked) Attach(flush func(context.Context) error) error {
	a.flush = flush
	return a.err
}

// closable is a sink that has something to close.
type closable struct {
	metricsbuffer.Sink
	closes   atomic.Int32
	writing  atomic.Bool
	onClose  func() error
	tooEarly atomic.Bool
}

func (c *closable) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	c.writing.Store(true)
	defer c.writing.Store(false)
	return c.Sink.Write(ctx, batch)
}

func (c *closable) Close() error {
	c.closes.Add(1)
	if c.writing.Load() {
		c.tooEarly.Store(true)
	}
	if c.onClose != nil {
		return c.onClose()
	}
	return nil
}

// wrapper adds nothing but a layer.
type wrapper struct{ inner metricsbuffer.Sink }

func (w *wrapper) Unwrap() metricsbuffer.Sink { return w.inner }

func (w *wrapper) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	return w.inner.Write(ctx, batch)
}

// TestAttachedSink: a sink that asks gets all updates. Another sink, which hangs, neither delays nor notices it.
func TestAttachedSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scraped, other := new(asked), new(sinktest.Recorder)
		hanging, release := sinktest.Hanging(other)
		b, err := metricsbuffer.New(
			metricsbuffer.WithSink(hanging, metricsbuffer.SinkInterval(0)),
			metricsbuffer.WithSink(&wrapper{&wrapper{scraped}}))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		time.Sleep(time.Minute)
		require.Empty(t, scraped.Batches(), "it was not asked for")
		begin := time.Now()
		for range 2 {
			b.IncrCounter("c", 1)
			require.NoError(t, scraped.flush(t.Context()))
		}
		require.Equal(t, begin, time.Now(), "waited for the other sink")
		require.EqualValues(t, 3, scraped.Total(metricsbuffer.KindCounter, "c").Count)
		require.Empty(t, other.Batches())
		release()
		require.NoError(t, b.Flush(t.Context()))
		require.EqualValues(t, 3, other.Total(metricsbuffer.KindCounter, "c").Count)
		require.NoError(t, b.Close())
		require.ErrorIs(t, scraped.flush(t.Context()), metricsbuffer.ErrClosed)
	})
}

func TestAttachedSinkWithAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scraped := new(asked)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(scraped, metricsbuffer.SinkInterval(time.Minute)))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		time.Sleep(time.Minute + time.Second)
		require.Len(t, scraped.Batches(), 1)
		require.NoError(t, b.Close())
	})
}

// TestAttachRefuses: if Attach fails, New returns no buffer. Sinks that were attached before get ErrClosed and do not
// wait for ever.
func TestAttachRefuses(t *testing.T) {
	first, second := new(asked), &asked{err: errors.New("this sink has a buffer already")}
	b, err := metricsbuffer.New(
		metricsbuffer.WithSink(first), metricsbuffer.WithSink(second, metricsbuffer.SinkName("two")))
	require.Nil(t, b)
	require.ErrorIs(t, err, second.err)
	require.ErrorContains(t, err, `sink "two"`)
	require.ErrorIs(t, first.flush(t.Context()), metricsbuffer.ErrClosed)
}

// TestAttachedSinkKeepsNothing: a buffer that only its sink refers to is closed.
func TestAttachedSinkKeepsNothing(t *testing.T) {
	wrapped, scraped := new(asked), new(asked)
	sink := &closable{Sink: wrapped}
	closed := make(chan struct{})
	sink.onClose = func() error { close(closed); return nil }
	b, err := metricsbuffer.New(metricsbuffer.WithSink(&wrapper{sink}), metricsbuffer.WithSink(scraped))
	require.NoError(t, err)
	b.IncrCounter("c", 1)
	runtime.KeepAlive(b)
	for {
		runtime.GC()
		select {
		case <-closed:
			require.ErrorIs(t, scraped.flush(t.Context()), metricsbuffer.ErrClosed)
			require.NotZero(t, wrapped.Total(metricsbuffer.KindCounter, "c").Count)
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestCloseClosesSinks(t *testing.T) {
	injected := errors.New("injected")
	for name, write := range map[string]error{"acknowledged": nil, "failed": errors.New("not written")} {
		for inner, layers := range map[string]int{"itself": 0, "wrapped": 2} {
			t.Run(name+", "+inner, func(t *testing.T) {
				c := &closable{Sink: metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return write })}
				var sink metricsbuffer.Sink = c
				for range layers {
					sink = &wrapper{sink}
				}
				c.onClose = func() error { return injected }
				b, err := metricsbuffer.New(
					metricsbuffer.WithSink(sink, metricsbuffer.SinkName("s")), metricsbuffer.WithInterval(0))
				require.NoError(t, err)
				b.IncrCounter("c", 1)
				for range 2 {
					err = b.Close()
					require.ErrorIs(t, err, injected)
					require.ErrorContains(t, err, `metricsbuffer: sink "s": Close: `)
					if write != nil {
						require.ErrorIs(t, err, write)
					}
				}
				require.EqualValues(t, 1, c.closes.Load())
				require.False(t, c.tooEarly.Load())
			})
		}
	}
}

func TestCloseOfSinksThatPanicOrExit(t *testing.T) {
	for text, end := range map[string]func(){
		"Close panicked: injected": func() { panic("injected") }, "Goexit": runtime.Goexit,
		"Close panicked: a *promises.leaver": func() { panic(new(leaver)) },
	} {
		c := &closable{Sink: new(sinktest.Recorder), onClose: func() error { end(); return nil }}
		b, err := metricsbuffer.New(metricsbuffer.WithSink(c))
		require.NoError(t, err)
		require.ErrorContains(t, b.Close(), text)
	}
}

// TestCloseOfASinkThatHangs: a sink is closed only after its Write has returned. Other sinks do not wait for it.
func TestCloseOfASinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, release := sinktest.Hanging(new(sinktest.Recorder))
		slow, quick := &closable{Sink: hanging}, &closable{Sink: new(sinktest.Recorder)}
		stuck := &closable{Sink: new(sinktest.Recorder), onClose: func() error { time.Sleep(time.Hour); return nil }}
		b, err := metricsbuffer.New(metricsbuffer.WithSink(slow), metricsbuffer.WithSink(quick),
			metricsbuffer.WithSink(stuck, metricsbuffer.SinkName("stuck")), metricsbuffer.WithCloseTimeout(time.Second))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		begin := time.Now()
		err = b.Close()
		require.Equal(t, time.Second, time.Since(begin))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `sink "stuck": it is not closed yet`)
		require.Equal(t, []int32{0, 1, 1}, []int32{slow.closes.Load(), quick.closes.Load(), stuck.closes.Load()})
		release()
		synctest.Wait()
		require.EqualValues(t, 1, slow.closes.Load())
		require.False(t, slow.tooEarly.Load())
		time.Sleep(time.Hour)
	})
}

var _ io.Closer = (*closable)(nil)

// attaching is a sink with an Attach and a Write of its own.
type attaching struct {
	metricsbuffer.SinkFunc
	attach func(flush func(context.Context) error) error
}

func (a *attaching) Attach(flush func(context.Context) error) error { return a.attach(flush) }

// TestNewDoesNotWaitForASink: one sink refuses to be attached while another one is being written to.
func TestNewDoesNotWaitForASink(t *testing.T) {
	for name, heeds := range map[string]bool{"heeds its context": true, "hangs": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				first := &attaching{
					func(ctx context.Context, _ *metricsbuffer.Batch) error {
						if heeds {
							<-ctx.Done()
						} else {
							<-release
						}
						return ctx.Err()
					},
					func(flush func(context.Context) error) error {
						go func() { _ = flush(context.Background()) }()
						synctest.Wait()
						return nil
					},
				}
				second := &attaching{nil, func(func(context.Context) error) error { return errors.New("refused") }}
				begin := time.Now()
				_, err := metricsbuffer.New(metricsbuffer.WithSink(first, metricsbuffer.SinkTimeout(time.Hour)),
					metricsbuffer.WithSink(second), metricsbuffer.WithSelfMetrics())
				require.ErrorContains(t, err, "refused")
				require.Zero(t, time.Since(begin))
				close(release)
			})
		})
	}
}
