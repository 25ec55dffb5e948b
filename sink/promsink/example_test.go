package promsink_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
)

func Example() {
	sink, err := promsink.New()
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
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(sink)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()

	buffer.Counter("jobs.done", metricsbuffer.Tag{Key: "queue", Value: "mail"}).Add(3)

	page, err := http.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer page.Body.Close()
	text, err := io.ReadAll(page.Body)
	fmt.Printf("%s%v\n", text, err)
	// Output:
	// # HELP jobs_done_total The counter "jobs.done".
	// # TYPE jobs_done_total counter
	// jobs_done_total{queue="mail"} 3
	// <nil>
}
