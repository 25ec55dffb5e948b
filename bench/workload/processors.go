package workload

import (
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

// processors returns the workloads with many Ps, on the cores there are: a program whose series follow Zipf's law, so
// that most Ps use few of them. Memory and flush depend on the number of Ps, not on the number of cores, so these
// figures hold for a larger machine too.
func processors() []Workload {
	const about = "With GOMAXPROCS=64, 100,000 counters and 2,000 timers (a fifth of that with -quick) are used by 64 " +
		"goroutines under Zipf's law. "
	return []Workload{{
		Name: "memory-64p", Title: "Memory with 64 Ps", Main: "MB", Needs: "timer", Once: true,
		Description: about + "The figure is the heap in use after a report and a second round; names and handles " +
			"count as they do for the memory of one counter.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			p, err := openProgram(c, s)
			if err != nil {
				return nil, err
			}
			bytes := heap(func() {
				p.makeSeries()
				err = p.use()
			})
			runtime.KeepAlive(p)
			return Values{"MB": bytes / 1e6}, errors.Join(err, p.instance.Close())
		},
	}, {
		Name: "flush-64p", Title: "A flush with 64 Ps", Main: "ms", Needs: "timer", Once: true,
		Description: about + "The figure is the time of one report as text, with nothing else running.",
		run: func(c contender.Contender, s Setting) (Values, error) {
			p, err := openProgram(c, s)
			if err != nil {
				return nil, err
			}
			p.makeSeries()
			if err := p.use(); err != nil {
				return nil, err
			}
			var text counting
			begin := time.Now()
			err = p.instance.Export(&text)
			elapsed := time.Since(begin)
			return Values{"ms": elapsed.Seconds() * 1e3, "MB": float64(text.bytes) / 1e6}, errors.Join(err, p.instance.Close())
		},
	}}
}

const timersAmong = 50 // counters for each timer

// A program has counters and timers, and 64 Ps that use them.
type program struct {
	instance contender.Instance
	periodic bool // it reports when it is closed, and not before
	names    []string
	orders   [][]uint32 // of counters
	round    func(worker int)
}

func openProgram(c contender.Contender, s Setting) (*program, error) {
	instance, _, err := open[contender.Timer](c)
	if err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(s.ManyPs) // Measure restores it
	p := &program{
		instance: instance, periodic: c.OpenPeriodic != nil, names: names(s.Series), orders: make([][]uint32, s.ManyPs),
	}
	next := zipfian(s.Series)
	for worker := range p.orders {
		r := rand.New(rand.NewPCG(7, uint64(worker)))
		p.orders[worker] = make([]uint32, s.Series/2)
		for i := range p.orders[worker] {
			p.orders[worker][i] = next(r)
		}
	}
	return p, nil
}

// makeSeries makes the counters and the timers. Zipf's law chooses among the timers too; a duration is 1 ms to 100 ms.
func (p *program) makeSeries() {
	offered := p.instance.(contender.Timer)
	counters, timers := p.instance.Counters(p.names), make([]contender.Loop, len(p.names)/timersAmong)
	for i := range timers {
		timers[i] = offered.Timer("timer_" + strconv.Itoa(i))
	}
	next := zipfian(len(timers))
	p.round = func(worker int) {
		counters(worker, p.orders[worker])
		r, duration := rand.New(rand.NewPCG(9, uint64(worker))), make([]uint32, 1)
		for range len(p.orders[worker]) / 10 {
			duration[0] = 1e6 + r.Uint32N(99e6)
			timers[next(r)](worker, duration)
		}
	}
}

// use has every P use the series, before and after a report.
func (p *program) use() error {
	onEachP(len(p.orders), p.round)
	if !p.periodic {
		if err := p.instance.Export(io.Discard); err != nil {
			return err
		}
	}
	onEachP(len(p.orders), p.round)
	return nil
}

// onEachP runs f on n Ps, however few cores there are. No goroutine begins before all of them run, and one that waits
// keeps its P, unless the scheduler preempts it: nearly all Ps are used.
func onEachP(n int, f func(worker int)) {
	var running atomic.Int64
	var done sync.WaitGroup
	for worker := range n {
		done.Go(func() {
			running.Add(1)
			for running.Load() < int64(n) {
				yieldThread() // not the P
			}
			f(worker)
		})
	}
	done.Wait()
}
