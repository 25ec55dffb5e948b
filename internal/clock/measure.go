package clock

import (
	"math"
	"sync/atomic"
	"time"
)

// A clock is the processor's counter, the runtime's clock, and the state that says how far the former is believed.
// There is no lock: a new state replaces the one that it follows from, by compare-and-swap.
type clock struct {
	counter func() int64
	runtime func() int64 // in nanoseconds
	state   atomic.Pointer[state]
}

// start makes the clock ready. It is going to use the counter if that is sound.
func (c *clock) start(counter func() int64, sound bool) {
	epoch := time.Now()
	// time.Since of a time with a monotonic reading reads the monotonic clock alone, where time.Now reads the wall
	// clock as well.
	c.counter, c.runtime = counter, func() int64 { return int64(time.Since(epoch)) }
	c.state.Store(disabled())
	if sound {
		c.state.Store(begin(c.sample()))
	}
}

const attempts = 8

// sample reads both clocks. The thread may be preempted at any instruction, so the tightest of some attempts counts.
func (c *clock) sample() sample {
	best := sample{width: math.MaxInt64}
	for range attempts {
		before := c.counter()
		nanos := c.runtime()
		after := c.counter()
		// One tick more, as the reading is rounded. It is negative if the thread changed to a core that is not in step.
		width := after - before + 1
		if width < 0 {
			width = math.MaxInt64 / 4
		}
		if width < best.width {
			best = sample{ticks: before + (after-before)/2, nanos: nanos, width: width}
		}
	}
	return best
}

// check compares the clocks, and returns the state that follows.
func (c *clock) check() *state {
	s := c.state.Load()
	if s.phase == off || s.phase == fallen || s.phase == calibrating && c.runtime() < s.due {
		return s
	}
	next := s.after(c.sample())
	if next != s && !c.state.CompareAndSwap(s, next) {
		return c.state.Load() // of another goroutine's check at the same time
	}
	return next
}

// useCounter begins anew with the counter, waits until it is calibrated, and returns the way back.
func (c *clock) useCounter() (restore func()) {
	before := c.state.Load()
	c.state.Store(begin(c.sample()))
	for c.check().phase == calibrating {
		time.Sleep(time.Millisecond)
	}
	return func() { c.state.Store(before) }
}

// giveUp gives the counter up, and returns the state that follows.
func (c *clock) giveUp() *state {
	for {
		s := c.state.Load()
		if s.phase != counting {
			return s
		}
		if next := s.fall(c.sample()); c.state.CompareAndSwap(s, next) {
			return next
		}
	}
}

// nowByRuntime returns the current moment by the runtime's clock. The first one that is late enough takes the counter
// into use.
func (c *clock) nowByRuntime() Reading {
	now := c.runtime()
	if s := c.state.Load(); s.phase == calibrating && now >= s.due {
		c.check()
	}
	return Reading(now - runtimeOffset)
}

// sinceSlow is Since for a moment by the runtime's clock, and for a difference on the counter that is not to be
// believed without a check.
func (c *clock) sinceSlow(start Reading) time.Duration {
	if start <= 0 {
		return c.sinceByRuntime(start)
	}
	s := c.check()
	if ticks := c.counter() - int64(start); s.counts() {
		if int64(start) >= s.first && ticks >= -int64(s.second/uint64(time.Second/negligible)) {
			return s.duration(max(ticks, 0))
		}
		s = c.giveUp() // the cores are not in step
	}
	if s.phase != fallen {
		return 0 // it is no moment of this clock
	}
	return time.Duration(max(c.runtime()-s.when(int64(start)), 0))
}

func (c *clock) sinceByRuntime(start Reading) time.Duration {
	if start == 0 {
		return 0
	}
	return time.Duration(c.runtime() - (int64(start) + runtimeOffset))
}
