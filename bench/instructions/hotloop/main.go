// Hotloop does one operation of metricsbuffer many times, for callgrind to count the instructions of.
package main

import (
	"os"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	buffer, err := metricsbuffer.New()
	if err != nil {
		panic(err)
	}
	counter, timer := buffer.Counter("counter"), buffer.Timer("timer")
	operations := map[string]func(){
		"Counter.Add":   func() { counter.Add(1) },
		"Timer.Observe": func() { timer.Observe(time.Millisecond) },
		"IncrCounter":   func() { buffer.IncrCounter("arroyo.consumer.run.count", 1) },
		"IncrCounter, two tags": func() {
			buffer.IncrCounter("arroyo.consumer.run.count", 1,
				metricsbuffer.Tag{Key: "group", Value: "g"}, metricsbuffer.Tag{Key: "topic", Value: "t"})
		},
		"IncrTimer": func() { buffer.IncrTimer("arroyo.consumer.poll.time", time.Millisecond) },
	}
	operation := operations[os.Args[1]]
	for range n {
		operation()
	}
}
