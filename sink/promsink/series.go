package promsink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

type series = cumulative.Series[*entry]

// An entry is a series as Prometheus sees it.
type entry struct {
	id     prom.Identity
	desc   *prometheus.Desc
	help   string           // in desc
	labels []*dto.LabelPair // a registry appends to them, once for each of its wrappers: the slice is full
	bounds []prom.Bound     // of its classic histogram

	start   time.Time // of the total when created was made
	created *timestamppb.Timestamp
}

// admit gives the series a name and labels that no other one has. It returns the reason if that is impossible, and an
// error if the reason is another series.
func (s *Sink) admit(total *series) (refused string, err error) {
	id, refused, err := s.space.Find(&total.Point)
	if refused != "" {
		return refused, err
	}
	if err := s.taken(total, &id); err != nil {
		return prom.Collides, err
	}
	s.space.Claim(id, &total.Point)

	e := &entry{id: id, labels: make([]*dto.LabelPair, len(id.Labels))}
	for i := range id.Labels {
		label := &id.Labels[i]
		e.labels[i] = &dto.LabelPair{Name: &label.Key, Value: &label.Value}
	}
	e.describe(s.help(id.Family))
	if id.Family.Type == prom.Histogram {
		e.bounds = s.bounds.Of(total.Kind, total.Unit)
	}
	total.Detail = e
	return "", nil
}

// describe sets desc, if the description is not the one that it has. A registry fails if the series of a family differ
// in it.
func (e *entry) describe(help string) {
	if e.desc != nil && e.help == help {
		return
	}
	keys := make([]string, len(e.labels))
	for i, label := range e.labels {
		keys[i] = label.GetName()
	}
	e.help, e.desc = help, prometheus.NewDesc(e.id.Family.Name(), help, keys, nil)
}

// redescribe takes over the description of a series that is served. The others of its family follow when they are read.
func (s *Sink) redescribe(total *series) { total.Detail.id.Family.Describe(&total.Point) }

func (s *Sink) release(total *series) { s.space.Release(total.Detail.id) }
