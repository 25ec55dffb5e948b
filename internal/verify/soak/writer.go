package main

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A writer is a goroutine that records in every way there is, and keeps account of it.
type writer struct {
	buffer    *metricsbuffer.Buffer
	u         *universe
	number    int
	tag       metricsbuffer.Tag
	leaves    bool          // a Local uncommitted
	published *atomic.Int64 // of "published", all that this writer's calls have returned from

	recorded  []int64 // by id: what counters grew by, numbers of observations; of gauges the value
	negatives int64   // observations below zero
	updates   int64
	atEnd     []func()
}

// run records until stop. It does so in bursts, between which the flusher sees series that nobody uses.
func (w *writer) run(rng *rand.Rand, stop *atomic.Bool, rest func(*rand.Rand, time.Duration)) {
	w.recorded = make([]int64, len(w.u.items))
	steps := make([]func(int64), len(ways))
	for i, way := range ways {
		steps[i] = way.start(w)
	}
	for n := int64(1); !stop.Load(); {
		for range 16 + rng.IntN(512) {
			for i, step := range steps {
				if n%ways[i].every == 0 {
					step(n)
					w.updates += ways[i].updates
				}
			}
			n++
		}
		rest(rng, 10*time.Millisecond)
	}
	for _, f := range w.atEnd {
		f()
	}
}

// observe returns the n-th value to observe in a series, from 1 on, and accounts for it.
func (w *writer) observe(id int, n int64) int64 {
	w.recorded[id]++
	values := w.u.items[id].values
	v := values[n/3%int64(len(values))]
	if v == 0 && n%32 == 0 {
		w.negatives++
		return -n
	}
	return v
}

// spanOf returns the span of an observation in a series. Each of its parts tells of which one.
func spanOf(id int, v int64) (span metricsbuffer.TraceContext) {
	v = max(v, 0)
	binary.BigEndian.PutUint64(span.TraceID[:], uint64(v)+1)
	binary.BigEndian.PutUint64(span.TraceID[8:], uint64(id))
	binary.BigEndian.PutUint64(span.SpanID[:], uint64(v)+uint64(id))
	return span
}

// A fleet is what the writers of one buffer recorded together.
type fleet struct {
	recorded  []int64
	negatives int64
	updates   int64
}

func (f *fleet) add(w *writer) {
	if f.recorded == nil {
		f.recorded = make([]int64, len(w.recorded))
	}
	for id, n := range w.recorded {
		f.recorded[id] += n // of gauges too: only one writer sets each, but for the one to which all add
	}
	f.negatives += w.negatives
	f.updates += w.updates
}
