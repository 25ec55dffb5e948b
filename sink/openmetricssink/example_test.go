package openmetricssink_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
)

// A server serves its metrics beside its pages.
func Example() {
	sink, err := openmetricssink.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buffer.Close()
	server := httptest.NewServer(sink) // or http.Handle("/metrics", sink)
	defer server.Close()

	buffer.IncrCounter("jobs.done", 3, metricsbuffer.T("queue", "mail"))

	fmt.Print(fetch(server.URL))
	// Output:
	// # HELP jobs_done_total The counter "jobs.done".
	// # TYPE jobs_done_total counter
	// jobs_done_total{queue="mail"} 3
}

// Count and latency by route and status. The lines of metrics are those between the marks.
func Example_routes() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "Hello,", r.PathValue("name"))
	})
	mux.Handle("GET /gone", http.NotFoundHandler())

	// from here
	sink := metricsbuffer.Must(openmetricssink.New())
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(sink)))
	defer buffer.Close()
	mux.Handle("GET /metrics", sink)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, begin := &answer{w, http.StatusOK}, time.Now()
		mux.ServeHTTP(answer, r)
		buffer.IncrTimer("http.server.request.duration", time.Since(begin),
			metricsbuffer.T("route", r.Pattern), metricsbuffer.T("status", strconv.Itoa(answer.status)))
	})
	// to here, and the type answer

	server := httptest.NewServer(handler)
	defer server.Close()
	for _, path := range []string{"/hello/you", "/hello/me", "/gone", "/nowhere"} {
		_ = fetch(server.URL + path)
	}
	for line := range strings.Lines(fetch(server.URL + "/metrics")) {
		if strings.HasPrefix(line, "http_server_request_duration_seconds_count") {
			fmt.Print(line)
		}
	}
	// Unordered output:
	// http_server_request_duration_seconds_count{route="GET /hello/{name}",status="200"} 2
	// http_server_request_duration_seconds_count{route="GET /gone",status="404"} 1
	// http_server_request_duration_seconds_count{status="404"} 1
}

// An answer knows its status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) { a.status = status; a.ResponseWriter.WriteHeader(status) }

func fetch(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(page)
}
