package pagesink_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
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
	buffer.FractionCounter("cost", 2).Add(0.25)
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
	require.Len(t, seen.series, 605)
	require.Zero(t, seen.live, "the totals are no part of the history")
	require.Equal(t, int64(math.MaxInt64-5), seen.find("jobs").Count)
	require.EqualValues(t, -7, seen.find("balance").Count)
	cost := seen.find("cost")
	require.Equal(t, "0.25", string(cost.AppendAmount(nil)))
	require.EqualValues(t, 600, seen.find("job599").Count)
	require.Equal(t, int64(4*time.Second), seen.find("latency").Sum)
	require.InDelta(t, math.Inf(1), seen.find("depth").Value, 0)
	require.Empty(t, seen.tick.Error)
	require.NotNil(t, seen.tick.Buffer)
	require.EqualValues(t, 2, seen.tick.Buffer.Recorded.Observations)
	require.Equal(t, seen.tick.Buffer.Recorded, seen.tick.Buffer.Sinks[0].Acknowledged)

	buffer.IncrCounter("balance", 10)
	buffer.IncrCounter("late", 1)
	ticksUntil(t, events, &seen, func() bool { return seen.live > 0 })
	require.EqualValues(t, 3, seen.find("balance").Count)
	require.EqualValues(t, 1, seen.find("late").Count)
	require.Equal(t, 2, seen.live, "series without a change are not sent")

	// A batch of several events has its time once: the browser adds them up.
	seen.live, seen.timed = 0, 0
	for i := range 600 {
		buffer.IncrCounter(fmt.Sprint("job", i), 1)
	}
	require.NoError(t, buffer.Flush(t.Context()))
	ticksUntil(t, events, &seen, func() bool { return seen.live > 0 })
	require.Equal(t, 600, seen.live)
	require.LessOrEqual(t, seen.timed, 2)

	buffer.IncrCounter("late", 1)
	require.NoError(t, buffer.Close())
	require.NoError(t, events.until("end", &seen))
	require.EqualValues(t, 2, seen.find("late").Count)
	require.Contains(t, seen.tick.Error, "closed")

	again, err := look(t, address)
	require.NoError(t, err)
	require.Equal(t, seen.series, again.series, "also for viewers who come later")
}

// A viewer learns of a unit and a help text that come after its page was opened, and a later viewer of the latest ones.
func TestDescribedLater(t *testing.T) {
	buffer, address := newPage(t)
	buffer.IncrCounter("heat", 5)
	buffer.IncrTimer("latency", time.Second)
	events := connect(t, address)
	var seen snapshot
	require.NoError(t, events.until("tick", &seen))
	require.Empty(t, seen.find("heat").Unit)
	require.Empty(t, seen.find("heat").Help)
	for _, unit := range []string{"J", "kJ"} {
		buffer.Describe("heat", "Heat\x1b in "+unit+".", unit)
		buffer.Describe("latency", "Time of a request, not "+unit+".", "")
		require.NoError(t, buffer.Flush(t.Context()))
		ticksUntil(t, events, &seen, func() bool { return seen.find("heat").Unit == unit })
		heat, latency := seen.find("heat"), seen.find("latency")
		require.Equal(t, unit, heat.Unit)
		require.Equal(t, `"Heat\x1b in `+unit+`."`, heat.Help, "a control character is shown")
		require.Equal(t, "Time of a request, not "+unit+".", latency.Help)
		require.EqualValues(t, 5, heat.Count)
		require.EqualValues(t, 1, latency.Count)
	}
	again, err := look(t, address)
	require.NoError(t, err)
	require.Equal(t, seen.series, again.series)
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
		require.LessOrEqual(t, runtime.NumGoroutine(), goroutines) // those of other tests may end meanwhile
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
	page, err := pagesink.New()
	require.NoError(t, err)
	last := metricsbuffer.Point{Name: "first", ID: 600}
	write := func(i int, name string) {
		end := time.Unix(int64(i), 0)
		next := metricsbuffer.Point{Name: name, Count: 1, ID: 600 + uint32(i%2)}
		require.NoError(t, page.Write(t.Context(), &metricsbuffer.Batch{Start: end.Add(-time.Second), End: end,
			Ended:  []metricsbuffer.Point{last},
			Points: []metricsbuffer.Point{next, {Name: "always", Count: 1}}}))
		last = next
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
		write(i, fmt.Sprint("series", i))
	}
	require.Less(t, heap(), before+1<<20)
	runtime.KeepAlive(page)
}
