package sinktest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A Till is code that counts, and that a test is for.
type Till struct{ metrics *metricsbuffer.Buffer }

func (t *Till) Sell(fruit string, n int64) {
	t.metrics.IncrCounter("sold", n, metricsbuffer.Tag{Key: "fruit", Value: fruit})
}

// A test gives the code a buffer with a Recorder. The buffer delivers when it is flushed or closed.
func ExampleRecorder() {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	till := &Till{metrics: buffer}
	till.Sell("apple", 2)
	till.Sell("pear", 1)
	till.Sell("apple", 3)

	if err := buffer.Close(); err != nil { // delivers; to go on afterwards, call Flush
		fmt.Println(err)
	}
	apples := recorder.Total(metricsbuffer.KindCounter, "sold", metricsbuffer.Tag{Key: "fruit", Value: "apple"})
	fmt.Println("apples:", apples.Count)
	for _, p := range recorder.Totals() {
		fmt.Println(sinktest.Line(p))
	}
	// Output:
	// apples: 5
	// counter sold{fruit=apple} 5
	// counter sold{fruit=pear} 1
}

// A batch that was refused is delivered with the next one.
func ExampleFailing() {
	recorder := new(sinktest.Recorder)
	sink := sinktest.Failing(recorder, func(write int64) bool { return write == 1 })
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithInterval(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		buffer.IncrCounter("requests", 1)
		err := buffer.Flush(context.Background())
		fmt.Println("refused:", errors.Is(err, sinktest.ErrInjected))
		for _, p := range recorder.Totals() {
			fmt.Println("delivered:", sinktest.Line(p))
		}
	}
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// refused: true
	// refused: false
	// delivered: counter requests 2
}
