package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/losses"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

//go:embed page.html
var pageText string

// The page is one file that opens without a network and runs no script. Its charts are lists of contenders, placed by
// CSS: text keeps its size on a telephone, and a screen reader reads a chart as a ranking with values.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"figure": figure, "unit": unit, "spread": spread, "ratio": ratio, "goroutines": goroutines, "id": id,
	"thousands": thousands, "add": func(a, b int) int { return a + b },
}).Parse(pageText))

type pageData struct {
	*result.Run
	About     string
	Sections  []section
	Summary   []summaryRow
	Audit     auditMatrix
	Losses    []losses.Loss
	Usage     []usageOf
	Omissions []omission
}

// A summaryRow has the ratios of a contender in every section's workload.
type summaryRow struct {
	Label string
	Ours  bool
	Cells []summaryCell
	Audit *auditCell // nil without an audit
}

type summaryCell struct {
	Ratio        string
	Best, Better bool // the best of all; better than this library's default mode
}

// A section is a workload, with a row for each contender, the best first.
type section struct {
	result.Workload
	Reference int // goroutines in the chart
	Ticks     []tick
	Rows      []row
	CPUs      []int
	More      []string // other metrics than the main one
}

// A tick is a value on the axis.
type tick struct {
	At    float64 // percent of the width
	Label string
}

type row struct {
	Label string
	Ours  bool
	Main  *result.Measurement
	Dot   float64 // the median and its quartiles, in percent of the width
	Low   float64
	Width float64
	Ring  float64               // the median with one goroutine; negative if there is none
	Value float64               // the left side of the text with the value
	ByCPU []*result.Measurement // nil where there is none
	More  []*result.Measurement
}

// Page returns index.html.
func Page(r *result.Run) ([]byte, error) {
	data := pageData{
		Run: r, About: About(r), Losses: losses.All, Audit: auditOf(r), Usage: usageOfAll(r), Omissions: omissionsOf(r),
	}
	for _, w := range r.Workloads {
		if s := sectionOf(r, w); len(s.Rows) > 0 {
			data.Sections = append(data.Sections, s)
		}
	}
	for _, c := range r.Contenders {
		line := summaryRow{Label: label(c), Ours: c.Ours}
		for _, s := range data.Sections {
			var cell summaryCell
			if m := r.Find(s.Name, c.Name, s.Reference, s.Main); m != nil {
				cell = summaryCell{strings.TrimSuffix(ratio(m), "×"), m.Median == s.Rows[0].Main.Median, m.Ratio > 0 && m.Ratio < 1}
			}
			line.Cells = append(line.Cells, cell)
		}
		for i, audited := range data.Audit.Rows {
			if audited.Label == line.Label {
				line.Audit = data.Audit.Rows[i].verdict()
			}
		}
		data.Summary = append(data.Summary, line)
	}
	var text bytes.Buffer
	err := page.Execute(&text, data)
	return text.Bytes(), err
}

func sectionOf(r *result.Run, w result.Workload) section {
	s := section{Workload: w, Reference: r.Reference(w.Name), CPUs: r.CPUs(w.Name)}
	for _, m := range r.Measurements {
		if m.Workload == w.Name && m.CPU == s.Reference && m.Metric != w.Main && !slices.Contains(s.More, m.Metric) {
			s.More = append(s.More, m.Metric)
		}
	}
	slices.Sort(s.More)
	ranking := r.Ranking(w, s.Reference)
	scale := scaleOf(r, ranking)
	s.Ticks = scale.ticks()
	for i := range ranking {
		m := &ranking[i]
		c := contenderOf(r, m.Contender)
		line := row{Label: label(c), Ours: c.Ours, Main: m, Ring: -1}
		line.Dot, line.Low = scale.at(m.Median), scale.at(m.Low)
		line.Width = math.Round((scale.at(m.High)-line.Low)*10) / 10
		line.Value = math.Round((line.Low+line.Width)*10) / 10
		if one := r.Find(w.Name, m.Contender, 1, w.Main); one != nil && s.Reference != 1 {
			line.Ring = scale.at(one.Median)
			line.Value = max(line.Value, line.Ring)
		}
		for _, cpu := range s.CPUs {
			line.ByCPU = append(line.ByCPU, r.Find(w.Name, m.Contender, cpu, w.Main))
		}
		for _, metric := range s.More {
			line.More = append(line.More, r.Find(w.Name, m.Contender, s.Reference, metric))
		}
		s.Rows = append(s.Rows, line)
	}
	return s
}

// axisWidth is the share of a chart's width that the axis takes, in percent. The rest is for the value of the last dot.
const axisWidth = 72

// A scale is a logarithmic axis from low to high.
type scale struct{ low, high float64 }

// scaleOf returns an axis on which all medians are, with one goroutine too, and their quartiles.
func scaleOf(r *result.Run, ranking []result.Measurement) scale {
	s := scale{math.Inf(1), 0}
	for _, m := range ranking {
		values := []float64{m.Low, m.Median, m.High}
		if one := r.Find(m.Workload, m.Contender, 1, m.Metric); one != nil {
			values = append(values, one.Median)
		}
		for _, v := range values {
			if v > 0 {
				s.low, s.high = min(s.low, v), max(s.high, v)
			}
		}
	}
	return scale{s.low / 1.25, s.high * 1.25}
}

// at returns the place of a value, in percent of the width. Zero and less are at the left end.
func (s scale) at(v float64) float64 {
	if v <= s.low || s.high <= s.low {
		return 0
	}
	return math.Round(10*axisWidth*math.Log(v/s.low)/math.Log(s.high/s.low)) / 10
}

// ticks returns powers of ten, and twice and five times those if they are few.
func (s scale) ticks() []tick {
	steps := []float64{1}
	if s.high/s.low < 150 {
		steps = []float64{1, 2, 5}
	}
	var ticks []tick
	for e := math.Floor(math.Log10(s.low)); s.high > s.low && math.Pow(10, e) < s.high; e++ {
		for _, step := range steps {
			if v := step * math.Pow(10, e); v > s.low && v < s.high {
				ticks = append(ticks, tick{s.at(v), short(v)})
			}
		}
	}
	return ticks
}

// id is the name of a workload as the end of a link.
func id(workload string) string {
	if workload == "export-1%" {
		return "export-1-percent"
	}
	return workload
}
