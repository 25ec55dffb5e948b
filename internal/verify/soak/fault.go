package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

var errInjected = errors.New("injected by the soak")

// A fault is one way in which a Write can go, the good one included. What it does, it does in this order.
type fault struct {
	name  string
	waits patience
	drops bool // gives some of the points up
	some  bool // acknowledges some of the points
	ends  ending
}

type patience uint8

const (
	not    patience = iota
	short           // a millisecond or two
	long            // longer than it may, whatever its context says
	obeyed          // until its context ends
)

type ending uint8

const (
	acknowledges ending = iota
	refuses
	panics
	exits // its goroutine
)

// faults are all there are. The first is none.
var faults = [...]fault{
	{name: "none"},
	{name: "refused", ends: refuses},
	{name: "refused half-way", some: true, ends: refuses},
	{name: "panicked", ends: panics},
	{name: "panicked half-way", some: true, ends: panics},
	{name: "exited the goroutine", some: true, ends: exits},
	{name: "slow", waits: short},
	{name: "hung, then acknowledged", waits: long},
	{name: "hung, then refused half-way", waits: long, some: true, ends: refuses},
	{name: "ran out of time", waits: obeyed, ends: refuses},
	{name: "dropped points", drops: true},
	{name: "dropped points and refused", drops: true, some: true, ends: refuses},
}

// A temper says how often a sink goes wrong, and which faults it has.
type temper struct {
	name   string
	often  float64
	faults []int // in faults; nil: all
}

var tempers = []temper{
	{"healthy", 0, nil},
	{"flaky", 0.3, nil},
	{"bad", 0.9, nil},
	{"slow", 1, []int{6}},
	{"hanging", 0.1, []int{7, 8, 9}},
	{"down", 0.98, []int{1}},
}

func (t *temper) choose(rng *rand.Rand) int {
	switch {
	case rng.Float64() >= t.often:
		return 0
	case t.faults == nil:
		return 1 + rng.IntN(len(faults)-1)
	}
	return t.faults[rng.IntN(len(t.faults))]
}

// wait waits as the fault says. hang ends a long wait.
func (f *fault) wait(ctx context.Context, rng *rand.Rand, hang <-chan struct{}, forever bool) {
	var end <-chan time.Time // nil: never
	switch f.waits {
	case not:
		return
	case short:
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
		return
	case obeyed:
		select {
		case <-ctx.Done():
		case <-hang:
		}
		return
	case long:
		if !forever {
			end = time.After(time.Duration(rng.IntN(400)) * time.Millisecond)
		}
	}
	select {
	case <-hang:
	case <-end:
	}
}
