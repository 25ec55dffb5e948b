// Package prom gives series their names and labels in Prometheus. It is for sinks that Prometheus scrapes.
//
//	point ──▶ Space.Find ──▶ Identity: family, labels ──▶ Space.Claim
//	                   └───▶ a reason to drop the series
package prom

import (
	"fmt"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Type is the type of a metric in Prometheus.
type Type uint8

// The types that matter for the names of samples.
const (
	Other Type = iota
	Counter
	Gauge
	Histogram
	Summary
)

// typeOf returns the type of a kind's metrics, or Other for a kind that is not known.
func typeOf(kind metricsbuffer.Kind) Type {
	switch kind {
	case metricsbuffer.KindCounter:
		return Counter
	case metricsbuffer.KindGauge:
		return Gauge
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		return Histogram
	}
	return Other
}

// metricName returns the name of the point's metric, and the unit at its end.
func metricName(p *metricsbuffer.Point) (name, unit string) {
	name = mapped(p.Name)
	switch {
	case p.Kind == metricsbuffer.KindCounter && name == "_total":
		return "__total", "" // OpenMetrics calls a counter by the name without the suffix, which must not be empty
	case p.Kind == metricsbuffer.KindCounter:
		return withSuffix(name, "total"), ""
	case p.Kind == metricsbuffer.KindTimer:
		unit = Seconds
	case p.Kind == metricsbuffer.KindHistogram && p.Unit != "":
		unit = mapped(p.Unit)
	default:
		return name, ""
	}
	return withSuffix(name, unit), unit
}

// Seconds is the unit of timers.
const Seconds = "seconds"

// SampleNames returns the metric's name, and then those that it, or its samples, have in one of the formats.
func SampleNames(name string, t Type) []string {
	switch t {
	case Counter:
		base := strings.TrimSuffix(name, "_total") // the metric's name in OpenMetrics
		names := []string{name, base + "_total", base, base + "_created"}
		if name == names[1] {
			return names[1:]
		}
		return names
	case Histogram:
		return []string{name, name + "_bucket", name + "_count", name + "_sum", name + "_created"}
	case Summary:
		return []string{name, name + "_count", name + "_sum", name + "_created"}
	}
	return []string{name}
}

// help is the text that Prometheus shows for the metric: its description, or else the name before it was mapped. It is
// valid UTF-8.
func help(p *metricsbuffer.Point) string {
	if p.Help != "" {
		return p.Help
	}
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
