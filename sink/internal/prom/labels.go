package prom

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
)

// A Label is a label in Prometheus; its Key is the label's name.
type Label = metricsbuffer.Tag

// AddConstant adds labels that every series of a sink has. It returns an error if one of them cannot be a label.
func AddConstant(to []Label, add ...Label) ([]Label, error) {
	for _, l := range add {
		switch {
		case l.Key == "le":
			return nil, fmt.Errorf("%q cannot be a label's name, because buckets have it; give another name", l.Key)
		case l.Key != labelName(0, l.Key) || l.Key == "":
			return nil, fmt.Errorf("%q cannot be a label's name; write letters, digits and underscores, a letter first", l.Key)
		case l.Value == "":
			return nil, fmt.Errorf("%s=%q: the value is empty; give it one, or leave the label out", l.Key, l.Value)
		case !utf8.ValidString(l.Value):
			return nil, fmt.Errorf("%s=%q: the value is not UTF-8; Prometheus takes nothing else", l.Key, l.Value)
		case slices.ContainsFunc(to, func(other Label) bool { return other.Key == l.Key }):
			return nil, fmt.Errorf("%q is given twice; remove one", l.Key)
		}
		to = append(to, l)
	}
	slices.SortFunc(to, byName)
	return to, nil
}

// labels returns the point's labels and the constant ones, in the order that Prometheus wants, or the reason why the
// point cannot have them.
func labels(p *metricsbuffer.Point, constant []Label) (labels []Label, refused string) {
	labels = slices.Grow(slices.Clone(constant), len(p.Tags))
	for _, tag := range p.Tags {
		switch {
		case tag.Value == "":
			continue
		case tag.Key == "":
			return nil, noKey
		case !utf8.ValidString(tag.Value):
			return nil, notUTF8
		}
		labels = append(labels, Label{Key: labelName(p.Kind, tag.Key), Value: tag.Value})
	}
	slices.SortFunc(labels, byName)
	for i := 1; i < len(labels); i++ {
		if labels[i-1].Key == labels[i].Key {
			return nil, twoValues
		}
	}
	return labels, ""
}

func byName(a, b Label) int { return cmp.Compare(a.Key, b.Key) }

func labelName(kind metricsbuffer.Kind, key string) string {
	name := mapped(key)
	for strings.HasPrefix(name, "__") {
		name = name[1:]
	}
	if name == "le" && typeOf(kind) == Histogram {
		return "exported_le"
	}
	return name
}

// Key returns the identity of a series in Prometheus. It removes labels without a value, which Prometheus ignores, and
// sorts the other ones, both in place.
func Key(name string, labels []Label) string {
	labels = slices.DeleteFunc(labels, func(l Label) bool { return l.Value == "" })
	slices.SortFunc(labels, byName)
	return string(cumulative.AppendKey(nil, &metricsbuffer.Point{Name: name, Tags: labels}))
}
