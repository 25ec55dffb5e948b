package openmetricssink_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// stuck is a client that reads nothing until it is released.
type stuck struct {
	*httptest.ResponseRecorder
	writing chan<- struct{}
	release <-chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.writing <- struct{}{}
	<-s.release
	return s.ResponseRecorder.Write(p)
}

// A client that does not read delays no other one, and no update. Its own page stays as it was.
func TestSlowClient(t *testing.T) {
	for _, encoding := range []string{"identity", "gzip"} {
		sink := detached(t)
		require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 1))))
		writing, release := make(chan struct{}, 10), make(chan struct{})
		slow := stuck{httptest.NewRecorder(), writing, release}
		var serving sync.WaitGroup
		serving.Go(func() {
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			request.Header.Set("Accept-Encoding", encoding)
			sink.ServeHTTP(slow, request)
		})
		<-writing
		for i := range 5 {
			require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 1))))
			require.Contains(t, get(t, sink, acceptClassic), fmt.Sprintf("\njobs_total %d\n", i+2))
		}
		close(release)
		serving.Wait()
		body := io.Reader(slow.Body)
		if encoding == "gzip" {
			var err error
			body, err = gzip.NewReader(slow.Body)
			require.NoError(t, err)
		}
		page, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Contains(t, string(page), "\njobs_total 1\n")
	}
}

// A client that hangs up in the middle of a page leaves the server and the next page as they are.
func TestHangUp(t *testing.T) {
	buffer, sink := served(t)
	for i := range 20_000 {
		buffer.IncrCounter("jobs", 1, tag{Key: "i", Value: strconv.Itoa(i)})
	}
	server := httptest.NewServer(sink)
	defer server.Close()
	for _, encoding := range []string{"identity", "gzip"} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(connection, "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", encoding)
		require.NoError(t, err)
		_, err = io.ReadFull(connection, make([]byte, 100))
		require.NoError(t, err)
		require.NoError(t, connection.Close())
	}
	families, err := parse(get(t, sink, acceptClassic), false)
	require.NoError(t, err)
	require.Equal(t, 20_000, len(families[0].samples)) //nolint:testifylint // Len would print them all
}

// Many scrapers in each format and many writers: no total ever goes down, each page is whole, and the last is exact.
func TestConcurrentScrapes(t *testing.T) {
	const writers, updates = 4, 20_000
	buffer, sink := served(t)
	server := httptest.NewServer(sink)
	defer server.Close()
	var writing, scraping sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			jobs, latency := buffer.Counter("jobs"), buffer.Timer("latency", tag{Key: "writer", Value: strconv.Itoa(w)})
			for i := range updates {
				jobs.Inc()
				latency.Observe(1 << 20)
				if i%100 == 0 {
					buffer.IncrCounter("churn", 1, tag{Key: "i", Value: strconv.Itoa(i)})
				}
			}
		})
	}
	done := make(chan struct{})
	scrape := func(accept string) (jobs, observations float64, err error) {
		request, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			return 0, 0, err
		}
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request) // it asks for gzip
		if err != nil {
			return 0, 0, err
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, 0, err
		}
		families, err := parse(string(page), accept == acceptOpen)
		for _, f := range families {
			for _, s := range f.samples {
				switch {
				case strings.HasPrefix(f.name, "jobs") && s.suffix != "_created":
					jobs = s.value
				case f.name == "latency_seconds" && s.suffix == "_count":
					observations += s.value
				}
			}
		}
		return jobs, observations, err
	}
	for _, accept := range []string{acceptClassic, acceptOpen, acceptClassic} {
		scraping.Go(func() {
			var jobs, observations float64
			for {
				select {
				case <-done:
					return
				default:
				}
				j, o, err := scrape(accept)
				if err != nil || j < jobs || o < observations {
					t.Errorf("from %v, %v to %v, %v: %v", jobs, observations, j, o, err)
					return
				}
				jobs, observations = j, o
			}
		})
	}
	writing.Wait()
	close(done)
	scraping.Wait()
	jobs, observations, err := scrape(acceptOpen)
	require.NoError(t, err)
	require.InDelta(t, writers*updates, jobs, 0)
	require.InDelta(t, writers*updates, observations, 0)
}

// A scrape does not wait for other sinks.
func TestScrapeAndOtherSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t)
		hanging, release := sinktest.Hanging(new(sinktest.Recorder))
		buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink),
			metricsbuffer.WithSink(hanging), metricsbuffer.WithCloseTimeout(time.Second))
		require.NoError(t, err)
		buffer.IncrCounter("recorded", 1)
		begin := time.Now()
		require.Contains(t, get(t, sink, acceptClassic), "recorded_total 1")
		require.Equal(t, begin, time.Now())
		require.Error(t, buffer.Close(), "the other sink hangs")
		release()
	})
}
