package promsink

import (
	"fmt"

	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// An other is a family of the gatherer given by [WithGatherer], as of the latest scrape.
type other struct {
	*dto.MetricFamily
	keys   map[string]bool // of its metrics; made when they are asked for
	shared *prom.Family    // the sink's that stands in it; nil if there is none
}

var types = map[dto.MetricType]prom.Type{
	dto.MetricType_COUNTER:         prom.Counter,
	dto.MetricType_GAUGE:           prom.Gauge,
	dto.MetricType_HISTOGRAM:       prom.Histogram,
	dto.MetricType_GAUGE_HISTOGRAM: prom.Histogram,
	dto.MetricType_SUMMARY:         prom.Summary,
}

// shares says whether the sink's series can stand in the same family. They can if it comes from another sink: then both
// have one description. From then on they share it, because two buffers do not change a description at one moment.
func (o *other) shares(of *prom.Family) bool {
	if o.GetName() != of.Name() || types[o.GetType()] != of.Type || o.GetType() == dto.MetricType_GAUGE_HISTOGRAM {
		return false
	}
	if o.GetHelp() == of.Help {
		o.shared = of
	}
	return o.shared == of
}

// help returns the description of the sink's family. It is the other collector's if they share it: a page has one.
func (s *Sink) help(of *prom.Family) string {
	if o := s.served[of.Name()]; o != nil && o.shared == of {
		return o.GetHelp()
	}
	return of.Help
}

// has says whether the family has the metric with that key.
func (o *other) has(key string) bool {
	if o.keys == nil {
		o.keys = make(map[string]bool, len(o.Metric))
		for _, m := range o.Metric {
			labels := make([]prom.Label, len(m.Label))
			for i, label := range m.Label {
				labels[i] = prom.Label{Key: label.GetName(), Value: label.GetValue()}
			}
			o.keys[prom.Key(o.GetName(), labels)] = true
		}
	}
	return o.keys[key]
}

// taken returns an error if another collector serves the series, or one of its family's names. All series of a name
// have the same error, or, in a family that both serve, those whose tags have the same keys.
func (s *Sink) taken(total *series, id *prom.Identity) error {
	for _, name := range id.Family.Names {
		if o := s.served[name]; o != nil && !o.shares(id.Family) {
			return yield(prom.Describe(&total.Point), name)
		}
	}
	name := id.Family.Name()
	if o := s.served[name]; o != nil && o.has(id.Key) {
		return yield(prom.DescribeKeys(&total.Point), name+" with the same labels")
	}
	return nil
}

func yield(series, name string) error {
	return fmt.Errorf("promsink: %s would be %.200s, which another collector serves: it is dropped; rename one",
		series, name)
}

// yieldTo notes the families that others serve now. It refuses the sink's series that collide with them, until they do
// no longer.
func (s *Sink) yieldTo(others []*dto.MetricFamily) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.served
	s.served = make(map[string]*other)
	s.totals.Reconsider() // one of theirs may be gone
	contested := false    // there is no name of another's that is the sink's, too, usually
	for _, f := range others {
		o := &other{MetricFamily: f}
		if same := before[f.GetName()]; same != nil && same.GetName() == f.GetName() {
			o.shared = same.shared
		}
		for _, name := range prom.SampleNames(f.GetName(), types[f.GetType()]) {
			s.served[name] = o
			contested = contested || s.space.Family(name) != nil
		}
	}
	if !contested {
		return
	}
	for total := range s.totals.All() {
		err := s.taken(total, &total.Detail.id)
		if err == nil {
			continue
		}
		if err = s.totals.Refuse(total, prom.Collides, err); err != nil {
			s.withdraw = append(s.withdraw, err)
		}
	}
}
