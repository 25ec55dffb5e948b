package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"math"
	"slices"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

//go:embed chart.svg
var chartText string

// html/template escapes names for SVG as it does for HTML.
var chartTemplate = template.Must(template.New("chart").Funcs(template.FuncMap{"figure": figure}).Parse(chartText))

// highlights are the workloads that the README and the chart show, under short names.
var highlights = []column{
	{"hot", "one hot counter"}, {"handles", "1,000 counters by handle"}, {"named", "1,000 counters by name"},
	{"tagged", "by name, with two tags"}, {"timer", "a timer"}, {"stopwatch", "timing a call"}, {"request", "a request"},
	{"memory", "memory of a counter"}, {"memory-timer", "memory of a timer"}, {"export-all", "a report"},
	{"page-all", "a page for Prometheus"},
}

// The client that most Go programs use has a mark of its own.
const wellKnown = "prometheus"

type chartData struct {
	Title, About string
	Rows         []chartRow
	Ticks        []tick
	One          float64 // where the ratio is 1
	Left, Right  float64
	Height, Plot float64
	Known        string
}

type chartRow struct {
	Y      float64
	Name   string
	Best   string // the best of the others, and its ratio
	Better bool   // than this library
	Dots   []dot
}

type dot struct {
	X     float64
	Known bool
	Title string
}

// Chart returns summary.svg: for each workload the ratio of every other contender to this library.
func Chart(r *result.Run) ([]byte, error) {
	const left, right, top, step = 190, 505, 62, 26
	data := chartData{Title: "Cost of other ways to count, divided by that of metricsbuffer", About: measuredOn(r),
		Left: left, Right: right, Known: wellKnown}
	scale := scale{.03, 300}
	x := func(ratio float64) float64 {
		ratio = max(scale.low*1.02, min(scale.high/1.02, ratio))
		return math.Round((left+(right-left)*scale.at(ratio)/axisWidth)*10) / 10
	}
	for _, t := range []float64{.1, 1, 10, 100} {
		data.Ticks = append(data.Ticks, tick{x(t), short(t) + "×"})
	}
	data.One = x(1)
	for _, c := range offered(r, highlights) {
		row := chartRow{Y: float64(top + step*len(data.Rows)), Name: c.head}
		for _, m := range others(r, c.workload) {
			known := m.Contender == wellKnown
			row.Dots = append(row.Dots, dot{x(m.Ratio), known, m.Contender + " " + ratio(&m)})
			if row.Best == "" {
				row.Best, row.Better = m.Contender+" "+ratio(&m), m.Ratio < 1
			}
		}
		// The mark of the well-known one is drawn last, above the others.
		slices.SortStableFunc(row.Dots, func(a, b dot) int {
			if a.Known == b.Known {
				return 0
			} else if a.Known {
				return 1
			}
			return -1
		})
		data.Rows = append(data.Rows, row)
	}
	data.Plot = float64(top + step*len(data.Rows) - step/2)
	data.Height = data.Plot + 24
	var text bytes.Buffer
	err := chartTemplate.Execute(&text, data)
	return text.Bytes(), err
}

// others ranks the contenders that are no mode of this library, the best first. Those without a ratio are left out.
func others(r *result.Run, workload string) []result.Measurement {
	ranking := r.Ranking(workloadOf(r, workload), r.Reference(workload))
	return slices.DeleteFunc(ranking, func(m result.Measurement) bool {
		return contenderOf(r, m.Contender).Ours || m.Ratio == 0
	})
}
