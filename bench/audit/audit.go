// Package audit compares what was recorded with what was reported, series by series.
//
// Writers increment counters and keep their own count of it, which cannot be wrong: each has one to itself. Meanwhile
// the contender reports, into a ledger. In the end every series must have been reported exactly as often as it was
// incremented: what is missing was lost, what is too much was doubled. Losses of one series do not make up for
// another's doubles.
package audit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
	"github.com/metricsbuffer/metricsbuffer/internal/fence"
)

const (
	series  = 64
	writers = 8
)

// A scenario is a way of making a report go wrong.
type scenario struct {
	name      string
	reporters int  // concurrent ones
	failing   bool // every third report fails
	closing   bool // the contender is closed while writers write
	skip      func(contender.Limits) string
}

func scenarios() []scenario {
	never := func(contender.Limits) string { return "" }
	return []scenario{
		{name: "reports while writing", reporters: 1, skip: never},
		{name: "concurrent reports", reporters: 4, skip: func(l contender.Limits) string { return l.Concurrent }},
		{name: "failing output", reporters: 1, failing: true, skip: func(l contender.Limits) string { return l.Failing }},
		{name: "close while writing", reporters: 1, closing: true,
			skip: func(l contender.Limits) string { return l.Closing }},
	}
}

// Scenarios returns the names of what every contender is put through.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// Run audits a contender, which it gives that much time in each scenario.
func Run(c contender.Contender, d time.Duration) ([]result.Finding, error) {
	fence.Refuse(c.Fenced)
	defer fence.Refuse(false)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(4, runtime.NumCPU()))) // writers are interrupted wherever they are
	var findings []result.Finding
	for _, s := range scenarios() {
		finding, err := s.run(c, d)
		if err != nil {
			return nil, fmt.Errorf("audit of %s, %s: %w", c.Name, s.name, err)
		}
		finding.Contender, finding.Scenario, finding.Series = c.Name, s.name, series
		findings = append(findings, finding)
	}
	return findings, nil
}

func (s scenario) run(c contender.Contender, d time.Duration) (result.Finding, error) {
	if reason := s.skip(c.Limits); reason != "" {
		return result.Finding{Skipped: reason}, nil
	}
	ledger := newLedger(s.failing)
	instance, err := c.Open(ledger.take)
	if err != nil {
		return result.Finding{}, err
	}
	w := startWriters(instance.Counters(ledger.names()))
	var reporting sync.WaitGroup
	var stop atomic.Bool
	for range s.reporters {
		reporting.Go(func() {
			for !stop.Load() {
				_ = instance.Report() // fails when the output does
				runtime.Gosched()
			}
		})
	}
	time.Sleep(d)
	for waited := time.Duration(0); s.failing && !ledger.hasRefused(); waited += d {
		if waited > 100*d {
			return result.Finding{}, fmt.Errorf("it made fewer than 3 reports in %v: nothing can be said", waited)
		}
		time.Sleep(d)
	}
	var before *tally
	if s.closing {
		stop.Store(true)
		reporting.Wait()
		before = w.count() // what has returned by now must be reported
		ledger.heal()
		if err := instance.Close(); err != nil {
			return result.Finding{}, err
		}
		after := w.stop()
		return ledger.compare(before, after), nil
	}
	after := w.stop()
	stop.Store(true)
	reporting.Wait()
	ledger.heal()
	err = errors.Join(instance.Report(), instance.Close())
	return ledger.compare(after, after), err
}

// A tally is how often each series was incremented.
type tally [series]int64

// work is what the writers do, and what they have done.
type work struct {
	stopping atomic.Bool
	done     sync.WaitGroup
	counts   [writers][series]atomic.Int64 // a writer's own are written by it alone, after the increment has returned
}

func startWriters(loop contender.Loop) *work {
	w := new(work)
	for worker := range writers {
		w.done.Go(func() {
			r := rand.New(rand.NewPCG(5, uint64(worker)))
			order := make([]uint32, 1)
			for !w.stopping.Load() {
				order[0] = r.Uint32N(series)
				loop(worker, order)
				w.counts[worker][order[0]].Add(1)
			}
		})
	}
	return w
}

// count returns what has been recorded so far.
func (w *work) count() *tally {
	t := new(tally)
	for worker := range w.counts {
		for i := range w.counts[worker] {
			t[i] += w.counts[worker][i].Load()
		}
	}
	return t
}

func (w *work) stop() *tally {
	w.stopping.Store(true)
	w.done.Wait()
	return w.count()
}
