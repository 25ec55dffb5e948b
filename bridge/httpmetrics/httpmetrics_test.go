package httpmetrics_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/httpmetrics"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

var tag = metricsbuffer.T

// tags returns the tags of a request to a server without TLS.
func tags(method, route string, status int) []metricsbuffer.Tag {
	return append(where(method, route), tag("http.response.status_code", strconv.Itoa(status)))
}

func where(method, route string) []metricsbuffer.Tag {
	return append(active(method), tag("http.route", route))
}

func active(method string) []metricsbuffer.Tag {
	return []metricsbuffer.Tag{tag("http.request.method", method), tag("url.scheme", "http")}
}

// serve starts a server whose requests are recorded. The returned function stops it, after its last request.
func serve(
	t *testing.T, next http.Handler, opts ...httpmetrics.Option,
) (url string, buffer *metricsbuffer.Buffer, stop func()) {
	t.Helper()
	buffer = metricstest.New(t)
	handler := httpmetrics.Handler(buffer, next, opts...)
	var serving sync.WaitGroup // the server's Close does not wait for the handlers of hijacked connections
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, buffer, func() {
		server.Close()
		serving.Wait()
	}
}

func send(t *testing.T, method, url string, body io.Reader) (status int, response []byte, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		return 0, nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	response, err = io.ReadAll(answer.Body)
	return answer.StatusCode, response, err
}

// A seen is the count of the client's requests of one kind, and the sums of their sizes.
type seen struct{ count, sent, received int64 }

// Under load, counts and sizes are those that the clients saw, for each method, route and status.
func TestLoad(t *testing.T) {
	const clients, each = 8, 300
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "0" {
			http.Error(w, "there is no such order", http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprint(w, strings.Repeat("order ", len(r.PathValue("id"))*1000))
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot) // the server ignores it
		_, _ = fmt.Fprint(w, n)
	})
	mux.HandleFunc("/any/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	url, buffer, stop := serve(t, mux)

	type kind struct {
		method, route string
		status        int
	}
	var counting sync.Mutex
	want := make(map[kind]seen)
	requests := []struct {
		method, path string
		size         int // of the body; chunked if negative
		as           kind
	}{
		{"GET", "/orders/0", 0, kind{"GET", "/orders/{id}", 404}},
		{"GET", "/orders/17", 0, kind{"GET", "/orders/{id}", 200}},
		{"HEAD", "/orders/17", 0, kind{"HEAD", "/orders/{id}", 200}},
		{"POST", "/orders", 100_000, kind{"POST", "/orders", 201}},
		{"POST", "/orders", -5000, kind{"POST", "/orders", 201}},
		{"PUT", "/any/thing", -70_000, kind{"PUT", "/any/", 200}},
		{"BREW", "/any/coffee", 10, kind{"_OTHER", "/any/", 200}},
		{"DELETE", "/orders/1", 0, kind{"DELETE", "_OTHER", 405}},
		{"GET", "/nowhere", 0, kind{"GET", "_OTHER", 404}},
	}
	var sending sync.WaitGroup
	for c := range clients {
		sending.Go(func() {
			for i := range each {
				r := requests[(c+i)%len(requests)]
				var body io.Reader
				if r.size > 0 {
					body = strings.NewReader(strings.Repeat("x", r.size))
				} else if r.size < 0 {
					body = io.MultiReader(strings.NewReader(strings.Repeat("x", -r.size)))
				}
				status, response, err := send(t, r.method, url+r.path, body)
				if err != nil || status != r.as.status {
					t.Errorf("%s %s: %d, %v", r.method, r.path, status, err)
					return
				}
				counting.Lock()
				s := want[r.as]
				want[r.as] = seen{s.count + 1, s.sent + int64(max(r.size, -r.size)), s.received + int64(len(response))}
				counting.Unlock()
			}
		})
	}
	sending.Wait()
	stop()

	total := int64(0)
	for k, w := range want {
		tags := tags(k.method, k.route, k.status)
		total += w.count
		duration := metricstest.Timer(t, buffer, "http.server.request.duration", tags...)
		require.Equal(t, w.count, duration.Count, k)
		require.Positive(t, duration.Min)
		request := metricstest.Histogram(t, buffer, "http.server.request.body.size", "bytes", tags...)
		require.Equal(t, []int64{w.count, w.sent}, []int64{request.Count, request.Sum}, k)
		response := metricstest.Histogram(t, buffer, "http.server.response.body.size", "bytes", tags...)
		require.Equal(t, []int64{w.count, w.received}, []int64{response.Count, response.Sum}, k)
		require.Zero(t, metricstest.Gauge(t, buffer, "http.server.active_requests", active(k.method)...), k)
	}
	require.EqualValues(t, clients*each, total)
	require.Len(t, want, len(requests)-1)
	require.Equal(t, 3*len(want)+6, buffer.Stats().Series, "and the gauges of 6 methods")
}

// The gauge has the number of requests that are served now.
func TestActive(t *testing.T) {
	const requests = 5
	arrived, release := make(chan bool), make(chan bool)
	url, buffer, stop := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- true
		<-release
	}))
	var sending sync.WaitGroup
	for range requests {
		sending.Go(func() { _, _, _ = send(t, "GET", url, nil) })
	}
	for range requests {
		<-arrived
	}
	require.InDelta(t, requests, metricstest.Gauge(t, buffer, "http.server.active_requests", active("GET")...), 0)
	metricstest.None(t, buffer, "http.server.request.duration")
	close(release)
	sending.Wait()
	stop()
	require.Zero(t, metricstest.Gauge(t, buffer, "http.server.active_requests", active("GET")...))
}

// A panic is counted, and goes on as it is.
func TestPanic(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/before", func(http.ResponseWriter, *http.Request) { panic("before the header") })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "half of")
		panic(http.ErrAbortHandler)
	})
	url, buffer, stop := serve(t, mux)
	for _, path := range []string{"/before", "/before", "/abort"} {
		_, _, err := send(t, "GET", url+path, nil)
		require.Error(t, err)
	}
	stop()
	require.EqualValues(t, 2, metricstest.Count(t, buffer, "http.server.panics", where("GET", "/before")...))
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "http.server.panics", where("GET", "/abort")...))
	require.EqualValues(t, 2,
		metricstest.Timer(t, buffer, "http.server.request.duration", tags("GET", "/before", 500)...).Count)
	require.EqualValues(t, 1,
		metricstest.Timer(t, buffer, "http.server.request.duration", tags("GET", "/abort", 200)...).Count)
	require.Zero(t, metricstest.Gauge(t, buffer, "http.server.active_requests", active("GET")...))

	handler := httpmetrics.Handler(buffer, mux)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/abort", nil))
	})
}

// A handler that ends its goroutine has not panicked, unless it does so, too, while the goroutine ends.
func TestGoexit(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	mux.HandleFunc("/written", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		runtime.Goexit()
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) {
		defer panic("while the goroutine ends")
		runtime.Goexit()
	})
	for path, status := range map[string]int{"/exit": 500, "/written": 204, "/panic": 500} {
		url, buffer, stop := serve(t, mux)
		_, _, err := send(t, "GET", url+path, nil)
		require.Error(t, err)
		stop()
		require.EqualValues(t, 1,
			metricstest.Timer(t, buffer, "http.server.request.duration", tags("GET", path, status)...).Count, path)
		if path == "/panic" {
			require.EqualValues(t, 1, metricstest.Count(t, buffer, "http.server.panics", where("GET", path)...))
		} else {
			metricstest.None(t, buffer, "http.server.panics")
		}
	}
}

// A panic of the route's function loses no request, and hides no panic of the handler.
func TestPanicOfRoute(t *testing.T) {
	buffer := metricstest.New(t)
	route := httpmetrics.WithRoute(func(*http.Request) string { panic("route") })
	for want, next := range map[string]http.HandlerFunc{
		"route":   func(http.ResponseWriter, *http.Request) {},
		"handler": func(http.ResponseWriter, *http.Request) { panic("handler") },
	} {
		require.PanicsWithValue(t, want, func() {
			httpmetrics.Handler(buffer, next, route).ServeHTTP(
				httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		})
	}
	for _, status := range []int{200, 500} {
		require.EqualValues(t, 1,
			metricstest.Timer(t, buffer, "http.server.request.duration", tags("GET", "_OTHER", status)...).Count)
	}
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "http.server.panics", where("GET", "_OTHER")...))
	require.Zero(t, metricstest.Gauge(t, buffer, "http.server.active_requests", active("GET")...))
}

// A limit of the body's size around the handler closes the connection.
func TestMaxBytesHandler(t *testing.T) {
	handler := httpmetrics.Handler(metricstest.New(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	}))
	server := httptest.NewServer(http.MaxBytesHandler(handler, 10))
	defer server.Close()
	response, err := http.Post(server.URL, "text/plain", strings.NewReader("more than ten bytes"))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	require.True(t, response.Close)
}

// Optional interfaces of the server's ResponseWriter for HTTP/1 work, directly and through a ResponseController.
func TestHTTP1(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page")
	require.NoError(t, os.WriteFile(file, make([]byte, 100_000), 0o600))
	mux := http.NewServeMux()
	mux.HandleFunc("/flush", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		w.WriteHeader(http.StatusTeapot) // too late
		_, _ = io.WriteString(w, "event")
		controller := http.NewResponseController(w)
		for _, err := range []error{
			controller.Flush(), controller.SetReadDeadline(time.Time{}), controller.SetWriteDeadline(time.Time{}),
			controller.EnableFullDuplex(),
		} {
			if err != nil {
				panic(err)
			}
		}
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, _ *http.Request) {
		f, err := os.Open(file)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		if n, err := w.(io.ReaderFrom).ReadFrom(f); n != 100_000 || err != nil {
			panic(err)
		}
	})
	hijack := func(hijack func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := hijack(w)
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}
	}
	mux.Handle("/hijack", hijack(func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		return w.(http.Hijacker).Hijack()
	}))
	mux.Handle("/control", hijack(func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		return http.NewResponseController(w).Hijack()
	}))
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		hijack(func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return w.(http.Hijacker).Hijack()
		})(w, r)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "the server writes nothing of this")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("/pusher", func(w http.ResponseWriter, _ *http.Request) {
		if _, pushes := w.(http.Pusher); pushes {
			panic("HTTP/1 does not push")
		}
	})
	url, buffer, stop := serve(t, mux)
	early := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { early++; return nil },
	})
	want := map[string]struct{ toClient, recorded, size int }{
		"/flush": {200, 200, 5}, "/file": {200, 200, 100_000}, "/hijack": {204, 101, 0}, "/control": {204, 101, 0},
		"/late":  {204, 101, 0},
		"/early": {202, 202, 0}, "/pusher": {200, 200, 0},
	}
	for path, w := range want {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err, path)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err, path)
		response.Body.Close()
		require.Equal(t, w.toClient, response.StatusCode, path)
	}
	require.Equal(t, 1, early)
	stop()
	for path, w := range want {
		size := metricstest.Histogram(t, buffer, "http.server.response.body.size", "bytes",
			tags("GET", path, w.recorded)...)
		require.Equal(t, []int64{1, int64(w.size)}, []int64{size.Count, size.Sum}, path)
	}
	metricstest.None(t, buffer, "http.server.panics")
}

func TestHTTP2(t *testing.T) {
	buffer := metricstest.New(t)
	server := httptest.NewUnstartedServer(httpmetrics.Handler(buffer, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, hijacks := w.(http.Hijacker)
			_, pushes := w.(http.Pusher)
			if r.ProtoMajor != 2 || hijacks || !pushes {
				panic("not as the server's ResponseWriter")
			}
			_ = w.(http.Pusher).Push("/style", nil) // the client does not want it
			_, _ = io.Copy(w, r.Body)
			w.(http.Flusher).Flush()
		})))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	response, err := server.Client().Post(server.URL, "text/plain", strings.NewReader("echo"))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	require.NoError(t, err)
	require.Equal(t, "echo", string(body))
	server.Close()
	size := metricstest.Histogram(t, buffer, "http.server.response.body.size", "bytes",
		tag("http.request.method", "POST"), tag("url.scheme", "https"),
		tag("http.route", "_OTHER"), tag("http.response.status_code", "200"))
	require.Equal(t, []int64{1, 4}, []int64{size.Count, size.Sum})
}

// A notifier is a http.CloseNotifier. That is deprecated, but gin's Context.Stream panics without it.
type notifier interface{ CloseNotify() <-chan bool }

// A handler is told by CloseNotify that its client has gone, by HTTP/1 and HTTP/2, and behind other middleware.
func TestCloseNotify(t *testing.T) {
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"server":  func(w http.ResponseWriter) http.ResponseWriter { return w },
		"unwraps": func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{w} },
		"flushes": func(w http.ResponseWriter) http.ResponseWriter { return flushing{w, w.(http.Flusher)} },
	} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprint(name, version), func(t *testing.T) {
				buffer := metricstest.New(t)
				begun, told := make(chan int, 1), make(chan bool, 1)
				handler := httpmetrics.Handler(buffer, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					notifier, notifies := w.(notifier)
					if !notifies {
						begun <- 0
						return
					}
					gone := notifier.CloseNotify()
					begun <- r.ProtoMajor
					told <- <-gone
				}))
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					handler.ServeHTTP(wrap(w), r)
				}))
				server.EnableHTTP2 = version == 2
				server.StartTLS()
				defer server.Close()
				ctx, cancel := context.WithCancel(t.Context())
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				require.NoError(t, err)
				var asking sync.WaitGroup
				asking.Go(func() {
					response, err := server.Client().Do(request)
					if err == nil {
						response.Body.Close()
					}
				})
				require.Equal(t, version, <-begun)
				cancel()
				require.True(t, <-told)
				asking.Wait()
			})
		}
	}
}

type flushing struct {
	http.ResponseWriter
	http.Flusher
}

// A ResponseWriter without optional interfaces does not get any.
func TestPlainResponseWriter(t *testing.T) {
	type plain struct{ http.ResponseWriter }
	called := 0
	handler := httpmetrics.Handler(metricstest.New(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called++
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		_, readsFrom := w.(io.ReaderFrom)
		_, notifies := w.(notifier)
		flushed := http.NewResponseController(w).Flush() == nil
		if hijacks || readsFrom || notifies != flushes || flushes != (called == 2) || flushed != flushes {
			t.Errorf("request %d: flushes %v, flushed %v, hijacks %v, reads from %v, notifies %v",
				called, flushes, flushed, hijacks, readsFrom, notifies)
		}
		w.Header().Set("key", "value")
	}))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(plain{recorder}, httptest.NewRequest(http.MethodGet, "/", nil))
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, 2, called)
	require.Equal(t, "value", recorder.Header().Get("key"))
	require.True(t, recorder.Flushed)
}

// An unwrapping is the ResponseWriter of a middleware that has only Unwrap, for a ResponseController.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// A hijacking is the ResponseWriter of a middleware that hides some interfaces of the server's.
type hijacking struct {
	http.ResponseWriter
	http.Hijacker
}

type flushHijacking struct {
	hijacking
	http.Flusher
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A panicking reader gives some bytes, and then panics.
type panicking struct{ left int }

func (p *panicking) Read(b []byte) (int, error) {
	if p.left == 0 {
		panic(http.ErrAbortHandler)
	}
	n := min(p.left, len(b))
	p.left -= n
	return n, nil
}

// The recorded status and size are those that the client gets, though the handler does unusual things, and though a
// middleware around the metrics hides interfaces of the server's ResponseWriter.
func TestStatusOfClient(t *testing.T) {
	plain := func(w http.ResponseWriter) http.ResponseWriter { return w }
	unwrap := func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{unwrapping{w}} }
	hijack := func(w http.ResponseWriter) http.ResponseWriter { return hijacking{w, w.(http.Hijacker)} }
	flushHijack := func(w http.ResponseWriter) http.ResponseWriter {
		return flushHijacking{hijacking{w, w.(http.Hijacker)}, w.(http.Flusher)}
	}
	upgrade := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	}
	assert := func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Hijacker); !ok {
			http.Error(w, "it cannot be hijacked", http.StatusNotImplemented)
			return
		}
		upgrade(w, r)
	}
	flush := func(w http.ResponseWriter, _ *http.Request) {
		if http.NewResponseController(w).Flush() != nil {
			http.Error(w, "it cannot be flushed", http.StatusNotImplemented)
			return
		}
		http.Error(w, "too late", http.StatusInternalServerError)
	}
	for name, test := range map[string]struct {
		middleware func(http.ResponseWriter) http.ResponseWriter
		handler    http.HandlerFunc
		status     int
	}{
		"a copy fails at once": {plain, func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.Copy(w, failing{})
			http.Error(w, err.Error(), http.StatusBadGateway)
		}, http.StatusBadGateway},
		"a copy of nothing": {plain, func(w http.ResponseWriter, _ *http.Request) {
			if n, _ := io.Copy(w, struct{ io.Reader }{strings.NewReader("")}); n == 0 {
				w.WriteHeader(http.StatusNoContent)
			}
		}, http.StatusNoContent},
		"a copy of too much": {plain, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "0")
			_, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("text")})
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}, http.StatusOK},
		"a copy panics late": {plain, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, &panicking{100_000})
		}, http.StatusOK},
		"Unwrap, Flush":        {unwrap, flush, http.StatusOK},
		"Unwrap, Hijack":       {unwrap, upgrade, http.StatusSwitchingProtocols},
		"Unwrap, Hijacker":     {unwrap, assert, http.StatusSwitchingProtocols},
		"Flush+Hijack, Flush":  {flushHijack, flush, http.StatusOK},
		"Flush+Hijack, Hijack": {flushHijack, upgrade, http.StatusSwitchingProtocols},
		"Hijack, Hijacker":     {hijack, assert, http.StatusSwitchingProtocols},
		"Hijack, Flush":        {hijack, flush, http.StatusNotImplemented},
	} {
		t.Run(name, func(t *testing.T) {
			buffer := metricstest.New(t)
			handler := httpmetrics.Handler(buffer, test.handler)
			var serving sync.WaitGroup
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				serving.Add(1)
				defer serving.Done()
				handler.ServeHTTP(test.middleware(w), r)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Start()
			defer server.Close()
			status, _, _ := send(t, http.MethodGet, server.URL, nil)
			server.Close()
			serving.Wait()
			require.Equal(t, test.status, status)
			took := metricstest.Timer(t, buffer, "http.server.request.duration", tags("GET", "_OTHER", status)...)
			require.EqualValues(t, 1, took.Count)
		})
	}
}

var registerDefault = sync.OnceFunc(func() {
	http.HandleFunc("GET /default/{id}", func(http.ResponseWriter, *http.Request) {})
})

// The handler may be around a ServeMux, inside of one, or both. A router of one's own says its route.
func TestRoute(t *testing.T) {
	buffer := metricstest.New(t)
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	count := func(route string) int64 {
		return metricstest.Timer(t, buffer, "http.server.request.duration", tags("GET", route, 200)...).Count
	}
	request := func(h http.Handler, path string) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}

	inner := http.NewServeMux()
	inner.Handle("GET example.com/inner/{id}", httpmetrics.Handler(buffer, ok))
	request(inner, "/inner/1")
	require.EqualValues(t, 1, count("/inner/{id}"), "without the host")

	nested, outer := http.NewServeMux(), http.NewServeMux()
	nested.Handle("/nested/{id}", ok)
	outer.Handle("/nested/", nested)
	request(httpmetrics.Handler(buffer, outer), "/nested/1")
	require.EqualValues(t, 1, count("/nested/{id}"), "the last pattern")

	byHeader := httpmetrics.WithRoute(func(r *http.Request) string { return r.Header.Get("route") })
	router := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { r.Header.Set("route", "custom") })
	request(httpmetrics.Handler(buffer, router, byHeader, httpmetrics.Option{}), "/")
	require.EqualValues(t, 1, count("custom"))
	request(httpmetrics.Handler(buffer, ok, byHeader), "/")
	request(httpmetrics.Handler(buffer, ok), "/")
	require.EqualValues(t, 2, count("_OTHER"))

	registerDefault()
	request(httpmetrics.Handler(buffer, nil), "/default/1")
	require.EqualValues(t, 1, count("/default/{id}"))
}

// A client cannot make routes. ServeMux takes the path of a CONNECT request that it redirects for the pattern.
func TestRouteOfRedirect(t *testing.T) {
	buffer := metricstest.New(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/orders/{id}/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/{a}/{b}/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/tree", func(http.ResponseWriter, *http.Request) {})
	handler := httpmetrics.Handler(buffer, mux, httpmetrics.WithoutSizes())
	request := func(method, path string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(method, "/", nil)
		request.URL = metricsbuffer.Must(url.ParseRequestURI(path))
		handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	count := func(route string, status int) int64 {
		at := tags("CONNECT", route, status)
		return metricstest.Timer(t, buffer, "http.server.request.duration", at...).Count
	}
	redirected := []string{"/orders/1", "/orders/{id}", "/orders/1%2F", "/a/%2F%2F", "/a/%2E", "/a/%252F"}
	status := request("GET", "/orders/1")
	for _, path := range redirected {
		require.Equal(t, status, request("CONNECT", path), path)
	}
	require.EqualValues(t, len(redirected), count("_OTHER", status))

	for _, path := range []string{"/orders/1/", "/orders/1/x", "/tree", "/a/b/"} {
		require.Equal(t, 200, request("CONNECT", path), path)
	}
	require.EqualValues(t, 2, count("/orders/{id}/", 200))
	require.EqualValues(t, 1, count("/tree", 200))
	require.EqualValues(t, 1, count("/{a}/{b}/", 200))
}

// An option without its function is not left out silently.
func TestNilFunction(t *testing.T) {
	require.PanicsWithValue(t, "httpmetrics: WithRoute: the function is nil; leave the option out for the route of "+
		"http.ServeMux", func() { httpmetrics.WithRoute(nil) })
}

// Without sizes, everything else is recorded, and no series of sizes is there or described.
func TestWithoutSizes(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	server := httptest.NewServer(httpmetrics.Handler(buffer, echo, httpmetrics.WithoutSizes()))
	for range 3 {
		_, body, err := send(t, "POST", server.URL, strings.NewReader("a body"))
		require.NoError(t, err)
		require.Equal(t, "a body", string(body))
	}
	server.Close()
	require.NoError(t, buffer.Close())
	require.NoError(t, recorder.Err())
	var names []string
	for _, total := range recorder.Totals() {
		names = append(names, total.Name)
	}
	require.Equal(t, []string{"http.server.active_requests", "http.server.request.duration"}, names)
	duration := recorder.Total(metricsbuffer.KindTimer, "http.server.request.duration", tags("POST", "_OTHER", 200)...)
	require.EqualValues(t, 3, duration.Count)
	require.Zero(t, recorder.Total(metricsbuffer.KindGauge, "http.server.active_requests", active("POST")...).Value)
}

// A handler may leave the body unread, or leave a goroutine that goes on reading.
func TestUnreadBody(t *testing.T) {
	url, buffer, stop := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			go func() { _, _ = io.Copy(io.Discard, r.Body) }()
			return
		}
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
	}))
	for range 20 {
		_, _, _ = send(t, "POST", url, strings.NewReader("a body of more than ten bytes"))
		_, _, _ = send(t, "PUT", url, strings.NewReader(strings.Repeat("x", 100_000)))
	}
	stop()
	require.EqualValues(t, 200, metricstest.Histogram(t, buffer, "http.server.request.body.size", "bytes",
		tags("POST", "_OTHER", 200)...).Sum)
	require.EqualValues(t, 20, metricstest.Histogram(t, buffer, "http.server.request.body.size", "bytes",
		tags("PUT", "_OTHER", 200)...).Count)
}

func TestNoBuffer(t *testing.T) {
	recorder := httptest.NewRecorder()
	httpmetrics.Handler(nil, http.NotFoundHandler()).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusNotFound, recorder.Code)
}

// discard is a ResponseWriter that allocates nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header             { return d.header }
func (discard) Write(p []byte) (int, error)       { return len(p), nil }
func (discard) WriteString(s string) (int, error) { return len(s), nil }
func (discard) WriteHeader(int)                   {}

// A request costs one allocation.
func TestAllocations(t *testing.T) {
	handler, w, r := simple(metricstest.New(t))
	serve := func() {
		r.Body = http.NoBody
		handler.ServeHTTP(w, r)
	}
	for range 10_000 {
		serve()
	}
	require.InDelta(t, 1, testing.AllocsPerRun(1000, serve), 0)
}

func simple(buffer *metricsbuffer.Buffer) (http.Handler, http.ResponseWriter, *http.Request) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") })
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/orders/1", nil)
	request.Pattern = "GET /orders/{id}"
	return httpmetrics.Handler(buffer, next), discard{make(http.Header)}, request
}

func BenchmarkHandler(b *testing.B) {
	handler, w, r := simple(metricstest.New(b))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := r.Clone(context.Background())
		for pb.Next() {
			handler.ServeHTTP(w, r)
		}
	})
}
