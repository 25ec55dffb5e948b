package openmetricssink_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

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
