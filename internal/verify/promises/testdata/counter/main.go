// This program prints the clock that its stopwatches measure by, after some flushes.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

func main() {
	acknowledge := metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil })
	b := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(acknowledge, metricsbuffer.SinkInterval(0))))
	for range 200 {
		time.Sleep(10 * time.Millisecond) // time in which the two clocks can be compared
		if err := b.Flush(context.Background()); err != nil {
			panic(err)
		}
		if b.Stats().Clock != "runtime" {
			break
		}
	}
	fmt.Println(b.Stats().Clock)
}
