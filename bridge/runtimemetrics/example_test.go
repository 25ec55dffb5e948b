package runtimemetrics_test

import (
	"context"
	"fmt"
	"runtime"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/runtimemetrics"
)

func ExampleStart() {
	print := func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			switch p.Name {
			case "go.processor.limit":
				fmt.Println(p.Name, p.Value)
			case "go.memory.gc.pause.duration":
				fmt.Println(p.Name, p.Count > 0, p.Quantile(0.99) > 0)
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
	poll, err := runtimemetrics.Start(buffer)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer poll.Stop()

	runtime.GOMAXPROCS(2)
	runtime.GC()
	if err := buffer.Flush(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// go.memory.gc.pause.duration true true
	// go.processor.limit 2
}
