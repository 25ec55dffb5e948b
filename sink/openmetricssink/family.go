package openmetricssink

import (
	"slices"
	"strconv"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

// A family is a metric on the page, and its series.
type family struct {
	*prom.Family
	members []*series // in no order

	comments   [2]string // the lines before the samples: of the classic text, and of OpenMetrics
	help, unit string    // in comments

	// The names of samples: that of a counter or gauge, and those of a histogram.
	value, created     string
	bucket, count, sum string

	bounds   []prom.Bound
	boundsAs [2][]string // each bound as the end of the labels, `le="1"} `: of the classic text, and of OpenMetrics
}

// The text formats, as indexes.
const (
	classic = iota
	open
)

func newFamily(of *prom.Family) *family {
	name := of.Name()
	return &family{Family: of, value: name, created: baseOf(of) + "_created",
		bucket: name + "_bucket", count: name + "_count", sum: name + "_sum"}
}

// baseOf returns the name that OpenMetrics gives the family.
func baseOf(of *prom.Family) string {
	if of.Type == prom.Counter {
		return strings.TrimSuffix(of.Name(), "_total")
	}
	return of.Name()
}

// describe sets the comments, if the description is not the one that they have.
func (f *family) describe() {
	if f.help == f.Help && f.unit == f.Unit {
		return
	}
	f.help, f.unit = f.Help, f.Unit
	name, base, typeName := f.Name(), baseOf(f.Family), typeNames[f.Type]
	f.comments[classic] = "# HELP " + name + " " + helpEscapes.Replace(f.help) + "\n" +
		"# TYPE " + name + " " + typeName + "\n"
	f.comments[open] = "# HELP " + base + " " + labelEscapes.Replace(f.help) + "\n" +
		"# TYPE " + base + " " + typeName + "\n"
	if f.unit != "" {
		f.comments[open] += "# UNIT " + base + " " + f.unit + "\n"
	}
}

// setBounds sets the bounds of a histogram.
func (f *family) setBounds(bounds []prom.Bound) {
	f.bounds = bounds
	for _, b := range bounds {
		text := strconv.FormatFloat(b.LE, 'g', -1, 64) // as client_golang does: le tells series apart
		f.boundsAs[classic] = append(f.boundsAs[classic], `le="`+text+`"} `)
		if !strings.ContainsAny(text, ".e") {
			text += ".0" // OpenMetrics 1.0, "Considerations: Canonical Numbers"
		}
		f.boundsAs[open] = append(f.boundsAs[open], `le="`+text+`"} `)
	}
}

var (
	typeNames   = [...]string{prom.Counter: "counter", prom.Gauge: "gauge", prom.Histogram: "histogram"}
	helpEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// inOrder returns the families in the order of their names.
func (s *Sink) inOrder() []*family {
	if s.sorted == nil {
		s.sorted = make([]*family, 0, len(s.families))
		for _, f := range s.families {
			s.sorted = append(s.sorted, f)
		}
		slices.SortFunc(s.sorted, func(a, b *family) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return s.sorted
}
