// Package interleave runs a concurrent program in every order of its steps, and checks each outcome. This is stateless
// model checking of real code. The threads of the program are goroutines. One of them runs at a time. At each mark
// (internal/yield) the running thread looks up, in the order that is being tried, which thread continues.
//
//	prefix of choices ──▶ run the program ──▶ choices beyond it, any ──▶ check
//	       ▲                                                               │
//	       └──── the last choice that can be another one is changed ◀──────┘
//
// Two steps conflict if they touch the same memory, unless both only read it or both only add to it. Orders that differ
// only in the order of steps without a conflict have the same outcome. They form a class, and one order of each class
// is run. Dynamic partial-order reduction with source sets (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014) finds the
// choices that have to be changed: if two steps of different threads conflict and nothing else orders them, the reverse
// order has to be tried. Sleep sets (Godefroid, LNCS 1032) keep a class from being run to its end twice. The package's
// tests compare the reduction with running all orders.
package interleave

import (
	"errors"
	"fmt"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A Program sets up one run. It is called anew for every order. It calls [Run.Go] for each thread, and returns a check.
// The check is called when all threads have ended, and returns an error if the outcome is wrong. In the same order the
// threads must make the same steps.
type Program func(r *Run) (check func() error)

// Options say how a program is explored.
type Options struct {
	Exclusive bool                  // only one thread at a time can be pinned to a P
	Every     bool                  // run all orders, without reduction
	Limit     int                   // of runs; 0: none
	Replay    string                // run this one order only
	Switch    func(yield.Scheduler) // called with the marks' scheduler before each run, and with nil after it
}

// A Result has the numbers of explored orders and steps.
type Result struct {
	Orders int // run to their end
	Cut    int // given up half-way, because another one of the same class was run before
	Steps  int // of the longest
}

// An explorer has the choices of the order that is being tried.
type explorer struct {
	Options
	path   []choice
	replay []int
}

// A choice is a point of a run at which one of several threads was chosen to continue. The sets of threads are bit
// sets.
type choice struct {
	enabled uint
	chosen  int
	try     uint // threads that are to be tried here
	tried   uint // threads that were tried here before
	sleep   uint // threads that need not be tried: orders with them here are equivalent to orders tried before
}

// Explore runs the program in every order. It stops at the first order with a wrong outcome. The error has the steps of
// that order, and the text that replays it.
func Explore(program Program, options Options) (Result, error) {
	x := &explorer{Options: options}
	var result Result
	if options.Replay != "" {
		var err error
		if x.replay, err = parseOrder(options.Replay); err != nil {
			return result, err
		}
	}
	for runs := 1; ; runs++ {
		r := newRun(x)
		check := program(r)
		r.run()
		err := errors.Join(r.err, check())
		if r.cut {
			result.Cut++
		} else {
			result.Orders++
		}
		result.Steps = max(result.Steps, len(r.events))
		switch {
		case err != nil:
			return result, fmt.Errorf("%w\nin run %d:\n%v\nreplay: %s", err, runs, r.trace(), r.order())
		case options.Replay != "" || !x.next():
			return result, nil
		case runs == options.Limit:
			return result, fmt.Errorf("interleave: not done after %d runs: raise the limit or make the program smaller", runs)
		}
	}
}

// next changes the last choice that can be another one. It returns false if there is none.
func (x *explorer) next() bool {
	for len(x.path) > 0 {
		c := &x.path[len(x.path)-1]
		c.tried |= 1 << c.chosen
		if rest := c.try & c.enabled &^ c.tried &^ c.sleep; rest != 0 {
			c.chosen = lowest(rest)
			return true
		}
		x.path = x.path[:len(x.path)-1]
	}
	return false
}
