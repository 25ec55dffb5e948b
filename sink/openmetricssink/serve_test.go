package openmetricssink_test

import (
	"compress/gzip"
	"context"
	"errors"
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
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// ask returns the answer to a request with headers, given in pairs.
func ask(handler http.Handler, method string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/metrics", nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestAccept(t *testing.T) {
	sink := detached(t)
	const (
		classic = "text/plain; version=0.0.4; charset=utf-8"
		open    = "application/openmetrics-text; version=1.0.0; charset=utf-8"
		proto   = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

		prometheus242 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75," +
			"text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
		prometheus3 = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," +
			"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5," +
			"application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3," +
			"text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
		chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
	)
	for accept, want := range map[string]string{
		"":                             classic,
		"*/*":                          classic,
		chromium:                       classic,
		prometheus242:                  open,
		prometheus3:                    proto,
		"text/plain":                   classic,
		"application/openmetrics-text": open,
		"application/openmetrics-text; version=0.0.1":                         classic,
		"application/openmetrics-text;version=2.0.0, text/plain":              classic,
		"text/plain;q=0.5, application/openmetrics-text;q=0.6":                open,
		"application/openmetrics-text;q=0.5, text/plain;q=0.6":                classic,
		"text/plain, application/openmetrics-text":                            classic,
		"application/openmetrics-text, text/plain":                            open,
		"application/openmetrics-text;q=0":                                    classic,
		"application/openmetrics-text;q=x":                                    classic,
		"application/openmetrics-text;q=2":                                    classic,
		"application/vnd.google.protobuf":                                     classic,
		"APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\"":                    open,
		",;,=,application/openmetrics-text;;=,\x00":                           classic,
		"application/json":                                                    classic,
		strings.Repeat("a/b,", 10_000) + "application/openmetrics-text;q=0.1": open,
	} {
		got := ask(sink, http.MethodGet, "Accept", accept)
		require.Equal(t, want, got.Header().Get("Content-Type"), "%.200s", accept)
		require.Equal(t, "Accept, Accept-Encoding", got.Header().Get("Vary"))
		require.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"))
	}
	got := ask(sink, http.MethodGet, "Accept", "text/plain;q=0.1", "Accept", "application/openmetrics-text")
	require.Equal(t, open, got.Header().Get("Content-Type"), "a header in two lines")
}

func TestGzip(t *testing.T) {
	sink := detached(t)
	require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 5))))
	page := get(t, sink, acceptOpen)
	for encodings, want := range map[string]bool{
		"": false, "gzip": true, "x-gzip": true, "deflate, gzip;q=1.0, *;q=0.5": true, "*": true, "GZIP": true,
		"identity": false, "gzip;q=0": false, "gzip;q=0, *": false, "*;q=0": false, "gzip;q=nonsense": false, "zstd": false,
	} {
		for range 2 { // the second page has the first one's compressor
			got := ask(sink, http.MethodGet, "Accept", acceptOpen, "Accept-Encoding", encodings)
			body := io.Reader(got.Body)
			if want {
				require.Equal(t, "gzip", got.Header().Get("Content-Encoding"), encodings)
				var err error
				body, err = gzip.NewReader(got.Body)
				require.NoError(t, err)
			} else {
				require.Empty(t, got.Header().Get("Content-Encoding"), encodings)
				require.Equal(t, strconv.Itoa(len(page)), got.Header().Get("Content-Length"))
			}
			text, err := io.ReadAll(body)
			require.NoError(t, err)
			require.Equal(t, page, string(text))
		}
	}
}

func TestMethods(t *testing.T) {
	sink := detached(t)
	require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 5))))
	for _, encoding := range []string{"identity", "gzip"} {
		get := ask(sink, http.MethodGet, "Accept-Encoding", encoding)
		head := ask(sink, http.MethodHead, "Accept-Encoding", encoding)
		require.Equal(t, http.StatusOK, head.Code)
		require.Equal(t, get.Header(), head.Header())
		require.NotZero(t, get.Body.Len())
		require.Zero(t, head.Body.Len())
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "X"} {
		got := ask(sink, method)
		require.Equal(t, http.StatusMethodNotAllowed, got.Code)
		require.Equal(t, "GET, HEAD", got.Header().Get("Allow"))
		require.Equal(t, "openmetricssink: the method is "+method+"; use GET\n", got.Body.String())
	}
}

func TestNoBuffer(t *testing.T) {
	got := ask(newSink(t), http.MethodGet)
	require.Equal(t, http.StatusInternalServerError, got.Code)
	require.Contains(t, got.Body.String(), "openmetricssink: the sink has no buffer")
	require.Contains(t, got.Body.String(), "metricsbuffer.WithSink(sink)")
}

// The page is served though the flush fails or hangs. A client that has gone gets nothing.
func TestFlushFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t)
		var err error
		require.NoError(t, sink.Attach(func(ctx context.Context) error {
			if err == nil {
				<-ctx.Done()
			}
			return err
		}))
		require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 5))))
		begin := time.Now()
		require.Contains(t, ask(sink, http.MethodGet).Body.String(), "\njobs_total 5\n")
		require.Equal(t, 5*time.Second, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		recorder := httptest.NewRecorder()
		sink.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil))
		require.Equal(t, time.Second, time.Since(begin))
		require.Empty(t, recorder.Header())
		require.Zero(t, recorder.Body.Len())

		err = errors.New("it failed")
		require.Contains(t, ask(sink, http.MethodGet).Body.String(), "\njobs_total 5\n")
	})
}

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

// A scrape allocates nothing for a series.
func TestAllocations(t *testing.T) {
	const series = 1000
	for _, accept := range []string{acceptClassic, acceptOpen, acceptProtobuf} {
		sink := detached(t, openmetricssink.WithIdleExpiry(time.Hour))
		var points []point
		buckets := &metricsbuffer.Buckets{Offset: 300, Counts: []uint64{1, 0, 0, 0, 1}}
		for i := range series {
			k := tag{Key: "k", Value: strconv.Itoa(i)}
			points = append(points, counter("jobs", 1, k), gauge("depth", 1.5, k),
				point{Kind: metricsbuffer.KindTimer, Name: "latency", Tags: []tag{k}, Count: 2, Buckets: buckets})
		}
		batch := second(points...)
		batch.Start, batch.End = time.Now(), time.Now()
		require.NoError(t, sink.Write(t.Context(), batch))
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Header.Set("Accept", accept)
		client := &discard{header: make(http.Header)}
		allocations := testing.AllocsPerRun(5, func() { sink.ServeHTTP(client, request) })
		require.Less(t, allocations, float64(series)/10, accept)
		require.Greater(t, client.n, 6*100*series)
	}
}

const acceptProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// discard is a client that counts bytes.
type discard struct {
	header http.Header
	n      int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(p []byte) (int, error) {
	d.n += len(p)
	return len(p), nil
}
