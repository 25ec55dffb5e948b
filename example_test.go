package metricsbuffer_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

// The usage example of the README.
func Example() {
	console, err := consolesink.New(os.Stderr)
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(console)) // a batch every second
	if err != nil {
		fmt.Println(err)
		return
	}
	requests := buffer.Counter("http.requests", metricsbuffer.Tag{Key: "handler", Value: "index"})
	latency := buffer.Timer("http.latency")
	for range 1000 { // in any number of goroutines
		stopwatch := latency.Start()
		requests.Inc()
		stopwatch.Stop()
		buffer.IncrCounter("http.responses", 1, metricsbuffer.Tag{Key: "status", Value: "200"}) // by name
	}
	fmt.Println(buffer.Close(), buffer.Stats().Recorded) // increments, observations
	// Output: <nil> {2000 1000}
}

// For hot loops and many labels: the second example of the README.
func Example_loops() {
	buffer, err := metricsbuffer.New() // without a sink it only counts
	if err != nil {
		fmt.Println(err)
		return
	}
	messages := []string{"one", "two"}

	type delivery struct {
		Status   string `tag:"status"`
		Producer string `tag:"producer_name"`
	}
	statuses, err := metricsbuffer.NewCounterVec[delivery](buffer, "produce_status") // also timers, gauges, histograms
	if err != nil {
		fmt.Println(err)
		return
	}
	statuses.With(delivery{Status: "success", Producer: "events"}).Inc() // builds no string

	volume := buffer.Counter("message.volume")
	size := buffer.Histogram("message.size", "bytes") // quantiles, and the buckets of OpenTelemetry and Prometheus
	local := buffer.Local()                           // this goroutine's: recording costs about as much as x++
	for _, message := range messages {
		local.Counter(volume).Add(int64(len(message)))
		local.Histogram(size).Observe(int64(len(message)))
	}
	local.Commit() // all of it arrives in one batch

	fmt.Println(buffer.Stats().Recorded) // increments, observations
	// Output: {7 2}
}

// A sink of one's own: anything that can tell whether it succeeded.
func ExampleSinkFunc() {
	toStdout := metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			switch p.Kind {
			case metricsbuffer.KindCounter:
				fmt.Println(p.Name, p.Tags, p.Count)
			case metricsbuffer.KindTimer:
				fmt.Println(p.Name, p.Count, time.Duration(p.Sum), time.Duration(p.Max))
			}
		}
		return nil // an error here would keep the batch in the buffer
	})
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(toStdout), metricsbuffer.WithInterval(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer.IncrCounter("messages", 2, metricsbuffer.Tag{Key: "topic", Value: "orders"})
	buffer.IncrCounter("messages", 1, metricsbuffer.Tag{Key: "topic", Value: "orders"})
	buffer.IncrTimer("callback_latency", 20*time.Millisecond)
	buffer.IncrTimer("callback_latency", 10*time.Millisecond)
	fmt.Println(buffer.Flush(context.Background()))
	fmt.Println(buffer.Close())
	// Output:
	// messages [{topic orders}] 3
	// callback_latency 2 30ms 20ms
	// <nil>
	// <nil>
}
