package cumulative

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/exemplar"
)

// A Series is the total of one series: the sum of its points since Start. The point's Value and ID are the latest ones,
// its Min and Max are those of all observations since Start, and its Exemplars the latest one of each octave, in no
// order. Point.Buckets is nil for counters and gauges only.
type Series[D any] struct {
	metricsbuffer.Point

	// Start is the start of the first batch in the total. It moves when the total begins anew, because the count or the
	// sum would exceed an int64.
	Start time.Time

	refusal *refusal // nil: it was admitted

	Detail D // the owner's; behind the fields that Add needs, which thus share cache lines
}

// A refusal says why the points of a series are dropped.
type refusal struct {
	reason   string
	hindered bool   // another series is in the way
	freed    uint64 // Totals.freed when the series was refused
}

func newSeries[D any](p *metricsbuffer.Point, start time.Time) *Series[D] {
	s := &Series[D]{Point: metricsbuffer.Point{
		// The batch owns the slice of tags, and not the strings.
		Name: p.Name, Tags: slices.Clone(p.Tags), Kind: p.Kind, Unit: p.Unit, Decimals: p.Decimals, Help: p.Help,
	}}
	s.begin(start)
	return s
}

// is reports whether the point is of the series, and its unit has not changed. Strings of the same series have the same
// address, mostly, so that it takes no longer for long ones.
func (s *Series[D]) is(p *metricsbuffer.Point) bool {
	return s.Kind == p.Kind && s.Name == p.Name && s.Decimals == p.Decimals && s.Unit == p.Unit &&
		slices.Equal(s.Tags, p.Tags)
}

// refuse notes that the series was refused, or admitted if the reason is empty.
func (s *Series[D]) refuse(reason string, hindered bool, freed uint64) {
	s.refusal = nil
	if reason != "" {
		s.refusal = &refusal{reason, hindered, freed}
	}
}

// begin sets the total to zero.
func (s *Series[D]) begin(start time.Time) {
	s.Start = start
	s.Count, s.Sum, s.Exemplars = 0, 0, nil
	if s.Kind == metricsbuffer.KindTimer || s.Kind == metricsbuffer.KindHistogram {
		s.Buckets = new(metricsbuffer.Buckets)
	}
}

// add adds a point. A total begins anew if its count or its sum exceeds an int64.
func (s *Series[D]) add(p *metricsbuffer.Point, start time.Time) {
	if exceeds(s.Count, p.Count) || s.Kind != metricsbuffer.KindCounter && s.Sum+p.Sum < s.Sum {
		s.begin(start)
	}
	if s.Kind == metricsbuffer.KindCounter { // the other fields are in other cache lines
		s.Count += p.Count
		return
	}
	switch {
	case s.Count == 0:
		s.Min, s.Max = p.Min, p.Max
	case p.Count > 0:
		s.Min, s.Max = min(s.Min, p.Min), max(s.Max, p.Max)
	}
	s.Count += p.Count
	s.Sum += p.Sum
	s.Value = p.Value
	if p.Buckets != nil && s.Buckets != nil {
		s.Buckets.Add(p.Buckets)
	}
	for _, e := range p.Exemplars {
		i := slices.IndexFunc(s.Exemplars, func(other metricsbuffer.Exemplar) bool {
			return exemplar.Octave(other.Value) == exemplar.Octave(e.Value)
		})
		if i < 0 {
			s.Exemplars = append(s.Exemplars, e)
		} else {
			s.Exemplars[i] = e
		}
	}
}

// exceeds says whether total + delta is no int64.
func exceeds(total, delta int64) bool {
	return (delta > 0) != (total+delta > total) && delta != 0
}

// unitOf returns the unit by which series are told apart. That of a counter or gauge is a description.
func unitOf(p *metricsbuffer.Point) string {
	if p.Kind != metricsbuffer.KindHistogram {
		return ""
	}
	return p.Unit
}

// AppendKey appends the identity of the point's series: kind, name, unit of a histogram, decimals and tags. Two points
// have the same key if and only if they are of one series. Each part stands behind its length, so that no part runs
// into the next one.
func AppendKey(key []byte, p *metricsbuffer.Point) []byte {
	key = append(key, byte(p.Kind), byte(p.Decimals))
	key = appendString(appendString(key, p.Name), unitOf(p))
	for _, tag := range p.Tags {
		key = appendString(appendString(key, tag.Key), tag.Value)
	}
	return key
}

func appendString(key []byte, s string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(s))), s...)
}
