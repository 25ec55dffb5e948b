package promsink

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
)

// Reasons why all points of a series are dropped.
const (
	collides    = "its name in Prometheus is another's"
	twoValues   = "a label with two values"
	notUTF8     = "a tag's value is not UTF-8"
	noName      = "it has no name"
	noKey       = "a tag without a key"
	unknownKind = "unknown kind"
)

type series = cumulative.Series[*entry]

// An entry is a series as Prometheus sees it.
type entry struct {
	family *family
	key    string // in space.labels
	desc   *prometheus.Desc
	labels []*dto.LabelPair

	start   time.Time // of the total when created was made
	created *timestamppb.Timestamp
}

// A family is a metric in Prometheus: all series of one name, kind and unit.
type family struct {
	names   []string // its own first, then those of its samples
	kind    dto.MetricType
	help    string
	first   *series
	members int // not released
}

// A space holds the owner of each name in Prometheus.
type space struct {
	families map[string]*family // by the names of metrics, and of their samples
	labels   map[string]*series // by the key of a metric's name and labels
	others   map[string]*other  // by name: the families of [WithGatherer]
}

func newSpace() space {
	return space{families: make(map[string]*family), labels: make(map[string]*series)}
}

// admit gives the series a name and labels that no other one has. It returns the reason if that is impossible, and an
// error if the reason is another series.
func (s *Sink) admit(total *series) (refused string, err error) {
	p := &total.Point
	kind, known := typeOf(p.Kind)
	switch {
	case !known:
		return unknownKind, nil
	case p.Name == "":
		return noName, nil
	}
	labels, refused := labels(p, s.labels)
	if refused != "" {
		return refused, nil
	}

	name := metricName(p)
	of := s.space.families[name]
	if of == nil || of.names[0] != name || of.first.Kind != p.Kind || of.first.Name != p.Name || of.first.Unit != p.Unit {
		of = &family{names: sampleNames(name, kind), kind: kind, help: help(p), first: total}
		if err := s.space.collision(of); err != nil {
			return collides, err
		}
	}
	key := keyOf(name, labels)
	switch {
	case s.space.labels[key] != nil:
		return collides, collision(s.space.labels[key], total, name)
	case s.space.othersHave(of, key):
		return collides, yield(total, name)
	}

	e := &entry{family: of, key: key, labels: labels}
	keys := make([]string, len(labels))
	for i, label := range labels {
		keys[i] = label.GetName()
	}
	e.desc = prometheus.NewDesc(name, of.help, keys, nil)
	total.Detail = e
	for _, name := range of.names {
		s.space.families[name] = of
	}
	of.members++
	s.space.labels[key] = total
	return "", nil
}

// collision returns an error if somebody has one of the new family's names.
func (s *space) collision(of *family) error {
	for _, name := range of.names {
		if owner := s.families[name]; owner != nil {
			return collision(owner.first, of.first, name)
		}
		if owner := s.others[name]; owner != nil && !owner.shares(of) {
			return yield(of.first, name)
		}
	}
	return nil
}

// release gives up the names that admit gave to the series.
func (s *space) release(total *series) {
	e := total.Detail
	delete(s.labels, e.key)
	if e.family.members--; e.family.members == 0 {
		for _, name := range e.family.names {
			delete(s.families, name)
		}
	}
}

// keyOf returns the identity of a metric in Prometheus.
func keyOf(name string, labels []*dto.LabelPair) string {
	p := metricsbuffer.Point{Name: name, Tags: make([]metricsbuffer.Tag, 0, len(labels))}
	for _, label := range labels {
		if label.GetValue() != "" {
			p.Tags = append(p.Tags, metricsbuffer.Tag{Key: label.GetName(), Value: label.GetValue()})
		}
	}
	slices.SortFunc(p.Tags, func(a, b metricsbuffer.Tag) int { return strings.Compare(a.Key, b.Key) })
	return string(cumulative.AppendKey(nil, &p))
}

func collision(first, second *series, name string) error {
	return fmt.Errorf("promsink: %v and %v would both be %s: the first is served, the second dropped; rename one",
		describe(first), describe(second), name)
}

// describe returns the series as it was recorded.
func describe(s *series) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %q", s.Kind, s.Name)
	if s.Unit != "" {
		fmt.Fprintf(&b, " in %q", s.Unit)
	}
	for i, tag := range s.Tags {
		fmt.Fprintf(&b, "%c%q=%q", "{,"[min(i, 1)], tag.Key, tag.Value)
	}
	if len(s.Tags) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}
