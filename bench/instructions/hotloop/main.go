// Hotloop does one operation of metricsbuffer many times, so that callgrind can count its instructions.
package main

import (
	"os"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// setGauge is Gauge.Set as a function of its own: called directly it would be compiled into main, where it is not
// counted.
var setGauge func(float64)

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	buffer, err := metricsbuffer.New()
	if err != nil {
		panic(err)
	}
	counter, timer, gauge := buffer.Counter("counter"), buffer.Timer("timer"), buffer.Gauge("gauge")
	second := buffer.Counter("second counter")
	type delivery struct{ Status, Producer string }
	vec, err := metricsbuffer.NewCounterVec[delivery](buffer, "vec")
	if err != nil {
		panic(err)
	}
	setGauge = gauge.Set
	scope := buffer.WithPrefix("arroyo.consumer.").With(metricsbuffer.Tag{Key: "group", Value: "g"})
	operations := map[string]func(){
		"Counter.Add":   func() { counter.Add(1) },
		"Timer.Observe": func() { timer.Observe(time.Millisecond) },
		"IncrCounter":   func() { buffer.IncrCounter("arroyo.consumer.run.count", 1) },
		"IncrCounter, two tags": func() {
			buffer.IncrCounter("arroyo.consumer.run.count", 1,
				metricsbuffer.Tag{Key: "group", Value: "g"}, metricsbuffer.Tag{Key: "topic", Value: "t"})
		},
		"IncrCounter of a scope": func() {
			scope.IncrCounter("run.count", 1, metricsbuffer.Tag{Key: "topic", Value: "t"})
		},
		"Gauge.Set": func() { setGauge(1) },
		"Vec.With":  func() { vec.With(delivery{"success", "events"}) },
		"Record": func() {
			metricsbuffer.Record(counter.Delta(1), second.Delta(2), timer.Took(time.Millisecond))
		},
		"IncrTimer": func() { buffer.IncrTimer("arroyo.consumer.poll.time", time.Millisecond) },
	}
	operation := operations[os.Args[1]]
	for range n {
		operation()
	}
}
