// Package httpmetrics records the requests of an HTTP server in a buffer:
//
//	mux := http.NewServeMux()
//	mux.HandleFunc("GET /orders/{id}", order)
//	http.ListenAndServe(":8080", httpmetrics.Handler(buffer, mux))
//
// # Series
//
// Names and tags are those of OpenTelemetry's [semantic conventions] for HTTP servers. Prometheus gets underscores for
// the dots in tags, and the name in the last column.
//
//	name                            kind       tags                           at Prometheus
//	http.server.request.duration    timer      method, scheme, route, status  http_server_request_duration_seconds
//	http.server.request.body.size   histogram  method, scheme, route, status  http_server_request_body_size_bytes
//	http.server.response.body.size  histogram  method, scheme, route, status  http_server_response_body_size_bytes
//	http.server.active_requests     gauge      method, scheme                 http_server_active_requests
//	http.server.panics              counter    method, scheme, route          http_server_panics_total
//
// The last one is not in the conventions. It counts each panic, also one with [http.ErrAbortHandler], by which
// httputil.ReverseProxy ends a response that it cannot copy to its end. The number of requests is the count of the
// timer, at Prometheus http_server_request_duration_seconds_count. A request is recorded when its handler returns or
// panics. Its duration and its sizes arrive in the same batch of a sink. [WithoutSizes] leaves the sizes out.
//
//	tag                        value
//	http.request.method        GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE, or _OTHER for any other one
//	url.scheme                 https if the server's connection has TLS, else http
//	http.route                 the path of the pattern, such as /orders/{id}; _OTHER if none matches; see WithRoute
//	http.response.status_code  the status: the first one that is not informational
//
// The status of a handler that writes nothing is 200; it is 500 if the handler panics or calls [runtime.Goexit] before
// it writes, and 101 if it hijacks the connection before it writes. A CONNECT request that ServeMux redirects to the
// path with a slash at the end has the route _OTHER. The number of series stays small if the handlers use few statuses,
// and the function of [WithRoute] returns few routes.
//
// The size of a request is the number of bytes that the handler has read from the body until it returns. The size of a
// response is the number of bytes that the server has taken for the body, before they are encoded for the connection.
// It is 0 for HEAD, and does not contain the bytes on a hijacked connection.
//
// # Where to put it
//
// [http.ServeMux] writes the pattern into the request that it is given. So put the handler around the ServeMux, or
// around single handlers inside of it. Between the two, no other middleware may replace the request: for instance,
// http.Request.WithContext makes a copy, and the copy gets the pattern. Put such middleware around this handler.
//
// # Response writers
//
// The wrapped handler gets a ResponseWriter with optional interfaces of the outer one, which is the server's, or that
// of the middleware around this handler:
//
//   - [http.Flusher] and [http.Hijacker], each if an [http.ResponseController] finds it in the outer one. With Flush it
//     also has CloseNotify, which gin and older programs need.
//   - [io.ReaderFrom], if the outer one has all three, as that of HTTP/1 has.
//   - [http.Pusher], if the outer one has it and [http.Flusher], and not [http.Hijacker], as that of HTTP/2.
//
// It also has the method Unwrap. So everything works that [http.ResponseController] does.
//
// If [http.MaxBytesReader] gets this ResponseWriter, it cannot tell the server to close the connection after a body
// that is too large: it looks for a method of the server's own ResponseWriter that no other type can have. The server
// then reads up to 256 KiB of the rest, as after every body that is not read to its end, or else closes the
// connection. Put [http.MaxBytesHandler] around this handler, and it closes at once.
//
// [semantic conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-server
package httpmetrics

import (
	"net/http"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// other is the value of a tag for a method that is not known, and for a request that no route matches.
const other = "_OTHER"

// An Option configures a [Handler]. The zero Option does nothing.
type Option struct{ apply func(*handler) }

// WithRoute has a function say which route a request took, for routers other than [http.ServeMux]. It is called on the
// goroutine of the request, after the wrapped handler has returned or panicked, with the request that the handler got.
// It must return few different values, each the same for all requests of a route. An empty one is recorded as _OTHER.
// So is a request for which the function panics; the panic goes on to the caller unless the handler has panicked, too.
// It panics if the function is nil.
func WithRoute(route func(*http.Request) string) Option {
	if route == nil {
		panic("httpmetrics: WithRoute: the function is nil; leave the option out for the route of http.ServeMux")
	}
	return Option{func(h *handler) { h.route = route }}
}

// WithoutSizes leaves out the sizes of requests and responses: two of the three series of a method, route and status.
func WithoutSizes() Option { return Option{func(h *handler) { h.withoutSizes = true }} }

// Handler returns a handler that calls next and records the request. A nil next is [http.DefaultServeMux], as it is for
// [http.ListenAndServe]. If the buffer is nil, nothing is recorded. Several handlers may record into one buffer.
//
// The handler allocates one object for each request. A panic of next is counted and goes on to the caller.
func Handler(buffer *metricsbuffer.Buffer, next http.Handler, opts ...Option) http.Handler {
	const requestSize, responseSize = "http.server.request.body.size", "http.server.response.body.size"
	h := &handler{
		next:      next,
		route:     routeOf,
		active:    metricsbuffer.Must(metricsbuffer.NewGaugeVec[activeLabels](buffer, "http.server.active_requests")),
		durations: metricsbuffer.Must(metricsbuffer.NewTimerVec[labels](buffer, "http.server.request.duration")),
		panics:    metricsbuffer.Must(metricsbuffer.NewCounterVec[panicLabels](buffer, "http.server.panics")),
	}
	buffer.Describe("http.server.active_requests", "Number of active HTTP server requests.", "{request}")
	buffer.Describe("http.server.request.duration", "Duration of HTTP server requests.", "")
	buffer.Describe("http.server.panics", "Number of HTTP server requests that ended in a panic.", "")
	if h.next == nil {
		h.next = http.DefaultServeMux
	}
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(h)
		}
	}
	if !h.withoutSizes {
		h.requestSizes = metricsbuffer.Must(metricsbuffer.NewHistogramVec[labels](buffer, requestSize, "bytes"))
		h.responseSizes = metricsbuffer.Must(metricsbuffer.NewHistogramVec[labels](buffer, responseSize, "bytes"))
		buffer.Describe(requestSize, "Size of HTTP server request bodies.", "")
		buffer.Describe(responseSize, "Size of HTTP server response bodies.", "")
	}
	return h
}

type handler struct {
	next  http.Handler
	route func(*http.Request) string

	withoutSizes  bool
	active        *metricsbuffer.Vec[activeLabels, metricsbuffer.Gauge]
	durations     *metricsbuffer.Vec[labels, metricsbuffer.Timer]
	requestSizes  *metricsbuffer.Vec[labels, metricsbuffer.Histogram] // nil without sizes
	responseSizes *metricsbuffer.Vec[labels, metricsbuffer.Histogram]
	panics        *metricsbuffer.Vec[panicLabels, metricsbuffer.Counter]
}

type labels struct {
	Method string `tag:"http.request.method"`
	Scheme string `tag:"url.scheme"`
	Route  string `tag:"http.route"`
	Status int    `tag:"http.response.status_code"`
}

type activeLabels struct {
	Method string `tag:"http.request.method"`
	Scheme string `tag:"url.scheme"`
}

type panicLabels struct {
	Method string `tag:"http.request.method"`
	Scheme string `tag:"url.scheme"`
	Route  string `tag:"http.route"`
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	of := activeLabels{methodOf(r.Method), schemeOf(r)}
	active := h.active.With(of)
	active.Add(1)
	x := &exchange{writer: w, request: r, head: r.Method == http.MethodHead}
	if r.Body != nil && r.Body != http.NoBody && !h.withoutSizes {
		x.body = r.Body
		r.Body = (*requestBody)(x)
	}

	returned := false
	defer func() { // without recover, so that the panic goes on as it is
		took, panicked := time.Since(start), !returned && !exits()
		active.Add(-1)
		route := other
		defer func() { // also if the route's function panics
			labels := labels{of.Method, of.Scheme, route, x.finalStatus(returned)}
			var panics metricsbuffer.Update
			if panicked {
				panics = h.panics.With(panicLabels{of.Method, of.Scheme, route}).Delta(1)
			}
			metricsbuffer.Record(
				h.durations.With(labels).Took(took),
				h.requestSizes.With(labels).Size(x.read.Load()),
				h.responseSizes.With(labels).Size(x.written),
				panics,
			)
		}()
		if taken := h.routeTaken(r, returned); taken != "" {
			route = taken
		}
	}()
	h.next.ServeHTTP(x.responseWriter(), r)
	returned = true
}

// routeTaken returns the route, or "" if there is none. If the handler has panicked, that panic goes on, and not one of
// the route's function.
func (h *handler) routeTaken(r *http.Request, returned bool) string {
	if !returned {
		defer func() { _ = recover() }()
	}
	return h.route(r)
}

// exits says whether the function that defers its caller is ended by runtime.Goexit, and not by a panic. Only recover
// could tell by the language, and it would end the panic. If the runtime changes, exits are counted as panics.
func exits() bool {
	var caller [1]uintptr
	n := runtime.Callers(3, caller[:]) // of the deferred function
	frame, _ := runtime.CallersFrames(caller[:n]).Next()
	return frame.Function == "runtime.Goexit"
}

// methodOf returns the method if it is one of those that RFC 9110 and RFC 5789 define.
func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return other
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// routeOf returns the path of the pattern that matched, without its method and host.
func routeOf(r *http.Request) string {
	if r.Method == http.MethodConnect && redirected(r) {
		return ""
	}
	if slash := strings.IndexByte(r.Pattern, '/'); slash >= 0 {
		return r.Pattern[slash:]
	}
	return ""
}

// redirected says whether a ServeMux answered a CONNECT request with the address that has a slash at the end. It then
// has written the path of that address into the request, and not a pattern. A client could make any number of these.
func redirected(r *http.Request) bool {
	return strings.HasSuffix(r.Pattern, "/") && !strings.HasSuffix(r.URL.EscapedPath(), "/") &&
		path.Clean(r.Pattern) == path.Clean(r.URL.Path)
}
