package pagesink_test

import (
	"fmt"
	"net/http"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

// The page is at http://localhost:8080/debug/metrics/ once the program calls http.ListenAndServe(":8080", nil).
func Example() {
	page, err := pagesink.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page))
	if err != nil {
		fmt.Println(err)
		return
	}
	page.Watch(buffer)
	http.Handle("/debug/metrics/", page)

	buffer.IncrCounter("requests", 1)
	fmt.Println(buffer.Close())
	// Output: <nil>
}
