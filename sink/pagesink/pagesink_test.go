package pagesink_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

// newPage returns a page at an address, and its buffer.
func newPage(t *testing.T, opts ...metricsbuffer.Option) (*metricsbuffer.Buffer, string) {
	page, err := pagesink.New()
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(append(opts, metricsbuffer.WithSink(page))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	page.Watch(buffer)
	return buffer, serve(t, page)
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		opt  pagesink.Option
		want string
	}{
		{nil, "pagesink: New: option 1 of 1 is nil; leave it out"},
		{pagesink.WithInterval(5), "pagesink: New: WithInterval: 5ns is less than 100ms; write time.Second for a second"},
		{pagesink.WithIdleExpiry(0),
			"pagesink: New: WithIdleExpiry: 0s is not positive; leave the option out to keep all series"},
	} {
		_, err := pagesink.New(test.opt)
		require.EqualError(t, err, test.want)
	}
}

// The page of one buffer cannot be that of another one.
func TestAttachedOnce(t *testing.T) {
	page, err := pagesink.New()
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page))
	require.NoError(t, err)
	defer buffer.Close()
	_, err = metricsbuffer.New(metricsbuffer.WithSink(page))
	require.ErrorContains(t, err, "the page has been given to another buffer")
}

// A viewer gets all totals, then the changes, then the end.
func TestEvents(t *testing.T) {
	buffer, address := newPage(t)
	buffer.IncrCounter("jobs", math.MaxInt64-5)
	buffer.IncrCounter("balance", -7)
	buffer.SetGauge("depth", math.Inf(1))
	for i := range 600 {
		buffer.IncrCounter(fmt.Sprint("job", i), int64(i)+1)
	}
	buffer.IncrTimer("latency", time.Second)
	buffer.IncrTimer("latency", 3*time.Second)

	events := connect(t, address)
	require.Equal(t, "text/event-stream", events.header.Get("Content-Type"))
	require.Equal(t, "no-store", events.header.Get("Cache-Control"))
	var seen snapshot
	require.NoError(t, events.until("tick", &seen))
	require.Len(t, seen.series, 604)
	require.Zero(t, seen.live, "the totals are no part of the history")
	require.EqualValues(t, math.MaxInt64-5, seen.find("jobs").Count)
	require.EqualValues(t, -7, seen.find("balance").Count)
	require.EqualValues(t, 600, seen.find("job599").Count)
	require.EqualValues(t, 4_000_000_000, seen.find("latency").Sum)
	require.InDelta(t, math.Inf(1), seen.find("depth").Value, 0)
	require.Empty(t, seen.tick.Error)
	require.NotNil(t, seen.tick.Buffer)
	require.EqualValues(t, 2, seen.tick.Buffer.Recorded.Observations)
	require.Equal(t, seen.tick.Buffer.Recorded, seen.tick.Buffer.Sinks[0].Acknowledged)

	buffer.IncrCounter("balance", 10)
	buffer.IncrCounter("late", 1)
	require.NoError(t, events.until("tick", &seen))
	require.EqualValues(t, 3, seen.find("balance").Count)
	require.EqualValues(t, 1, seen.find("late").Count)
	require.Equal(t, 2, seen.live, "series without a change are not sent")

	buffer.IncrCounter("late", 1)
	require.NoError(t, buffer.Close())
	require.NoError(t, events.until("end", &seen))
	require.EqualValues(t, 2, seen.find("late").Count)
	require.Contains(t, seen.tick.Error, "closed")

	again, err := look(t, address)
	require.NoError(t, err)
	require.Equal(t, seen.series, again.series, "also for viewers who come later")
}

// Without Watch there is no account; with it the page does not keep the buffer.
func TestWatch(t *testing.T) {
	page, err := pagesink.New()
	require.NoError(t, err)
	address := serve(t, page)
	seen, err := look(t, address)
	require.NoError(t, err)
	require.Nil(t, seen.tick.Buffer)
	require.Contains(t, seen.tick.Error, "give it to one with metricsbuffer.WithSink")

	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page))
	require.NoError(t, err)
	page.Watch(buffer)
	collected := make(chan struct{})
	runtime.AddCleanup(buffer, func(int) { close(collected) }, 0)
	buffer.IncrCounter("jobs", 5)
	seen, err = look(t, address)
	require.NoError(t, err)
	require.EqualValues(t, 5, seen.tick.Buffer.Recorded.Increments)
	runtime.KeepAlive(buffer)
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
	seen, err = look(t, address)
	require.NoError(t, err)
	require.EqualValues(t, 5, seen.find("jobs").Count)
	require.Nil(t, seen.tick.Buffer)
	page.Watch(nil)
}

// The account names the failing sink, the dropped points, and the names that overflow.
func TestAccount(t *testing.T) {
	failing := metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
		return fmt.Errorf("no\x1b[2J route%s", strings.Repeat(" far", 200))
	})
	dropping := metricsbuffer.SinkFunc(func(_ context.Context, b *metricsbuffer.Batch) error {
		for i := range b.Points {
			b.Drop(i, "unwanted")
		}
		return nil
	})
	buffer, address := newPage(t, metricsbuffer.WithMaxSeries(1), metricsbuffer.WithCloseTimeout(time.Second),
		metricsbuffer.WithSink(failing, metricsbuffer.SinkName("failing")),
		metricsbuffer.WithSink(dropping, metricsbuffer.SinkName("dropping")))
	for i := range 5 {
		buffer.IncrCounter("users", 1, metricsbuffer.Tag{Key: "id", Value: fmt.Sprint(i)})
	}
	require.Error(t, buffer.Flush(t.Context()))
	seen, err := look(t, address)
	require.NoError(t, err)
	account := seen.tick.Buffer
	require.EqualValues(t, 5, account.Recorded.Increments)
	require.EqualValues(t, 5, account.Sinks[0].Pending.Increments)
	require.Contains(t, account.Sinks[0].LastError, `no\x1b[2J route`)
	require.Less(t, len(account.Sinks[0].LastError), 400)
	require.EqualValues(t, 5, account.Sinks[1].Dropped.Increments)
	require.EqualValues(t, 2, account.Sinks[1].Drops["unwanted"])
	require.EqualValues(t, 5, account.Sinks[2].Acknowledged.Increments)
	require.Equal(t, "users", account.Overflows[0].Name)
}

// While nobody looks, nothing is delivered and no goroutine runs.
func TestCostsNothingWhileNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page, err := pagesink.New()
		require.NoError(t, err)
		written := 0
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(counting{page, &written}))
		require.NoError(t, err)
		page.Watch(buffer)
		goroutines := runtime.NumGoroutine()
		record := func() {
			buffer.IncrCounter("jobs", 1)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		for range 3600 {
			record()
		}
		require.Zero(t, written, "in an hour")

		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/events", nil).WithContext(ctx))
		}()
		for range 10 {
			record()
		}
		require.InDelta(t, 11, written, 1, "one batch to begin with, and one each second")
		leave()
		<-left
		synctest.Wait()
		seen := written
		for range 3600 {
			record()
		}
		require.Equal(t, seen, written)
		require.Equal(t, goroutines, runtime.NumGoroutine())
		require.NoError(t, buffer.Close())
		require.Equal(t, seen+1, written)
	})
}

// counting counts the batches of a page.
type counting struct {
	*pagesink.Sink
	batches *int
}

func (c counting) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	*c.batches++
	return c.Sink.Write(ctx, batch)
}

// A page that nobody looks at keeps the totals only: its memory does not grow with time.
func TestMemoryIsBounded(t *testing.T) {
	page, err := pagesink.New(pagesink.WithIdleExpiry(time.Hour))
	require.NoError(t, err)
	write := func(i int, name string) {
		end := time.Unix(int64(i), 0)
		require.NoError(t, page.Write(t.Context(), &metricsbuffer.Batch{Start: end.Add(-time.Second), End: end,
			Points: []metricsbuffer.Point{{Name: name, Count: 1}, {Name: "always", Count: 1}}}))
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for i := range 10_000 {
		write(i, fmt.Sprint("series", i))
	}
	before := heap()
	for i := range 100_000 {
		write(10_000+i, fmt.Sprint("series", i))
	}
	require.Less(t, heap(), before+1<<20)
	runtime.KeepAlive(page)
}

// A viewer who does not read is left behind, and delays nobody.
func TestSlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page, err := pagesink.New()
		require.NoError(t, err)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page))
		require.NoError(t, err)
		stuck := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), free: make(chan struct{})}
		left := make(chan struct{})
		go func() {
			defer close(left)
			page.ServeHTTP(stuck, httptest.NewRequest(http.MethodGet, "/events", nil))
		}()
		for i := range 60 {
			buffer.IncrCounter(fmt.Sprint("jobs", i), 1)
			time.Sleep(time.Second)
		}
		stats := buffer.Stats()
		require.Less(t, stats.Sinks[0].Batches, int64(30), "it was disconnected, so no batch was asked for any more")
		close(stuck.free)
		<-left
		require.NoError(t, buffer.Close())
	})
}

// stuckWriter does not return from Write until it is freed.
type stuckWriter struct {
	*httptest.ResponseRecorder
	free chan struct{}
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	<-w.free
	return len(b), nil
}

func TestTooManyViewers(t *testing.T) {
	buffer, address := newPage(t)
	for range 32 {
		require.NoError(t, connect(t, address).until("tick", new(snapshot)))
	}
	response, err := http.Get(address + "events")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NoError(t, buffer.Close())
}

// Viewers that come and go while writers record: each sees totals that only grow, and the last one sees all.
func TestConcurrent(t *testing.T) {
	page, err := pagesink.New(pagesink.WithInterval(100 * time.Millisecond))
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page, metricsbuffer.SinkInterval(5*time.Millisecond)))
	require.NoError(t, err)
	page.Watch(buffer)
	address := serve(t, page)
	const writers, updates = 4, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range updates {
				buffer.IncrCounter("jobs", 1)
				buffer.IncrCounter(fmt.Sprint("job", w, i%50), 1)
				buffer.IncrTimer("latency", time.Duration(i))
				if i%20 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 3 {
				var seen snapshot
				stream, last := connect(t, address), int64(-1)
				for range 3 {
					if err := stream.until("tick", &seen); err != nil {
						t.Error(err)
						return
					}
					now := max(seen.find("jobs").Count, 0)
					if now < last {
						t.Errorf("the total went from %d to %d", last, now)
					}
					last = now
				}
				stream.close()
			}
		})
	}
	wg.Wait()
	require.NoError(t, buffer.Close())
	seen, err := look(t, address)
	require.NoError(t, err)
	require.EqualValues(t, writers*updates, seen.find("jobs").Count)
	require.EqualValues(t, writers*updates, seen.find("latency").Count)
	require.Len(t, seen.series, 2+writers*50)
}
