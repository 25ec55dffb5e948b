package sinktest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// arrived returns the series at the backend, each once.
func (s Subject) arrived(t *testing.T) []metricsbuffer.Point {
	t.Helper()
	if s.Received == nil {
		return nil
	}
	received, err := s.Received()
	if err != nil {
		t.Fatalf("the output is not valid: %.300v", err)
	}
	var points []metricsbuffer.Point
	index := make(map[string]int)
	for _, p := range received {
		p.Tags = cloneTags(p.Tags)
		slices.SortFunc(p.Tags, compareTags)
		p.Buckets = nil
		series := p
		series.Decimals = 0 // of the number, which may have fewer than the series
		key := seriesKey(&series)
		if i, known := index[key]; known {
			points[i] = merge(points[i], p)
			continue
		}
		index[key] = len(points)
		points = append(points, p)
	}
	return points
}

// expectAll checks that the wanted points have arrived, each as one series, and nothing else. A point without a value
// must not have arrived. A decoy is found by its name and tags. Another point may have got any name, and is found by
// its value, which no other point of its kind has.
func (s Subject) expectAll(t *testing.T, want []metricsbuffer.Point) {
	t.Helper()
	if s.Received == nil {
		return
	}
	arrived := s.arrived(t)
	var missing, differing []string
	take := func(i int) { arrived = slices.Delete(arrived, i, i+1) }
	others := slices.DeleteFunc(slices.Clone(want), func(p metricsbuffer.Point) bool {
		if !isDecoy(&p) {
			return false
		}
		i := slices.IndexFunc(arrived, func(q metricsbuffer.Point) bool { return sameSeries(&p, &q) })
		switch {
		case i < 0 && valueOf(&p) != 0:
			missing = append(missing, describe(p))
		case i >= 0 && valueOf(&arrived[i]) != valueOf(&p):
			differing = append(differing, fmt.Sprintf("%s arrived as %s", describe(p), describe(arrived[i])))
		}
		if i >= 0 {
			take(i)
		}
		return true
	})
	for _, p := range others {
		if valueOf(&p) == 0 {
			continue
		}
		i := slices.IndexFunc(arrived, func(q metricsbuffer.Point) bool {
			return p.Kind == q.Kind && valueOf(&p) == valueOf(&q)
		})
		if i < 0 {
			missing = append(missing, describe(p))
			continue
		}
		take(i)
	}
	var strangers []string
	for _, p := range arrived {
		strangers = append(strangers, describe(p))
	}
	complain(t, "points were acknowledged and not dropped, and have not arrived as series of their own (escape them so "+
		"that all series differ, or call batch.Drop)", missing)
	complain(t, "series have got another value than was recorded in them", differing)
	complain(t, "series arrived that were not recorded, or have the sum of several recorded series", strangers)
}

// complain reports a list, of which it shows the beginning.
func complain(t *testing.T, complaint string, list []string) {
	t.Helper()
	const shown = 8
	if n := len(list); n > shown {
		list = append(list[:shown:shown], "…")
		t.Errorf("%d %s:\n\t%s", n, complaint, strings.Join(list, "\n\t"))
	} else if n > 0 {
		t.Errorf("%d %s:\n\t%s", n, complaint, strings.Join(list, "\n\t"))
	}
}

func isDecoy(p *metricsbuffer.Point) bool {
	for _, d := range decoys {
		if p.Name == d.name && slices.Equal(p.Tags, d.tags) && unitOf(p) == "" {
			return true
		}
	}
	return false
}

// sameSeries compares without the unit, which a backend may have made a part of the name.
func sameSeries(a, b *metricsbuffer.Point) bool {
	return a.Kind == b.Kind && a.Name == b.Name && slices.Equal(a.Tags, b.Tags)
}

// ordinary returns the arrived series that is p by kind, name and tags.
func ordinary(arrived []metricsbuffer.Point, p *metricsbuffer.Point) (metricsbuffer.Point, bool) {
	for _, q := range arrived {
		if sameSeries(p, &q) {
			return q, true
		}
	}
	return metricsbuffer.Point{}, false
}

// arrivedAs says what has arrived, if ok.
func arrivedAs(got metricsbuffer.Point, ok bool) string {
	if !ok {
		return "has not arrived"
	}
	return "has arrived as " + describe(got)
}

// describe returns a point in one line of bounded length.
func describe(p metricsbuffer.Point) string {
	name := fmt.Sprintf("%v %.60q", p.Kind, p.Name)
	if unit := unitOf(&p); unit != "" {
		name += fmt.Sprintf(" in %.60q", unit)
	}
	for _, tag := range p.Tags {
		name += fmt.Sprintf(" %.60q=%.60q", tag.Key, tag.Value)
	}
	if p.Kind == metricsbuffer.KindGauge {
		return fmt.Sprintf("%s = %v", name, p.Value)
	}
	return fmt.Sprintf("%s = %s", name, p.AppendAmount(nil))
}

const jobs, latency = "conformance_jobs", "conformance_latency"

func workerTag(i int) metricsbuffer.Tag {
	return metricsbuffer.Tag{Key: "worker", Value: string(rune('a' + i))}
}

// some returns a batch of ordinary series: a counter of n, and a timer of n observations.
func some(n int64) *metricsbuffer.Batch {
	counter := metricsbuffer.Point{
		Kind: metricsbuffer.KindCounter, Name: jobs, Tags: []metricsbuffer.Tag{workerTag(0)}, ID: someID,
	}
	timer := metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: latency, ID: someID}
	setValue(&counter, n)
	setValue(&timer, n)
	timer.Exemplars = []metricsbuffer.Exemplar{{
		TraceContext: metricsbuffer.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}, Value: typical, Time: time.Now(),
	}}
	return batchOf(counter, timer)
}

// sameSum allows for a backend that knows the middle of each bucket, or no sum at all.
func sameSum(got, want metricsbuffer.Point) bool {
	return got.Sum == 0 || math.Abs(float64(got.Sum-want.Sum)) <= 0.05*float64(want.Sum)
}

// expectOrdinary checks that n of [some] have arrived.
func (s Subject) expectOrdinary(t *testing.T, n int64) {
	t.Helper()
	if s.Received == nil {
		return
	}
	arrived := s.arrived(t)
	for _, want := range some(n).Points {
		got, ok := ordinary(arrived, &want)
		switch {
		case !ok || got.Count != n:
			t.Errorf("%s %s", describe(want), arrivedAs(got, ok))
		case !sameSum(got, want):
			t.Errorf("%s has arrived with a sum of %d, want %d", describe(want), got.Sum, want.Sum)
		}
	}
}
