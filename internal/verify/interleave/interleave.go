// Package interleave runs a concurrent program in every order of its steps, and checks each outcome: stateless model
// checking of real code. Its threads are goroutines of which one runs at a time. At each mark (internal/yield) the
// thread that runs decides, by the order being tried, who goes on.
//
//	prefix of choices ──▶ run the program ──▶ choices beyond it, any ──▶ check
//	       ▲                                                               │
//	       └──── the last choice that can be another one is changed ◀──────┘
//
// Orders that differ only in steps that do not touch the same memory, or only read it, or only add to it, have the same
// outcome: one of each such class is run. Which choices have to be changed is found by dynamic partial-order reduction
// with source sets (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014): where two steps of different threads touch the same
// memory and nothing else orders them, the order in which the later one comes first has to be tried. Sleep sets
// (Godefroid, LNCS 1032) keep a class from being run to its end twice. The package's tests compare all that with
// running really all orders.
package interleave

import (
	"errors"
	"fmt"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A Program is what is run, set up anew for every order: it calls [Run.Go] for each thread, and returns a function that
// is called when all of them have ended, and says what is wrong. It must do the same whenever the order is the same.
type Program func(r *Run) (check func() error)

// Options say how a program is explored.
type Options struct {
	Exclusive bool                  // a P is pinned to by one thread at a time
	Every     bool                  // run all orders, without reduction
	Limit     int                   // of runs; 0: none
	Replay    string                // run this one order only
	Switch    func(yield.Scheduler) // called with what marks have to ask, and with nil when they must not any more
}

// A Result says what was explored.
type Result struct {
	Orders int // run to their end
	Cut    int // given up half-way, as another one of the same class was run before
	Steps  int // of the longest
}

// An explorer has the choices of the order that is being tried.
type explorer struct {
	Options
	path   []choice
	replay []int
}

// A choice is a point of the program at which one of several threads went on. The sets of threads are bit sets.
type choice struct {
	enabled uint
	chosen  int
	try     uint // that are to be tried here
	tried   uint // before the one chosen now
	sleep   uint // that need not be tried, as orders that begin with them here are equivalent to ones tried before
}

// Explore runs the program in every order. It stops at the first that goes wrong; the error has its steps, and how to
// replay it.
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
