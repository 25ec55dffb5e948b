package main

import (
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// Scopes: one that all writers share, one of each writer inside it, and descriptions that change meanwhile.

var (
	scopeTag  = metricsbuffer.Tag{Key: "scope", Value: "outer"}
	innerTag  = metricsbuffer.Tag{Key: "scope", Value: "inner"}
	scopeTags = []metricsbuffer.Tag{namedTags[0][0], scopeTag}
)

func innerTags(writer int) []metricsbuffer.Tag {
	return []metricsbuffer.Tag{innerTag, writerTag(writer)}
}

func scopesEnumerated(u *universe) {
	u.add(counter, "scope.named", scopeTags...)
	u.add(timer, "scope.named", scopeTags...)
	for i := range maxWriters {
		u.add(counter, "scope.inner.named", innerTags(i)...)
		u.add(histogram, "scope.inner.named", innerTags(i)...)
		u.add(gauge, "scope.inner.named", innerTags(i)...)
		u.add(counter, "scope.inner.held", innerTags(i)...)
	}
}

func scopesStarted(w *writer) func(int64) {
	outer := w.buffer.WithPrefix("scope.").With(scopeTag)
	inner := outer.WithPrefix("inner.").With(innerTag, w.tag)
	held, tags := inner.Counter("held"), innerTags(w.number)
	counterID, timerID := w.u.id(counter, "scope.named", scopeTags...), w.u.id(timer, "scope.named", scopeTags...)
	innerID, heldID := w.u.id(counter, "scope.inner.named", tags...), w.u.id(counter, "scope.inner.held", tags...)
	histogramID, gaugeID := w.u.id(histogram, "scope.inner.named", tags...), w.u.id(gauge, "scope.inner.named", tags...)
	return func(n int64) {
		outer.IncrCounter("named", 1, scopeTags[0])
		w.recorded[counterID]++
		outer.IncrTimer("named", time.Duration(w.observe(timerID, n)), scopeTags[0])
		inner.IncrCounter("named", 2)
		w.recorded[innerID] += 2
		inner.ObserveHistogram("named", "bytes", w.observe(histogramID, n))
		inner.SetGauge("named", float64(n))
		w.recorded[gaugeID] = n
		held.Inc()
		w.recorded[heldID]++
		if n%4096 == 0 {
			inner.Describe("named", strconv.FormatInt(n, 10), "By")
		}
	}
}
