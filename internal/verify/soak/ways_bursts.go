package main

import (
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// Bursts make chunks the own ones of Ps, and have them taken away again. All writers use the series of one phase, often
// enough for a promotion, and then those of the next phase. Meanwhile the series of the former phase rest for longer
// than it takes the flusher to find their chunks idle.

const (
	burstPhases   = 4
	burstLength   = 50 * time.Millisecond // of a phase
	burstUpdates  = 192                   // of one series, in a row: a promotion takes 128
	burstCounters = 119                   // of a phase: as many as a chunk has
	burstTimers   = 12                    // of a phase: four chunks
)

func burstsEnumerated(u *universe) {
	for i := range int64(burstPhases * burstCounters) {
		u.add(counter, numbered("burst", i))
	}
	for i := range int64(burstPhases * burstTimers) {
		u.add(timer, numbered("burst", i))
	}
}

func burstsStarted(w *writer) func(int64) {
	var counters [burstPhases * burstCounters]*metricsbuffer.Counter
	var timers [burstPhases * burstTimers]*metricsbuffer.Timer
	var counterIDs [len(counters)]int
	var timerIDs [len(timers)]int
	for i := range counters {
		name := numbered("burst", int64(i))
		counters[i], counterIDs[i] = w.buffer.Counter(name), w.u.id(counter, name)
	}
	for i := range timers {
		name := numbered("burst", int64(i))
		timers[i], timerIDs[i] = w.buffer.Timer(name), w.u.id(timer, name)
	}
	began := time.Now()
	calls := 0
	return func(int64) {
		phase := int(time.Since(began)/burstLength) % burstPhases
		calls++
		c, t := phase*burstCounters+calls%burstCounters, phase*burstTimers+calls%burstTimers
		for n := range int64(burstUpdates) {
			counters[c].Inc()
			timers[t].Observe(time.Duration(w.observe(timerIDs[t], n+1)))
		}
		w.recorded[counterIDs[c]] += burstUpdates
	}
}
