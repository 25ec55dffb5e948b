package interleave

import (
	"fmt"
	"math/bits"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A Run is one execution of a program. It is the scheduler that marks ask ([yield.Scheduler]).
//
// Its fields belong to the running thread. The channels hand them over, together with the right to run.
type Run struct {
	x        *explorer
	threads  []*thread
	current  *thread
	starting bool
	started  bool
	ended    bool
	cut      bool
	parked   chan struct{}
	finished chan struct{}
	err      error

	events []event
	memory memory
	locks  map[any]*lock
	sleep  uint // at this point; see choice
	names  []name

	private []region
}

// A thread is a goroutine, together with the goroutines that work for it while it waits for them.
type thread struct {
	id     int
	name   string
	body   func()
	places []int // the Ps that it is pinned to: the first time, the second time, …
	resume func()
	wake   chan struct{}
	next   operation // its next step
	held   []*lock
	done   bool
	clock  clock
	seen   uint32 // the version of the cell that it read last
}

// An operation is the access at the beginning of a step.
type operation struct {
	kind        yield.Kind
	first, last uintptr // cells of memory
	lock        *lock   // to be taken
}

// Only one thread at a time can hold a lock. Being pinned to a P is holding a lock, too.
type lock struct {
	name  string
	owner *thread
	clock clock // of its last owner, when that released it
	last  [maxThreads]int32
}

const maxThreads = 6

func newRun(x *explorer) *Run {
	return &Run{
		x: x, parked: make(chan struct{}), finished: make(chan struct{}),
		memory: newMemory(), locks: make(map[any]*lock),
	}
}

// Go adds a thread. Its n-th pinning is to the n-th of the places, later ones to the last.
func (r *Run) Go(name string, body func(), places ...int) {
	if len(r.threads) == maxThreads {
		panic("interleave: too many threads")
	}
	t := &thread{id: len(r.threads), name: name, body: body, places: places, wake: make(chan struct{})}
	r.threads = append(r.threads, t)
}

// OnResume has f called each time the thread that was added last continues. f can restore state of that thread.
func (r *Run) OnResume(f func()) { r.threads[len(r.threads)-1].resume = f }

// Lock takes the lock of that name. It stands for mutual exclusion that the marks do not show.
func (r *Run) Lock(name string) { r.lock(name, name) }

// Unlock releases the lock.
func (r *Run) Unlock(name string) { r.unlock(r.locks[name]) }

// Pin implements [yield.Scheduler].
func (r *Run) Pin() int {
	place := 0
	if t := r.current; r.started && !r.ended {
		place = t.places[0]
		if len(t.places) > 1 {
			t.places = t.places[1:]
		}
		if r.x.Exclusive {
			r.lock(place, fmt.Sprint("P ", place))
		}
	}
	return place
}

// Unpin implements [yield.Scheduler].
func (r *Run) Unpin() {
	if r.started && !r.ended && r.x.Exclusive {
		r.unlock(r.current.held[len(r.current.held)-1])
	}
}

func (r *Run) lock(key any, name string) {
	l := r.locks[key]
	if l == nil {
		l = &lock{name: name}
		r.locks[key] = l
	}
	r.pass(operation{lock: l})
}

// unlock is no step: no thread can see whether it comes a little later or earlier.
func (r *Run) unlock(l *lock) {
	t := l.owner
	l.owner, l.clock = nil, t.clock
	t.held = t.held[:len(t.held)-1]
}

// Access implements [yield.Scheduler].
func (r *Run) Access(kind yield.Kind, address, size uintptr) {
	first, last := address/cellSize, (address+size-1)/cellSize
	for i := range r.private {
		if p := &r.private[i]; p.first <= first && last <= p.last {
			return
		}
	}
	r.pass(operation{kind: kind, first: first, last: last})
}

// pass makes the thread wait until it may continue with the operation.
func (r *Run) pass(o operation) {
	if !r.started || r.ended {
		return // the program is being set up, or checked
	}
	t := r.current
	t.next = o
	if r.starting {
		r.parked <- struct{}{}
	} else {
		n := r.choose()
		if n == t {
			return
		}
		r.hand(n)
	}
	<-t.wake
	if t.resume != nil {
		t.resume()
	}
}

// hand lets another thread run, or ends the run if none can.
func (r *Run) hand(n *thread) {
	if n != nil {
		r.current = n
		n.wake <- struct{}{}
		return
	}
	r.ended = true
	for _, t := range r.threads {
		if !t.done {
			r.err = fmt.Errorf("deadlock: %s waits for ever", t.name)
		}
	}
	close(r.finished)
}

// run lets every thread run up to its first step, and then runs the program to its end.
func (r *Run) run() {
	r.started, r.starting = true, true
	if r.x.Switch != nil {
		r.x.Switch(r)
		defer r.x.Switch(nil)
	}
	for _, t := range r.threads {
		r.current = t
		go r.live(t)
		<-r.parked
	}
	r.starting = false
	r.hand(r.choose())
	<-r.finished
}

func (r *Run) live(t *thread) {
	defer func() {
		if v := recover(); v != nil {
			r.err = fmt.Errorf("%s panicked: %v", t.name, v)
		}
		t.done = true
		for len(t.held) > 0 {
			r.unlock(t.held[len(t.held)-1])
		}
		if r.starting {
			r.parked <- struct{}{}
		} else {
			r.hand(r.choose())
		}
	}()
	if t.resume != nil {
		t.resume()
	}
	t.body()
}

// enabled returns the set of threads that can continue.
func (r *Run) enabled() (set uint) {
	for _, t := range r.threads {
		if !t.done && r.canRun(t) {
			set |= 1 << t.id
		}
	}
	return set
}

func (r *Run) canRun(t *thread) bool {
	switch {
	case t.next.lock != nil:
		return t.next.lock.owner == nil
	case t.next.kind == yield.Waits:
		return r.memory.at(t.next.first).version != t.seen
	}
	return true
}

func lowest(set uint) int { return bits.TrailingZeros(set) }
