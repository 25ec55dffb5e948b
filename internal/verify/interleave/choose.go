package interleave

import (
	"fmt"
	"slices"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A clock has, for each thread, the number of its steps that come before an event in every order of the same class.
type clock [maxThreads]int32

func (c *clock) join(d *clock) {
	for i := range c {
		c[i] = max(c[i], d[i])
	}
}

// An event is a step that was begun.
type event struct {
	thread    *thread
	operation operation
	clock     clock
}

// choose decides which thread continues, and records its next step. It returns nil if no thread can continue.
func (r *Run) choose() *thread {
	enabled := r.enabled()
	if enabled == 0 {
		return nil
	}
	depth := len(r.events)
	var id int
	switch {
	case r.cut:
		id = lowest(enabled)
	case r.x.replay != nil:
		id = r.replayed(enabled)
	default:
		if depth == len(r.x.path) && enabled&^r.sleep == 0 {
			r.cut = true
			id = lowest(enabled)
			break
		}
		id = r.choice(depth, enabled).chosen
	}
	t := r.threads[id]
	if !r.cut && r.x.replay == nil {
		r.sleepers(&r.x.path[depth], t)
		r.races(t)
	}
	r.take(t)
	return t
}

// choice returns the choice at this depth of the path. It makes a new choice at the end of the path.
func (r *Run) choice(depth int, enabled uint) *choice {
	x := r.x
	if depth < len(x.path) {
		if c := &x.path[depth]; c.enabled == enabled {
			return c
		}
		panic("interleave: the program makes other steps than before in the same order: make it deterministic")
	}
	c := choice{enabled: enabled, sleep: r.sleep}
	if candidates := enabled &^ r.sleep; r.current != nil && candidates>>r.current.id&1 != 0 {
		c.chosen = r.current.id // changing threads takes time
	} else {
		c.chosen = lowest(candidates)
	}
	c.try = 1 << c.chosen
	if x.Every {
		c.try = enabled
	}
	x.path = append(x.path, c)
	return &x.path[depth]
}

// sleepers updates the set of threads that need not be tried next. These are the threads that were tried here before or
// did not have to be, unless their next step conflicts with t's.
func (r *Run) sleepers(c *choice, t *thread) {
	if r.x.Every {
		return
	}
	r.sleep = 0
	for _, other := range r.threads {
		if bit := uint(1) << other.id; (c.sleep|c.tried)&bit != 0 && !conflict(other.next, t.next) {
			r.sleep |= bit
		}
	}
}

// conflict says whether the order of two operations matters.
func conflict(a, b operation) bool {
	switch {
	case a.lock != nil || b.lock != nil:
		return a.lock == b.lock
	case a.last < b.first || b.last < a.first:
		return false
	case a.kind == yield.Adds && b.kind == yield.Adds:
		return false
	}
	return a.kind == yield.Writes || a.kind == yield.Adds || b.kind == yield.Writes || b.kind == yield.Adds
}

// races looks for earlier steps that conflict with t's next step while no other step orders the two. For each of them,
// reverse makes sure that the other order is tried.
func (r *Run) races(t *thread) {
	if r.x.Every {
		return
	}
	var found []int32
	r.earlier(t, func(other int, e int32) {
		if e != 0 && t.clock[other] < r.events[e-1].clock[other] && !slices.Contains(found, e) {
			found = append(found, e)
		}
	})
	then := r.clockOfNext(t)
	for _, e := range found {
		if !r.between(e, found) {
			r.reverse(e, t, &then)
		}
	}
}

// between says whether one of the events comes after event e in every order.
func (r *Run) between(e int32, events []int32) bool {
	by := r.events[e-1].thread.id
	for _, x := range events {
		if x != e && r.events[x-1].clock[by] >= r.events[e-1].clock[by] {
			return true
		}
	}
	return false
}

// reverse makes sure that an order is tried in which t's next step comes before event e. next is the clock of that
// step. The order is the same up to e. Then come the later events that do not depend on e, and then t's step. Any
// thread that can be the first in this sequence will do (a source set: Abdulla et al., POPL 2014).
func (r *Run) reverse(e int32, t *thread, next *clock) {
	by, seq := r.events[e-1].thread.id, r.events[e-1].clock[r.events[e-1].thread.id]
	var first [maxThreads]int32 // each thread's first step in that sequence
	initials := uint(0)
	consider := func(id int, c *clock) {
		if first[id] != 0 {
			return
		}
		isFirst := true
		for other, n := range first {
			isFirst = isFirst && (n == 0 || c[other] < n)
		}
		if isFirst {
			initials |= 1 << id
		}
		first[id] = c[id]
	}
	for i := e; int(i) < len(r.events); i++ {
		if x := &r.events[i]; x.clock[by] < seq {
			consider(x.thread.id, &x.clock)
		}
	}
	consider(t.id, next)
	c := &r.x.path[e-1]
	switch {
	case initials&c.try != 0:
	case initials&c.enabled != 0:
		c.try |= 1 << lowest(initials&c.enabled)
	default: // t waits for something
		c.try |= c.enabled
	}
}

// clockOfNext returns the clock that t's next step will have.
func (r *Run) clockOfNext(t *thread) clock {
	c := t.clock
	r.earlier(t, func(_ int, e int32) {
		if e != 0 {
			c.join(&r.events[e-1].clock)
		}
	})
	if t.next.lock != nil {
		c.join(&t.next.lock.clock)
	}
	c[t.id]++
	return c
}

// earlier calls f with the last events of each other thread that conflict with t's next operation. e is an event's
// index plus one.
func (r *Run) earlier(t *thread, f func(other int, e int32)) {
	o := t.next
	for id := range r.threads {
		if id == t.id {
			continue
		}
		if o.lock != nil {
			f(id, o.lock.last[id])
			continue
		}
		for i := o.first; i <= o.last; i++ {
			last := &r.memory.at(i).last[id]
			f(id, last[writing])
			if o.kind != yield.Adds {
				f(id, last[adding])
			}
			if o.kind == yield.Writes || o.kind == yield.Adds {
				f(id, last[reading])
			}
		}
	}
}

// take records that t makes its next step.
func (r *Run) take(t *thread) {
	o := t.next
	t.clock = r.clockOfNext(t)
	if o.lock != nil {
		o.lock.owner = t
		t.held = append(t.held, o.lock)
	}
	r.events = append(r.events, event{t, o, t.clock})
	e := int32(len(r.events))
	if o.lock != nil {
		o.lock.last[t.id] = e
		return
	}
	for i := o.first; i <= o.last; i++ {
		c := r.memory.at(i)
		switch o.kind {
		case yield.Writes:
			c.last[t.id][writing] = e
			c.version++
		case yield.Adds:
			c.last[t.id][adding] = e
			c.version++
		default:
			c.last[t.id][reading] = e
		}
	}
	if o.kind == yield.Reads || o.kind == yield.Waits {
		t.seen = r.memory.at(o.first).version
	}
}

// replayed returns the thread that the order to be replayed has here.
func (r *Run) replayed(enabled uint) int {
	id := lowest(enabled)
	if depth := len(r.events); depth < len(r.x.replay) {
		id = r.x.replay[depth]
	}
	if enabled>>id&1 == 0 {
		r.err = fmt.Errorf("interleave: thread %d cannot run at step %d: "+
			"the program has changed since the order was recorded", id, len(r.events))
		return lowest(enabled)
	}
	return id
}
