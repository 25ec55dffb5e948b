package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A way is one of the ways to record. enumerate adds what it may record in to the universe. start returns the function
// that a writer calls again and again, with a number that grows; it accounts in w.recorded for what it records.
type way struct {
	enumerate func(u *universe)
	start     func(w *writer) func(n int64)
	updates   int64 // by one call
	every     int64 // is called for numbers divisible by it
}

const (
	counter   = metricsbuffer.KindCounter
	timer     = metricsbuffer.KindTimer
	gauge     = metricsbuffer.KindGauge
	histogram = metricsbuffer.KindHistogram
)

var ways = []way{
	{countersEnumerated, countersStarted, 2, 1},
	{fractionsEnumerated, fractionsStarted, 2, 1},
	{distributionsEnumerated, distributionsStarted, 2, 1},
	{gaugesEnumerated, gaugesStarted, 2, 1},
	{namedEnumerated, namedStarted, 2, 1},
	{vecsEnumerated, vecsStarted, 4, 1},
	{scopesEnumerated, scopesStarted, 6, 1},
	{togetherEnumerated, togetherStarted, 3, 1},
	{recordEnumerated, recordStarted, 4, 1},
	{longEnumerated, longStarted, longSeries, 256},
	{burstsEnumerated, burstsStarted, 2 * burstUpdates, 32},
	{lateEnumerated, lateStarted, 3, 1},
	{churnEnumerated, churnStarted, 3, 1},
	{churnEnumerated, passingStarted, 3, 64},
}

func numbered(name string, i int64) string { return name + "." + strconv.FormatInt(i, 10) }

func writerTag(i int) metricsbuffer.Tag {
	return metricsbuffer.Tag{Key: "writer", Value: strconv.Itoa(i)}
}

// Instruments, shared by all writers.

func countersEnumerated(u *universe) {
	u.add(counter, "published")
	for i := range int64(handles) {
		u.add(counter, numbered("counter", i))
	}
}

func countersStarted(w *writer) func(int64) {
	published := w.buffer.Counter("published")
	var counters [handles]*metricsbuffer.Counter
	var ids [handles]int
	for i := range counters {
		name := numbered("counter", int64(i))
		counters[i], ids[i] = w.buffer.Counter(name), w.u.id(counter, name)
	}
	return func(n int64) {
		counters[n%handles].Add(n % 7)
		w.recorded[ids[n%handles]] += n % 7
		published.Inc()
		w.recorded[w.u.published]++
		w.published.Store(w.recorded[w.u.published]) // after the update has returned
	}
}

func fractionsEnumerated(u *universe) {
	for i := range int64(handles) {
		u.add(counter, numbered("fraction", i))
	}
}

func fractionsStarted(w *writer) func(int64) {
	var counters [handles]*metricsbuffer.FractionCounter
	var ids [handles]int
	for i := range counters {
		name := numbered("fraction", int64(i))
		counters[i], ids[i] = w.buffer.FractionCounter(name, 1+i%3), w.u.id(counter, name)
	}
	return func(n int64) {
		i := n % handles
		counters[i].Add(float64(n%7) / 8)
		wholes := [...]float64{10, 100, 1000}
		w.recorded[ids[i]] += int64(math.RoundToEven(float64(n%7) / 8 * wholes[i%3]))
		counters[i].Steps().Add(3)
		w.recorded[ids[i]] += 3
	}
}

func distributionsEnumerated(u *universe) {
	for i := range int64(handles) {
		u.add(timer, numbered("timer", i))
		u.add(histogram, numbered("histogram", i))
	}
}

func distributionsStarted(w *writer) func(int64) {
	var timers [handles]*metricsbuffer.Timer
	var histograms [handles]*metricsbuffer.Histogram
	var timerIDs, histogramIDs [handles]int
	for i := range timers {
		name := numbered("timer", int64(i))
		timers[i], timerIDs[i] = w.buffer.Timer(name), w.u.id(timer, name)
		name = numbered("histogram", int64(i))
		histograms[i], histogramIDs[i] = w.buffer.Histogram(name, "bytes"), w.u.id(histogram, name)
	}
	return func(n int64) {
		timerID, histogramID := timerIDs[n%handles], histogramIDs[n%handles]
		d, v := w.observe(timerID, n), w.observe(histogramID, n)
		if n%5 == 0 {
			timers[n%handles].ObserveExemplar(time.Duration(d), spanOf(timerID, d))
			histograms[n%handles].ObserveExemplar(v, spanOf(histogramID, v))
			return
		}
		timers[n%handles].Observe(time.Duration(d))
		histograms[n%handles].Observe(v)
	}
}

// Gauges: each writer sets its own to growing values, and adds to one that all share.

func gaugesEnumerated(u *universe) {
	u.add(gauge, "gauge.added")
	for i := range maxWriters {
		u.add(gauge, "gauge.set", writerTag(i))
	}
}

func gaugesStarted(w *writer) func(int64) {
	own, ownID := w.buffer.Gauge("gauge.set", w.tag), w.u.id(gauge, "gauge.set", w.tag)
	shared, sharedID := w.buffer.Gauge("gauge.added"), w.u.id(gauge, "gauge.added")
	return func(n int64) {
		own.Set(float64(n))
		w.recorded[ownID] = n
		shared.Add(1)
		w.recorded[sharedID]++
	}
}

// By name, with tags in either order.

var namedTags = [2][]metricsbuffer.Tag{{{Key: "k", Value: "v"}, {Key: "l", Value: "w"}},
	{{Key: "l", Value: "w"}, {Key: "k", Value: "v"}}}

func namedEnumerated(u *universe) {
	u.add(counter, "named", namedTags[0]...)
	u.add(timer, "named", namedTags[0]...)
}

func namedStarted(w *writer) func(int64) {
	counterID, timerID := w.u.id(counter, "named", namedTags[0]...), w.u.id(timer, "named", namedTags[0]...)
	return func(n int64) {
		w.buffer.IncrCounter("named", 2, namedTags[n%2]...)
		w.recorded[counterID] += 2
		w.buffer.IncrTimer("named", time.Duration(w.observe(timerID, n)), namedTags[n%2]...)
	}
}

// Sets with typed labels.

type vecLabels struct {
	Status bool
	Writer int
}

func (l vecLabels) tags() []metricsbuffer.Tag {
	return []metricsbuffer.Tag{{Key: "Status", Value: strconv.FormatBool(l.Status)},
		{Key: "Writer", Value: strconv.Itoa(l.Writer)}}
}

func vecsEnumerated(u *universe) {
	for i := range maxWriters {
		for _, status := range []bool{false, true} {
			tags := vecLabels{status, i}.tags()
			u.add(counter, "vec", tags...)
			u.add(timer, "vec", tags...)
			u.add(histogram, "vec", tags...)
			u.add(gauge, "vec", tags...)
		}
	}
}

func vecsStarted(w *writer) func(int64) {
	counters, err1 := metricsbuffer.NewCounterVec[vecLabels](w.buffer, "vec")
	timers, err2 := metricsbuffer.NewTimerVec[vecLabels](w.buffer, "vec")
	histograms, err3 := metricsbuffer.NewHistogramVec[vecLabels](w.buffer, "vec", "bytes")
	gauges, err4 := metricsbuffer.NewGaugeVec[vecLabels](w.buffer, "vec")
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			panic(fmt.Sprint("soak: vecLabels cannot be tags: ", err))
		}
	}
	var ids [2][4]int
	for i, status := range []bool{false, true} {
		tags := vecLabels{status, w.number}.tags()
		for j, kind := range []metricsbuffer.Kind{counter, timer, histogram, gauge} {
			ids[i][j] = w.u.id(kind, "vec", tags...)
		}
	}
	return func(n int64) {
		labels, id := vecLabels{n%2 == 1, w.number}, &ids[n%2]
		counters.With(labels).Inc()
		w.recorded[id[0]]++
		timers.With(labels).Observe(time.Duration(w.observe(id[1], n)))
		histograms.With(labels).Observe(w.observe(id[2], n))
		gauges.With(labels).Set(float64(n))
		w.recorded[id[3]] = n
	}
}
