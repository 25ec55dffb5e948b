package prom

import (
	"fmt"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// Collides is the reason why a series is dropped whose name or labels are those of another one.
const Collides = "its name in Prometheus is another's"

// Other reasons why all points of a series are dropped.
const (
	twoValues   = "a label with two values"
	notUTF8     = "a tag's value is not UTF-8"
	noName      = "it has no name"
	noKey       = "a tag without a key"
	unknownKind = "unknown kind"
)

// A Family is a metric in Prometheus: all series of one name, kind and unit.
type Family struct {
	Names []string // its own first, then those of its samples
	Type  Type
	Unit  string // at the end of the name; "" if there is none
	Help  string // valid UTF-8, not empty

	first   *metricsbuffer.Point
	members int // not released
}

// Name returns the name of the metric.
func (f *Family) Name() string { return f.Names[0] }

// Describe takes over the description of a point of the family. The unit of a counter or gauge is taken only if its
// name ends with it, as OpenMetrics demands.
func (f *Family) Describe(p *metricsbuffer.Point) {
	f.Help = help(p)
	if f.Type == Histogram {
		return
	}
	f.Unit = ""
	base := f.Name()
	if f.Type == Counter { // the suffix is not part of the name of an OpenMetrics family
		base = strings.TrimSuffix(base, "_total")
	}
	if unit := mapped(p.Unit); p.Unit != "" && strings.HasSuffix(base, "_"+unit) {
		f.Unit = unit
	}
}

// An Identity tells a series from all others in Prometheus.
type Identity struct {
	Family *Family
	Labels []Label // sorted by name
	Key    string  // the name and the labels
}

// A Space holds the owner of each name in Prometheus. It is not safe for concurrent use.
type Space struct {
	caller   string
	constant []Label
	families map[string]*Family              // by the names of metrics, and of their samples
	series   map[string]*metricsbuffer.Point // by Identity.Key
}

// NewSpace returns a space of free names. Its series get the constant labels. Its errors begin with the caller's name,
// such as "promsink".
func NewSpace(caller string, constant []Label) Space {
	return Space{caller: caller, constant: constant,
		families: make(map[string]*Family), series: make(map[string]*metricsbuffer.Point)}
}

// Find returns a name and labels for the series of p that no other one has. It returns the reason if that is
// impossible, and an error if the reason is another series.
func (s *Space) Find(p *metricsbuffer.Point) (id Identity, refused string, err error) {
	t := typeOf(p.Kind)
	switch {
	case t == Other:
		return id, unknownKind, nil
	case p.Name == "":
		return id, noName, nil
	}
	if id.Labels, refused = labels(p, s.constant); refused != "" {
		return id, refused, nil
	}
	name, unit := metricName(p)
	of := s.families[name]
	if of == nil || of.Name() != name || of.first.Kind != p.Kind || of.first.Name != p.Name ||
		p.Kind == metricsbuffer.KindHistogram && of.first.Unit != p.Unit {
		of = &Family{Names: SampleNames(name, t), Type: t, Unit: unit, first: p}
		of.Describe(p)
		for _, name := range of.Names {
			if owner := s.families[name]; owner != nil {
				return id, Collides, s.collision(Describe(owner.first), Describe(p), name)
			}
		}
	}
	id.Family, id.Key = of, Key(name, id.Labels)
	if owner := s.series[id.Key]; owner != nil {
		return id, Collides, s.collision(DescribeKeys(owner), DescribeKeys(p), name)
	}
	return id, "", nil
}

// Claim makes the series of p the owner of the identity that Find returned for it. The space keeps p for its errors.
func (s *Space) Claim(id Identity, p *metricsbuffer.Point) {
	for _, name := range id.Family.Names {
		s.families[name] = id.Family
	}
	id.Family.Describe(p)
	id.Family.members++
	s.series[id.Key] = p
}

// Release frees the names of a series.
func (s *Space) Release(id Identity) {
	delete(s.series, id.Key)
	if id.Family.members--; id.Family.members == 0 {
		for _, name := range id.Family.Names {
			delete(s.families, name)
		}
	}
}

// Family returns the owner of a metric's or sample's name, or nil.
func (s *Space) Family(name string) *Family { return s.families[name] }

// collision returns the error of series whose names collide. All of two names have the same one.
func (s *Space) collision(first, second, name string) error {
	return fmt.Errorf("%s: %s and %s would both be %.200s: the first is served, the second dropped; rename one",
		s.caller, first, second, name)
}

// Describe returns the name of the series, as it was recorded, with its kind, unit and decimals. It does not depend on
// the tags, and its length has a bound.
func Describe(p *metricsbuffer.Point) string {
	text := fmt.Sprintf("%v %.200q", p.Kind, p.Name)
	if p.Unit != "" {
		text += fmt.Sprintf(" in %.200q", p.Unit)
	}
	if p.Decimals != 0 {
		text += fmt.Sprintf(" (decimals: %d)", p.Decimals)
	}
	return text
}

// DescribeKeys returns the same, and the keys of the tags.
func DescribeKeys(p *metricsbuffer.Point) string {
	if len(p.Tags) == 0 {
		return Describe(p)
	}
	keys := make([]string, len(p.Tags))
	for i, tag := range p.Tags {
		keys[i] = tag.Key
	}
	return fmt.Sprintf("%s with the keys %.200s", Describe(p), fmt.Sprintf("%q", keys))
}
