package main

import (
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Local that nobody commits is recorded when the garbage collector finds that nobody can reach it any more. The soak
// can wait for that only in a buffer that is itself left to the collector. In other buffers it commits at the end.

func lateEnumerated(u *universe) {
	u.add(counter, "late")
	u.add(timer, "late")
	u.add(histogram, "late")
}

func lateStarted(w *writer) func(int64) {
	local := w.buffer.Local()
	c, t, h := w.buffer.Counter("late"), w.buffer.Timer("late"), w.buffer.Histogram("late", "bytes")
	cID, tID, hID := w.u.id(counter, "late"), w.u.id(timer, "late"), w.u.id(histogram, "late")
	if !w.leaves {
		w.atEnd = append(w.atEnd, local.Commit)
	}
	return func(n int64) {
		local.Counter(c).Add(3)
		w.recorded[cID] += 3
		local.Timer(t).Observe(time.Duration(w.observe(tID, n)))
		local.Histogram(h).Observe(w.observe(hID, n))
		if n%1024 == 0 {
			local.Commit()
		}
	}
}

// Series that come and go: each writer passes through the names, and comes back to the first after a while, in which
// it may have expired. Gauges have a tag for the writer, so that they grow.

func churnName(i int64) string { return numbered("churn", i%churnNames) }

var churnTag [churnTags]metricsbuffer.Tag

func init() {
	for i := range churnTag {
		churnTag[i] = metricsbuffer.Tag{Key: "tag", Value: string(rune('a' + i))}
	}
}

func churnEnumerated(u *universe) {
	for i := range int64(churnNames) {
		for _, tag := range churnTag {
			u.add(counter, churnName(i), tag)
			u.add(timer, churnName(i), tag)
			u.add(histogram, churnName(i), tag)
		}
		for w := range maxWriters {
			u.add(gauge, churnName(i), writerTag(w))
		}
	}
}

// churnIDs returns the ids of a kind, by name and tag.
func churnIDs(u *universe, kind metricsbuffer.Kind) (ids [churnNames][churnTags]int) {
	for i := range ids {
		for j, tag := range churnTag {
			ids[i][j] = u.id(kind, churnName(int64(i)), tag)
		}
	}
	return ids
}

func churnStarted(w *writer) func(int64) {
	counters, timers := churnIDs(w.u, counter), churnIDs(w.u, timer)
	var gauges [churnNames]int
	var names [churnNames]string
	for i := range gauges {
		names[i] = churnName(int64(i))
		gauges[i] = w.u.id(gauge, names[i], w.tag)
	}
	return func(n int64) {
		i, j := n>>8%churnNames, n%churnTags
		w.buffer.IncrCounter(names[i], 1, churnTag[j])
		w.recorded[counters[i][j]]++
		w.buffer.IncrTimer(names[i], time.Duration(w.observe(timers[i][j], n)), churnTag[j])
		w.buffer.SetGauge(names[i], float64(n), w.tag)
		w.recorded[gauges[i]] = n
	}
}

// passingStarted records in the same series by instruments that are used once, and left to the collector.
func passingStarted(w *writer) func(int64) {
	counters, timers, histograms := churnIDs(w.u, counter), churnIDs(w.u, timer), churnIDs(w.u, histogram)
	return func(n int64) {
		i, j := n>>8%churnNames, n>>6%churnTags
		name, tag := churnName(i), churnTag[j]
		w.buffer.Counter(name, tag).Inc()
		w.recorded[counters[i][j]]++
		d := w.observe(timers[i][j], n)
		w.buffer.Timer(name, tag).ObserveExemplar(time.Duration(d), spanOf(timers[i][j], d))
		w.buffer.Histogram(name, "bytes", tag).Observe(w.observe(histograms[i][j], n))
	}
}
