package promsink

import (
	"fmt"
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// An other is a family of the gatherer given by [WithGatherer], as of the latest scrape.
type other struct {
	*dto.MetricFamily
	keys map[string]bool // of its metrics; made when they are asked for
}

// shares says whether the sink's series can stand in the same family. They can if it comes from another sink.
func (o *other) shares(of *family) bool {
	return o.GetName() == of.names[0] && o.GetType() == of.kind && o.GetHelp() == of.help
}

// othersHave says whether another collector serves the metric with that key.
func (s *space) othersHave(of *family, key string) bool {
	o := s.others[of.names[0]]
	if o == nil {
		return false
	}
	if o.keys == nil {
		o.keys = make(map[string]bool, len(o.Metric))
		for _, m := range o.Metric {
			o.keys[keyOf(o.GetName(), m.Label)] = true
		}
	}
	return o.keys[key]
}

func yield(s *series, name string) error {
	return fmt.Errorf("promsink: %s would be %s, which another collector serves: it is dropped; rename one",
		describe(s), name)
}

// yieldTo notes the families that others serve now. It refuses the sink's series that collide with them.
func (s *Sink) yieldTo(others []*dto.MetricFamily) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.space.others = make(map[string]*other)
	for _, f := range others {
		o := &other{MetricFamily: f}
		for _, name := range sampleNames(f.GetName(), f.GetType()) {
			s.space.others[name] = o
		}
	}
	lost := make(map[*family]string) // all of its series, because of that name
	for name := range s.space.others {
		if of := s.space.families[name]; of != nil && !s.space.others[name].shares(of) {
			lost[of] = name
		}
	}
	for _, total := range s.contested(lost) {
		of := total.Detail.family
		if name, all := lost[of]; all {
			s.withdraw = append(s.withdraw, yield(total, name))
		} else if s.space.othersHave(of, total.Detail.key) {
			s.withdraw = append(s.withdraw, yield(total, of.names[0]))
		} else {
			continue
		}
		s.totals.Refuse(total, collides)
	}
}

// contested returns the series of lost families, and of those that other sinks have, too. There are none, usually.
func (s *Sink) contested(lost map[*family]string) []*series {
	shared := false
	for name, o := range s.space.others {
		of := s.space.families[name]
		shared = shared || of != nil && o.shares(of)
	}
	if len(lost) == 0 && !shared {
		return nil
	}
	return slices.Collect(maps.Values(s.space.labels))
}
