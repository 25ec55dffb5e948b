package consolesink_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

// A buffer calls Write with each of its batches. This one is made by hand, so that the output is always the same.
func Example() {
	sink, err := consolesink.New(os.Stdout)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)
	_ = sink.Write(context.Background(), &metricsbuffer.Batch{
		Start: start,
		End:   start.Add(time.Second),
		Points: []metricsbuffer.Point{
			{Name: "queue_depth", Kind: metricsbuffer.KindGauge, Value: 42},
			{Name: "callback_latency", Kind: metricsbuffer.KindTimer, Count: 12,
				Sum: int64(14_400 * time.Microsecond), Min: int64(900 * time.Microsecond), Max: int64(3_141_593),
				Buckets: &metricsbuffer.Buckets{Offset: 323, Counts: []uint64{11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					0, 0, 0, 0, 1}}},
			{Name: "produced", Kind: metricsbuffer.KindCounter, Count: 1234,
				Tags: []metricsbuffer.Tag{{Key: "producer", Value: "orders"}}},
			{Name: "produced", Kind: metricsbuffer.KindCounter, Count: 12,
				Tags: []metricsbuffer.Tag{{Key: "producer", Value: "users"}}},
		},
	})
	// Output:
	// 2025-11-23 12:00:00.000 – 12:00:01.000  1s  4 series
	//
	// COUNTERS                  count    per s
	// produced
	//   {producer=orders}       1,234    1,234
	//   {producer=users}           12       12
	//
	// TIMERS                    count    per s     p50     p99    mean     min     max
	// callback_latency [ms]        12       12    1.22    3.03     1.2     0.9    3.14
	//
	// GAUGES                    value
	// queue_depth                  42
}

// The program prints its metrics when it gets SIGUSR1: kill -USR1 and its process ID.
func ExampleDumpOnSignal() {
	dump, err := consolesink.DumpOnSignal(os.Stderr)
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(dump))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer.IncrCounter("jobs", 1)
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
}
