package jsonsink_test

import (
	"io"
	"strconv"
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
)

// BenchmarkWrite writes a batch of 1,000 series: counters with two tags, gauges and timers. Compare runs of one machine
// only.
func BenchmarkWrite(b *testing.B) {
	var points []metricsbuffer.Point
	for i := range 250 {
		tags := []tag{{Key: "route", Value: "/item/" + strconv.Itoa(i)}, {Key: "status", Value: "200"}}
		c, g := counter("http.requests", int64(i), tags...), gauge(float64(i)/3)
		c2 := counter("kafka.produced", int64(i)*1e6, tags[0])
		timer := metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: "http.latency", Tags: tags, Count: 100,
			Sum: 123_456_789, Min: 12_345, Max: 3_456_789,
			Buckets: &metricsbuffer.Buckets{Offset: 200, Counts: make([]uint64, 100)}}
		timer.Buckets.Counts[0], timer.Buckets.Counts[50], timer.Buckets.Counts[99] = 1, 98, 1
		points = append(points, c, c2, g, timer)
	}
	sink, batch := sinkFor(io.Discard), second(points...)
	b.ReportAllocs()
	for b.Loop() {
		if err := sink.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
