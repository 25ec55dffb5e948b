package consolesink_test

import (
	"context"
	"os"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

// A buffer calls Write with each of its batches; here stands one made by hand, to show what it looks like.
func Example() {
	sink := consolesink.New(os.Stdout)

	start := time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)
	_ = sink.Write(context.Background(), &metricsbuffer.Batch{
		Start: start,
		End:   start.Add(time.Second),
		Points: []metricsbuffer.Point{
			{Name: "queue_depth", Kind: metricsbuffer.KindGauge, Value: 42},
			{Name: "callback_latency", Kind: metricsbuffer.KindTimer, Count: 12,
				Sum: int64(14_400 * time.Microsecond), Min: int64(900 * time.Microsecond), Max: int64(3_141_593)},
			{Name: "produce_status", Kind: metricsbuffer.KindCounter, Count: 1234,
				Tags: []metricsbuffer.Tag{{Key: "producer", Value: "orders"}, {Key: "status", Value: "success"}}},
		},
	})
	// Output:
	// 2025-11-23 12:00:00.000 – 12:00:01.000  1s  3 points
	//    KIND  COUNT  RATE/S   MEAN    MIN     MAX  VALUE  SERIES
	//   timer     12      12  1.2ms  900µs  3.14ms      -  callback_latency
	// counter   1234    1234      -      -       -      -  produce_status{producer=orders,status=success}
	//   gauge      -       -      -      -       -     42  queue_depth
}
