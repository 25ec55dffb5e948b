package httpmetrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/httpmetrics"
)

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
