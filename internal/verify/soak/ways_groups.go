package main

import (
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// Groups of updates that are recorded in one section have to arrive together: a sink finds equal amounts of all series
// of a group, in all batches that it was ever given. See sink.together. In each call all series of a group get one
// update, of one.

// addGroup adds a group of series: counters named name.0, name.1 and so on, and timers and
// histograms named alike.
func (u *universe) addGroup(name string, counters, timers, histograms int64) {
	var group []int
	for i := range counters {
		group = append(group, u.add(counter, numbered(name, i)))
	}
	for i := range timers {
		group = append(group, u.add(timer, numbered(name, i)))
	}
	for i := range histograms {
		group = append(group, u.add(histogram, numbered(name, i)))
	}
	u.groups = append(u.groups, group)
}

// By a short Local.Commit, which is pinned.

func togetherEnumerated(u *universe) { u.addGroup("together", 2, 1, 0) }

func togetherStarted(w *writer) func(int64) {
	local := w.buffer.Local()
	a, b, t := w.buffer.Counter("together.0"), w.buffer.Counter("together.1"), w.buffer.Timer("together.0")
	aID, bID, tID := w.u.id(counter, "together.0"), w.u.id(counter, "together.1"), w.u.id(timer, "together.0")
	w.atEnd = append(w.atEnd, local.Commit)
	return func(n int64) {
		local.Counter(a).Inc()
		local.Counter(b).Inc()
		local.Timer(t).Observe(time.Duration(w.observe(tID, n)))
		w.recorded[aID]++
		w.recorded[bID]++
		if n%16 == 0 {
			local.Commit()
		}
	}
}

// By Record, which uses a P's own chunks and the common ones in one section.

func recordEnumerated(u *universe) {
	u.addGroup("record", 2, 1, 1)
	for i := range maxWriters {
		u.add(gauge, "record", writerTag(i))
	}
}

func recordStarted(w *writer) func(int64) {
	a, b := w.buffer.Counter("record.0"), w.buffer.Counter("record.1")
	t, h, g := w.buffer.Timer("record.0"), w.buffer.Histogram("record.0", "bytes"), w.buffer.Gauge("record", w.tag)
	aID, bID, tID := w.u.id(counter, "record.0"), w.u.id(counter, "record.1"), w.u.id(timer, "record.0")
	hID, gID := w.u.id(histogram, "record.0"), w.u.id(gauge, "record", w.tag)
	return func(n int64) {
		metricsbuffer.Record(a.Delta(1), t.Took(time.Duration(w.observe(tID, n))), h.Size(w.observe(hID, n)), b.Delta(1),
			g.Level(float64(n)))
		w.recorded[aID]++
		w.recorded[bID]++
		w.recorded[gID] = n
	}
}

// By Local.Commit or Record with more than 64 instruments, which is not pinned and passes the common gate.

const (
	longCounters = 80
	longTimers   = 8
	longSeries   = longCounters + longTimers
)

func longEnumerated(u *universe) { u.addGroup("long", longCounters, longTimers, 0) }

func longStarted(w *writer) func(int64) {
	local := w.buffer.Local()
	var counters [longCounters]*metricsbuffer.Counter
	var timers [longTimers]*metricsbuffer.Timer
	var counterIDs, timerIDs [longSeries]int
	for i := range counters {
		name := numbered("long", int64(i))
		counters[i], counterIDs[i] = w.buffer.Counter(name), w.u.id(counter, name)
	}
	for i := range timers {
		name := numbered("long", int64(i))
		timers[i], timerIDs[i] = w.buffer.Timer(name), w.u.id(timer, name)
	}
	w.atEnd = append(w.atEnd, local.Commit)
	updates := make([]metricsbuffer.Update, 0, longSeries)
	return func(n int64) {
		commits := n%512 == 0
		updates = updates[:0]
		for i, c := range counters {
			w.recorded[counterIDs[i]]++
			if commits {
				local.Counter(c).Inc()
			} else {
				updates = append(updates, c.Delta(1))
			}
		}
		for i, t := range timers {
			d := time.Duration(w.observe(timerIDs[i], n/256))
			if commits {
				local.Timer(t).Observe(d)
			} else {
				updates = append(updates, t.Took(d))
			}
		}
		if commits {
			local.Commit()
		} else {
			metricsbuffer.Record(updates...)
		}
	}
}
