package main

import (
	"math"

	"github.com/metricsbuffer/metricsbuffer"
)

// examine checks the promises about a batch, before it is known how the Write ends. The sink's mu is held.
func (s *sink) examine(batch *metricsbuffer.Batch) {
	s.identify(batch)
	if batch.Start.After(batch.End) || batch.Start.Before(s.end) {
		s.report.problem(wrong, "%s: a batch from %v to %v after one that ended at %v",
			s.label, batch.Start, batch.End, s.end)
	}
	s.writes++
	for i := range batch.Points {
		p, id := &batch.Points[i], s.ids[i]
		if id == selfID {
			continue
		}
		if s.seen[id] == s.writes && !s.u.byName {
			s.report.problem(wrong, "%s: %v %q %v is twice in one batch", s.label, p.Kind, p.Name, p.Tags)
		}
		if s.seen[id] != s.writes {
			s.seen[id], s.counts[id] = s.writes, 0
		}
		s.counts[id] += p.Count
		switch p.Kind {
		case timer, histogram:
			s.whole(id, p)
			s.exemplars(id, p)
		case gauge:
			if v := int64(p.Value); !s.u.byName && v < s.got[id] {
				s.report.problem(wrong, "%s: gauge %q %v is %d after it was %d", s.label, p.Name, p.Tags, v, s.got[id])
			}
		case counter:
		}
	}
	s.together()
}

// whole checks that a point's count, sum, extremes and buckets describe the same observations. The series is known to
// get certain values only, each in a bucket of its own, so the buckets say what all the rest has to be.
func (s *sink) whole(id int, p *metricsbuffer.Point) {
	values := s.u.items[id].values
	var count, sum int64
	low, high := int64(math.MaxInt64), int64(0)
	for b := range p.Buckets.All() {
		v := int64(-1)
		for _, known := range values {
			if float64(known) <= b.Upper && (float64(known) > b.Lower || known == 0 && b.Upper == 0) {
				v = known
			}
		}
		if v < 0 {
			s.report.problem(torn, "%s: %q %v has %d observations in (%v, %v], where nobody observed any",
				s.label, p.Name, p.Tags, b.Count, b.Lower, b.Upper)
			return
		}
		n := int64(b.Count)
		count, sum, low, high = count+n, sum+n*v, min(low, v), max(high, v)
	}
	if count == 0 { // the series is new
		low = 0
	}
	if count != p.Count || sum != p.Sum || low != p.Min || high != p.Max {
		s.report.problem(torn, "%s: %q %v has count %d, sum %d, min %d, max %d, and in its buckets %d, %d, %d, %d",
			s.label, p.Name, p.Tags, p.Count, p.Sum, p.Min, p.Max, count, sum, low, high)
	}
}

// exemplars checks that a point's exemplars are observations of its series and its batch, with the spans of these.
func (s *sink) exemplars(id int, p *metricsbuffer.Point) {
	for _, e := range p.Exemplars {
		observed := false
		for b := range p.Buckets.All() {
			observed = observed || e.Value == 0 && b.Upper == 0 || float64(e.Value) > b.Lower && float64(e.Value) <= b.Upper
		}
		if !observed || e.TraceContext != spanOf(id, e.Value) {
			s.report.problem(torn, "%s: %q %v has the exemplar %+v", s.label, p.Name, p.Tags, e)
		}
	}
}

// together checks that updates of one section were always given to this sink together, be it in batches that it has
// settled or in this one.
func (s *sink) together() {
	for _, group := range s.u.groups {
		first := s.everGiven(group[0])
		for _, id := range group[1:] {
			if n := s.everGiven(id); n != first {
				s.report.problem(torn, "%s: of updates recorded together it was given %d of %q and %d of %v %q", s.label,
					first, s.u.items[group[0]].name, n, s.u.items[id].kind, s.u.items[id].name)
			}
		}
	}
}

// everGiven returns how much of a series the sink has settled or is being given now.
func (s *sink) everGiven(id int) int64 {
	n := s.got[id] + s.given[id]
	if s.seen[id] == s.writes {
		n += s.counts[id]
	}
	return n
}

// exact compares what was recorded with what the sink has settled, when nothing is pending.
func (s *sink) exact(recorded []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, want := range recorded {
		it, have := &s.u.items[id], s.got[id]+s.given[id]
		switch {
		case it.kind == gauge && (have == want || s.u.byName): // whichever writer was last, where tags do not count
		case it.kind == gauge:
			s.report.problem(wrong, "%s: gauge %q was set to %d, and is %d", s.label, it.name, want, have)
		case have < want:
			s.report.count(lost, want-have, "%s: %v %q: recorded %d, settled %d", s.label, it.kind, it.name, want, have)
		case have > want:
			s.report.count(doubled, have-want, "%s: %v %q: recorded %d, settled %d", s.label, it.kind, it.name, want, have)
		}
	}
}

// atMost checks that the sink has not settled more than was recorded, and returns what it has acknowledged and what it
// has given up. Nothing is being written.
func (s *sink) atMost(recorded []int64) (got, given metricsbuffer.Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, want := range recorded {
		it, have := &s.u.items[id], s.got[id]+s.given[id]
		if it.kind != gauge && have > want {
			s.report.count(doubled, have-want, "%s: %v %q: recorded %d, settled %d", s.label, it.kind, it.name, want, have)
		}
	}
	got, given = s.u.total(s.got), s.u.total(s.given)
	got.Increments += s.own[0]
	given.Increments += s.own[1]
	return got, given
}
