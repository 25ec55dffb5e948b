package clock

import (
	"math"
	"math/bits"
	"time"
)

// The limits within which the counter is believed.
const (
	tolerance      = 10_000                // a part in this many (100 ppm) may come between the clocks
	goodEnough     = 50_000                // a part in this many (20 ppm) may be unknown of the ratio
	firstBaseline  = 5 * time.Millisecond  // over which the ratio is measured at first
	refineBaseline = time.Second           // and later
	negligible     = 10 * time.Microsecond // below zero
)

type phase int

const (
	off         phase = iota // the counter is not sound, or not wanted
	calibrating              // there is one sample, and no ratio
	counting                 // the counter is in use
	fallen                   // it was in use, and has been given up
)

// A state is all that is known of the counter. It never changes once it is published.
//
//	calibrating ──▶ counting ──▶ fallen
//	     └──▶ off    └────┘ refined
type state struct {
	// Since reads these. They are such that it takes the slow way if the counter is not in use.
	first  int64  // no moment by the counter is before it; math.MaxInt64 if the counter is not in use
	second uint64 // ticks in a second, rounded down; zero if the counter is not in use
	ratio  uint64 // nanoseconds per tick, divided by 1<<tickShift, times 1<<64

	phase  phase
	last   sample // the last one at which the clocks agreed
	parted sample // in phase fallen, the one at which they did not
	due    int64  // in phase calibrating, when the ratio may be good enough; in nanoseconds by the runtime's clock
}

// A sample is one moment on both clocks.
type sample struct {
	ticks, nanos int64
	width        int64 // in ticks, of the interval that nanos was read in; ticks is its middle
}

func (s *state) counts() bool { return s.phase == counting }

// duration returns the length of some ticks, not negative, in whole nanoseconds begun: time passed between any two
// readings, even between two in the same tick. A zero would also cost more to record, as it has no bucket.
func (s *state) duration(ticks int64) time.Duration {
	whole, _ := bits.Mul64(uint64(ticks)<<tickShift, s.ratio)
	return time.Duration(whole + 1)
}

// nanos is duration for ticks of either sign.
func (s *state) nanos(ticks int64) int64 {
	if ticks < 0 {
		return -int64(s.duration(-ticks))
	}
	return int64(s.duration(ticks))
}

// begin returns the state after the first sample.
func begin(now sample) *state {
	if now.ticks <= 0 || now.ticks >= runtimeOffset { // a Reading has no room for it
		return disabled()
	}
	return &state{first: math.MaxInt64, phase: calibrating, last: now, due: now.nanos + int64(firstBaseline)}
}

func disabled() *state { return &state{first: math.MaxInt64, phase: off} }

// after returns the state that follows from one more sample. It is s itself if the sample says nothing new.
func (s *state) after(now sample) *state {
	ticks, nanos := now.ticks-s.last.ticks, now.nanos-s.last.nanos
	width := now.width + s.last.width
	switch s.phase {
	case calibrating:
		switch {
		case ticks <= nanos>>tickShift || ticks > nanos*1000:
			return disabled() // a tick is too long, as tickShift says, or less than a picosecond
		case width > ticks/goodEnough:
			again := *s
			again.due = s.last.nanos + 2*nanos
			return &again
		}
		return counted(s.last.ticks, now, ticks, nanos)
	case counting:
		parted := nanos - s.nanos(ticks)
		switch {
		case max(parted, -parted) > nanos/tolerance+s.nanos(width):
			return s.fall(now)
		case nanos >= int64(refineBaseline) && width <= ticks/goodEnough:
			return counted(s.first, now, ticks, nanos)
		}
	}
	return s
}

// counted returns the state of a counter that made some ticks in some nanoseconds.
func counted(first int64, now sample, ticks, nanos int64) *state {
	ratio, _ := bits.Div64(uint64(nanos), 0, uint64(ticks)<<tickShift)
	high, low := bits.Mul64(uint64(ticks), uint64(time.Second))
	second, _ := bits.Div64(high, low, uint64(nanos))
	return &state{first: first, ratio: ratio, second: second, phase: counting, last: now}
}

// fall returns the state of a counter that turned out to be wrong.
func (s *state) fall(now sample) *state {
	return &state{first: math.MaxInt64, ratio: s.ratio, phase: fallen, last: s.last, parted: now}
}

// when returns the moment of a reading of the counter that has fallen, in nanoseconds by the runtime's clock. It is
// exact for moments before the last sample at which the clocks agreed. For a moment between the two samples there are
// two candidates: counted forwards from the first sample, and backwards from the second one. If the counter was set to
// another value in between, one candidate lies outside, and the other one is exact. If the counter's rate changed, the
// moment is interpolated.
func (s *state) when(ticks int64) int64 {
	window := sample{ticks: s.parted.ticks - s.last.ticks, nanos: s.parted.nanos - s.last.nanos}
	forwards := s.last.nanos + s.nanos(ticks-s.last.ticks)
	backwards := s.parted.nanos - s.nanos(s.parted.ticks-ticks)
	parted := window.nanos - s.nanos(window.ticks)
	if max(parted, -parted) > window.nanos/2 { // set: no rate changes by half
		outside := forwards <= s.last.nanos && backwards > s.last.nanos && backwards <= s.parted.nanos
		if outside || forwards > s.parted.nanos {
			return backwards
		}
		return forwards
	}
	switch {
	case ticks <= s.last.ticks:
		return forwards
	case ticks >= s.parted.ticks: // of a goroutine that did not know yet
		return backwards
	}
	return s.last.nanos + int64(float64(ticks-s.last.ticks)/float64(window.ticks)*float64(window.nanos))
}
