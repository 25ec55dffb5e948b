package httpmetrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/httpmetrics"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
)

// The count and the latency of requests by route and status, for Prometheus to fetch at /metrics.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "lost" {
			http.Error(w, "the order is lost", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintln(w, "order", r.PathValue("id"))
	})

	page := metricsbuffer.Must(openmetricssink.New())
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(page)))
	defer buffer.Close()
	mux.Handle("GET /metrics", page)
	handler := httpmetrics.Handler(buffer, mux)

	server := httptest.NewServer(handler) // or http.ListenAndServe(":8080", handler)
	defer server.Close()
	for _, path := range []string{"/orders/1", "/orders/2", "/orders/lost", "/nowhere"} {
		_ = fetch(server.URL + path)
	}
	for line := range strings.Lines(fetch(server.URL + "/metrics")) {
		if labels, ok := strings.CutPrefix(line, "http_server_request_duration_seconds_count"); ok {
			fmt.Print(labels)
		}
	}
	// Unordered output:
	// {http_request_method="GET",http_response_status_code="200",http_route="/orders/{id}",url_scheme="http"} 2
	// {http_request_method="GET",http_response_status_code="500",http_route="/orders/{id}",url_scheme="http"} 1
	// {http_request_method="GET",http_response_status_code="404",http_route="_OTHER",url_scheme="http"} 1
}

func fetch(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func ExampleHandler() {
	print := func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			if p.Name == "http.server.request.duration" {
				fmt.Println(p.Name, p.Count)
				for _, tag := range p.Tags {
					fmt.Println(" ", tag.Key, "=", tag.Value)
				}
			}
		}
		return nil
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(metricsbuffer.SinkFunc(print)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buffer.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "order", r.PathValue("id"))
	})
	server := httptest.NewServer(httpmetrics.Handler(buffer, mux)) // or http.ListenAndServe
	defer server.Close()

	for _, path := range []string{"/orders/1", "/orders/2", "/orders/3"} {
		response, err := http.Get(server.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
	}

	// Output:
	// http.server.request.duration 3
	//   http.request.method = GET
	//   http.response.status_code = 200
	//   http.route = /orders/{id}
	//   url.scheme = http
}
