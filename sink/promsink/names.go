package promsink

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer"
)

// typeOf returns the type of a kind's metrics in Prometheus.
func typeOf(kind metricsbuffer.Kind) (t dto.MetricType, ok bool) {
	switch kind {
	case metricsbuffer.KindCounter:
		return dto.MetricType_COUNTER, true
	case metricsbuffer.KindGauge:
		return dto.MetricType_GAUGE, true
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		return dto.MetricType_HISTOGRAM, true
	}
	return dto.MetricType_UNTYPED, false
}

// metricName returns the name of the point's metric.
func metricName(p *metricsbuffer.Point) string {
	name := mapped(p.Name)
	switch {
	case p.Kind == metricsbuffer.KindCounter && name == "_total":
		return "__total" // OpenMetrics calls a counter by the name without the suffix, which must not be empty
	case p.Kind == metricsbuffer.KindCounter:
		return withSuffix(name, "total")
	case p.Kind == metricsbuffer.KindTimer:
		return withSuffix(name, "seconds")
	case p.Kind == metricsbuffer.KindHistogram && p.Unit != "":
		return withSuffix(name, mapped(p.Unit))
	}
	return name
}

// sampleNames returns the metric's name, and then those that it, or its samples, have in one of the formats.
func sampleNames(name string, t dto.MetricType) []string {
	switch t {
	case dto.MetricType_COUNTER:
		base := strings.TrimSuffix(name, "_total") // the metric's name in OpenMetrics
		names := []string{name, base + "_total", base, base + "_created"}
		if name == names[1] {
			return names[1:]
		}
		return names
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return []string{name, name + "_bucket", name + "_count", name + "_sum", name + "_created"}
	case dto.MetricType_SUMMARY:
		return []string{name, name + "_count", name + "_sum", name + "_created"}
	}
	return []string{name}
}

// help is the text that Prometheus shows for the metric: the name before it was mapped. It must be valid UTF-8.
func help(p *metricsbuffer.Point) string {
	s := fmt.Sprintf("The %v %q", p.Kind, p.Name)
	if p.Unit != "" {
		s += fmt.Sprintf(", in %q", p.Unit)
	}
	return s + "."
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

// labels returns the point's labels and the constant ones, in the order that Prometheus wants, or the reason why the
// point cannot have them.
func labels(p *metricsbuffer.Point, constant []*dto.LabelPair) (labels []*dto.LabelPair, refused string) {
	labels = slices.Clone(constant)
	for _, tag := range p.Tags {
		switch {
		case tag.Value == "":
			continue
		case tag.Key == "":
			return nil, noKey
		case !utf8.ValidString(tag.Value):
			return nil, notUTF8
		}
		name := labelName(p.Kind, tag.Key)
		labels = append(labels, &dto.LabelPair{Name: &name, Value: &tag.Value})
	}
	slices.SortFunc(labels, byName)
	for i := 1; i < len(labels); i++ {
		if labels[i-1].GetName() == labels[i].GetName() {
			return nil, twoValues
		}
	}
	return slices.Clip(labels), "" // a registry appends to them, once for each of its wrappers
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
