package workload

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

const some = 1000 // series, where they are neither one nor many

// writing returns the workloads that record.
func writing() []Workload {
	return []Workload{{
		Name: "hot", Title: "One hot counter", Main: "ns/op",
		Description: "All goroutines increment the same counter by one.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Instance) contender.Loop { return i.Counters(names(1)) }, same(s.CPU))
		},
	}, {
		Name: "handles", Title: "1,000 counters by handle", Main: "ns/op",
		Description: "Handles are looked up before; which one is incremented follows Zipf's law.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Instance) contender.Loop { return i.Counters(names(some)) }, zipf(s.CPU, some))
		},
	}, {
		Name: "named", Title: "1,000 counters by name", Main: "ns/op", Needs: "named",
		Description: "The counter is looked up by its name in each operation; Zipf's law again.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Named) contender.Loop { return i.Named(names(some)) }, zipf(s.CPU, some))
		},
	}, {
		Name: "tagged", Title: "By name with two tags", Main: "ns/op", Needs: "tagged",
		Description: "One name, 1,000 combinations of two tags, looked up in each operation.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Tagged) contender.Loop {
				return i.Tagged("arroyo_consumer_run_count", labels(some))
			}, zipf(s.CPU, some))
		},
	}, {
		Name: "vector", Title: "Two labels through the library's vector", Main: "ns/op", Needs: "vector",
		Description: "A counter that was declared with two labels; 1,000 combinations of values, looked up in " +
			"each operation.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Vector) contender.Loop {
				return i.Vector("arroyo_producer_produce_status", labels(some))
			}, zipf(s.CPU, some))
		},
	}, {
		Name: "timer", Title: "A timer with quantiles", Main: "ns/op", Needs: "timer",
		Description: "All goroutines record durations, from a microsecond to a second, in the same timer or " +
			"histogram.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Timer) contender.Loop { return i.Timer("latency") }, durations(s.CPU))
		},
	}, {
		Name: "stopwatch", Title: "Timing a call", Main: "ns/op", Needs: "stopwatch",
		Description: "Starting and stopping the clock around nothing, and recording the duration, in each " +
			"library's own way: two readings of the clock are in every figure.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Stopwatch) contender.Loop { return i.Stopwatch() }, same(s.CPU))
		},
	}, {
		Name: "group", Title: "Two counters and a timer that belong together", Main: "ns/op", Needs: "group",
		Description: "Recorded in one call where the library has one that keeps them together; else in three.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			return spinOn(c, s, func(i contender.Group) contender.Loop { return i.Group() }, durations(s.CPU))
		},
	}, {
		Name: "request", Title: "A request: 2 counters, 1 timer, 1 gauge", Main: "ns/op", Needs: "request",
		Description: "All four, while a report is written as text every 10 ms.",
		run:         request,
	}, {
		Name: "churn", Title: "A new series", Main: "ns/series", Needs: "named", Once: true,
		Description: "Increments of counters whose names have not been used before, by name.",
		run:         churn,
	}}
}

// spinOn spins a loop of a fresh instance.
func spinOn[T any](c contender.Contender, s Setting, loop func(T) contender.Loop, orders [][]uint32) (Values, error) {
	instance, offered, err := open[T](c)
	if err != nil {
		return nil, err
	}
	values := spin(loop(offered), orders, s)
	return values, instance.Close()
}

func request(c contender.Contender, s Setting) (Values, error) {
	const interval = 10 * time.Millisecond
	instance, stop, err := openFlushing(c, interval)
	if err != nil {
		return nil, err
	}
	offered, ok := instance.(contender.Request)
	if !ok {
		return nil, ErrNotOffered
	}
	s.Duration = max(s.Duration, 5*interval)
	values := spin(offered.Request(), durations(s.CPU), s)
	return values, stop()
}

// openFlushing returns an instance that reports at an interval, until it is stopped and thereby closed.
func openFlushing(c contender.Contender, interval time.Duration) (_ contender.Instance, stop func() error, _ error) {
	if c.OpenPeriodic != nil {
		instance, err := c.OpenPeriodic(interval, io.Discard)
		if err != nil {
			return nil, nil, err
		}
		return instance, instance.Close, nil
	}
	instance, err := c.Open(nil)
	if err != nil {
		return nil, nil, err
	}
	stopped, failed := make(chan struct{}), make(chan error)
	go func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		var err error
		for err == nil {
			select {
			case <-stopped:
				failed <- instance.Close()
				return
			case <-ticker.C:
				err = instance.Export(io.Discard)
			}
		}
		<-stopped
		failed <- err
	}()
	return instance, func() error { close(stopped); return <-failed }, nil
}

func churn(c contender.Contender, s Setting) (Values, error) {
	instance, offered, err := open[contender.Named](c)
	if err != nil {
		return nil, err
	}
	each := s.Series / 2 / s.CPU
	loop := offered.Named(names(each * s.CPU))
	orders := make([][]uint32, s.CPU)
	for worker := range orders {
		for i := range each {
			orders[worker] = append(orders[worker], uint32(worker*each+i))
		}
	}
	elapsed, n := through(loop, orders)
	return Values{"ns/series": float64(elapsed) * float64(s.CPU) / float64(n)}, instance.Close()
}

// names returns that many names, valid in every library.
func names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "arroyo_consumer_series_" + strconv.Itoa(i)
	}
	return names
}

// labels returns that many combinations of two labels.
func labels(n int) []contender.Labels {
	labels := make([]contender.Labels, n)
	for i := range labels {
		labels[i] = contender.Labels{A: fmt.Sprintf("ingest-events-%d", i/16), B: strconv.Itoa(i % 16)}
	}
	return labels
}
