package openmetricssink_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
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

// The page is served though the flush fails or hangs. A request that has ended gets no page: its context may have ended
// for other reasons than that the client has gone, and an empty page would be one without series.
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
		require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
		require.Contains(t, recorder.Body.String(), "context deadline exceeded")

		err = errors.New("it failed")
		require.Contains(t, ask(sink, http.MethodGet).Body.String(), "\njobs_total 5\n")
	})
}

// A scrape allocates nothing for a series.
func TestAllocations(t *testing.T) {
	const series = 1000
	for _, accept := range []string{acceptClassic, acceptOpen, acceptProtobuf} {
		sink := detached(t)
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
