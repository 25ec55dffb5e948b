package pagesink_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

// A viewer that does not read is disconnected, and delays nobody.
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

// Viewers learn that a series was forgotten.
func TestEnded(t *testing.T) {
	page, err := pagesink.New()
	require.NoError(t, err)
	events := connect(t, serve(t, page))
	var seen snapshot
	require.NoError(t, events.until("tick", &seen))
	old, end := metricsbuffer.Point{Name: "old", ID: 600, Count: 1}, time.Now()
	for _, batch := range []metricsbuffer.Batch{
		{Points: []metricsbuffer.Point{old}},
		{Points: []metricsbuffer.Point{{Name: "new", ID: 601, Count: 1}}, Ended: []metricsbuffer.Point{old}},
	} {
		batch.Start, batch.End = end.Add(-time.Second), end
		require.NoError(t, page.Write(t.Context(), &batch))
	}
	// Rows are the last event of each batch. A wait for the event "ended" would not end without it.
	require.NoError(t, events.until("rows", &seen))
	require.NoError(t, events.until("rows", &seen))
	require.Len(t, seen.series, 1)
	require.EqualValues(t, 1, seen.find("new").Count)
}

// A gauge that was set once stays while an instrument holds it, however many series come and go.
func TestHeldGaugeStays(t *testing.T) {
	page, err := pagesink.New()
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page), metricsbuffer.WithIdleExpiry(time.Millisecond))
	require.NoError(t, err)
	address := serve(t, page)
	version := buffer.Gauge("version")
	version.Set(7)
	for i := range 100 {
		buffer.SetGauge(fmt.Sprint("churn", i), 1)
		require.NoError(t, buffer.Flush(t.Context()))
	}
	require.Eventually(t, func() bool {
		seen, err := look(t, address)
		require.NoError(t, err)
		require.InDelta(t, 7, seen.find("version").Value, 0)
		return len(seen.series) == 1
	}, 10*time.Second, 10*time.Millisecond)
	runtime.KeepAlive(version)
	require.NoError(t, buffer.Close())
}

// A handler around the page may hide that the server can send parts of an answer. A viewer is told so: it would get the
// totals only, connect again every second, and never have a history.
func TestHandlerThatHidesFlush(t *testing.T) {
	page, err := pagesink.New()
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page))
	require.NoError(t, err)
	for name, handler := range map[string]http.Handler{
		"wrapped":        http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { page.ServeHTTP(hiding{w}, r) }),
		"TimeoutHandler": http.TimeoutHandler(page, time.Minute, "too late"),
	} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/events", nil))
		require.Equal(t, http.StatusInternalServerError, answer.Code, name)
		require.Contains(t, answer.Body.String(), "Unwrap() http.ResponseWriter", name)
		require.Equal(t, "text/plain; charset=utf-8", answer.Header().Get("Content-Type"), name)
	}
	require.NoError(t, buffer.Close())
}

// A hiding writer has none of the optional methods.
type hiding struct{ http.ResponseWriter }
