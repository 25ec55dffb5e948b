package workload

import (
	"errors"
	"io"
	"math"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

// memory returns the workloads that measure bytes.
func memory() []Workload {
	return []Workload{{
		Name: "memory", Title: "Memory per counter", Main: "B/series",
		Description: "Heap in use by many counters that every goroutine has incremented, before and after a " +
			"report. The names are not counted where the library keeps the strings it is given; handles are.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			instance, offered, err := open[contender.Instance](c)
			if err != nil {
				return nil, err
			}
			names, orders := names(s.Series), everything(s.CPU, s.Series)
			var loop contender.Loop
			bytes := heap(func() {
				loop = offered.Counters(names)
				err = settle(c, instance, loop, orders)
			})
			runtime.KeepAlive(loop)
			runtime.KeepAlive(names)
			runtime.KeepAlive(orders)
			return Values{"B/series": math.Round(bytes / float64(s.Series))}, errors.Join(err, instance.Close())
		},
	}, {
		Name: "memory-timer", Title: "Memory per timer", Main: "B/series", Needs: "timer",
		Description: "The same for timers, in each of which every goroutine has recorded durations from 1 ms to " +
			"100 ms.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			instance, offered, err := open[contender.Timer](c)
			if err != nil {
				return nil, err
			}
			n := s.Series / 50
			names, loops := make([]string, n), make([]contender.Loop, n)
			for i := range names {
				names[i] = "timer_" + strconv.Itoa(i)
			}
			order := make([]uint32, 100)
			for i := range order {
				order[i] = uint32(1e6 * math.Pow(100, float64(i)/100))
			}
			bytes := heap(func() {
				for i, name := range names {
					loops[i] = offered.Timer(name)
				}
				err = settle(c, instance, func(worker int, order []uint32) {
					for _, loop := range loops {
						loop(worker, order)
					}
				}, repeat(order, s.CPU))
			})
			runtime.KeepAlive(loops)
			return Values{"B/series": math.Round(bytes / float64(n))}, errors.Join(err, instance.Close())
		},
	}}
}

// settle uses all series, on every P if there are as many processors, before and after a report: from then on memory
// does not change any more.
func settle(c contender.Contender, instance contender.Instance, loop contender.Loop, orders [][]uint32) error {
	const longEnough = 20 * time.Millisecond // to be run by a P of its own
	through(loop, orders)
	spinFor(loop, orders, longEnough)
	if c.OpenPeriodic == nil {
		if err := instance.Export(io.Discard); err != nil {
			return err
		}
	}
	through(loop, orders)
	spinFor(loop, orders, longEnough)
	return nil
}

// heap returns by how much the heap grows while f is run.
func heap(f func()) float64 {
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC() // finalizers and pools release memory in the first
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := inUse()
	f()
	return float64(inUse()) - float64(before)
}

// through has each worker run its order once, at the same time, and returns how long the slowest took, and the number
// of operations. The workers wait for each other at the beginning so that each is on a P of its own.
func through(loop contender.Loop, orders [][]uint32) (time.Duration, int) {
	var ready, done sync.WaitGroup
	ready.Add(len(orders))
	begin, n := time.Now(), 0
	for worker, order := range orders {
		n += len(order)
		done.Go(func() {
			ready.Done()
			ready.Wait()
			loop(worker, order)
		})
	}
	done.Wait()
	return time.Since(begin), n
}

// everything returns orders in which every worker uses all series.
func everything(workers, series int) [][]uint32 {
	order := make([]uint32, series)
	for i := range order {
		order[i] = uint32(i)
	}
	return repeat(order, workers)
}

func repeat(order []uint32, workers int) [][]uint32 {
	orders := make([][]uint32, workers)
	for worker := range orders {
		orders[worker] = order
	}
	return orders
}
