package promsink

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/metricsbuffer/metricsbuffer"
)

// Reasons why all points of a series are dropped.
const (
	collides    = "its name in Prometheus is another's"
	twoValues   = "a label with two values"
	notUTF8     = "a tag's value is not UTF-8"
	unknownKind = "unknown kind"
)

// admit makes a total for the point's series, under a name and labels that no other has. It returns an error if that is
// impossible because of another series.
func (s *Sink) admit(p *metricsbuffer.Point, start time.Time) (*series, error) {
	total := &series{kind: p.Kind, name: p.Name, tags: slices.Clone(p.Tags), unit: p.Unit}
	names := sampleNames(p)
	if names == nil {
		total.refused = unknownKind
		return total, nil
	}
	if total.labels, total.refused = labels(p); total.refused != "" {
		return total, nil
	}

	member := s.names[names[0]]
	if member == nil || member.first.kind != p.Kind || member.first.name != p.Name || member.first.unit != p.Unit {
		for _, name := range names {
			if other := s.names[name]; other != nil {
				return total.collide(other.first, name)
			}
		}
		member = &family{names: names, help: help(p), first: total}
	}
	name := names[0]
	key := []byte(name)
	keys := make([]string, 0, len(total.labels))
	for _, label := range total.labels {
		key = appendString(appendString(key, label.GetName()), label.GetValue())
		keys = append(keys, label.GetName())
	}
	if other := s.labels[string(key)]; other != nil {
		return total.collide(other, name)
	}

	for _, name := range names {
		s.names[name] = member
	}
	member.members++
	total.family, total.key = member, string(key)
	s.labels[total.key] = total
	total.desc = prometheus.NewDesc(name, member.help, keys, nil)
	total.created = timestamppb.New(start)
	return total, nil
}

// release gives up the names that admit gave to the series.
func (s *Sink) release(total *series) {
	if total.refused != "" {
		return
	}
	delete(s.labels, total.key)
	if total.family.members--; total.family.members == 0 {
		for _, name := range total.family.names {
			delete(s.names, name)
		}
	}
}

func (s *series) collide(other *series, name string) (*series, error) {
	s.refused = collides
	return s, fmt.Errorf("promsink: %v and %v would both be %s: the first is served, the second dropped; rename one",
		other, s, name)
}

// String describes the series as it was recorded.
func (s *series) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %q", s.kind, s.name)
	if s.unit != "" {
		fmt.Fprintf(&b, " in %q", s.unit)
	}
	for i, tag := range s.tags {
		fmt.Fprintf(&b, "%c%q=%q", "{,"[min(i, 1)], tag.Key, tag.Value)
	}
	if len(s.tags) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

// help is what Prometheus shows for the name: what it was before it was mapped. It must be valid UTF-8.
func help(p *metricsbuffer.Point) string {
	s := fmt.Sprintf("The %v %q", p.Kind, p.Name)
	if p.Unit != "" {
		s += fmt.Sprintf(", in %q", p.Unit)
	}
	return s + "."
}

// sampleNames returns the metric's name, and then those that it, or its samples, have in one of the formats. It returns
// nil for an unknown kind.
func sampleNames(p *metricsbuffer.Point) []string {
	name := mapped(p.Name)
	switch p.Kind {
	case metricsbuffer.KindGauge:
		return []string{name}
	case metricsbuffer.KindCounter:
		base := strings.TrimSuffix(name, "_total") // the metric's name in OpenMetrics
		return []string{base + "_total", base, base + "_created"}
	case metricsbuffer.KindTimer:
		name = withSuffix(name, "seconds")
	case metricsbuffer.KindHistogram:
		if p.Unit != "" {
			name = withSuffix(name, mapped(p.Unit))
		}
	default:
		return nil
	}
	return []string{name, name + "_bucket", name + "_count", name + "_sum", name + "_created"}
}

func withSuffix(name, unit string) string { return strings.TrimSuffix(name, "_"+unit) + "_" + unit }

// mapped returns s as a name that Prometheus takes, in every version.
func mapped(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, s)
	if s == "" || '0' <= s[0] && s[0] <= '9' {
		return "_" + s
	}
	return s
}

// labels returns the point's labels, in the order that Prometheus wants, or the reason why it can have none.
func labels(p *metricsbuffer.Point) (labels []*dto.LabelPair, refused string) {
	for _, tag := range p.Tags {
		if tag.Value == "" {
			continue
		}
		if !utf8.ValidString(tag.Value) {
			return nil, notUTF8
		}
		name := labelName(p.Kind, tag.Key)
		labels = append(labels, &dto.LabelPair{Name: &name, Value: &tag.Value})
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	for i := 1; i < len(labels); i++ {
		if labels[i-1].GetName() == labels[i].GetName() {
			return nil, twoValues
		}
	}
	return slices.Clip(labels), "" // those who append more must not share them
}

func labelName(kind metricsbuffer.Kind, key string) string {
	name := mapped(key)
	for strings.HasPrefix(name, "__") {
		name = name[1:]
	}
	if name == "le" && (kind == metricsbuffer.KindTimer || kind == metricsbuffer.KindHistogram) {
		return "exported_le"
	}
	return name
}
