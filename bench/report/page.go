package report

import (
	_ "embed"
	"html/template"
	"os"
	"path/filepath"

	"github.com/metricsbuffer/metricsbuffer/bench/losses"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

//go:embed page.html
var pageText string

// The page is one file, with the charts in it, and opens without a network.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"figure": figure, "unit": unit, "spread": spread, "ratio": ratio, "goroutines": goroutines, "verdict": verdict,
	"thousands": thousands,
}).Parse(pageText))

type pageData struct {
	*result.Run
	About    string
	Labels   map[string]string
	Sections []section
	Losses   []losses.Loss
}

// A section is a workload: a chart, and a row for each contender.
type section struct {
	result.Workload
	Chart template.HTML
	CPUs  []int
	Rows  []row
}

type row struct {
	Label string
	Ours  bool
	Cells []*result.Measurement // by CPU, the main metric; nil where there is none
	More  []*result.Measurement // all other metrics, as many goroutines as there are cores
}

// writePage writes index.html into a directory that has the charts.
func writePage(directory string, r *result.Run) error {
	data := pageData{Run: r, About: About(r), Labels: labels(r), Losses: losses.All}
	ours := make(map[string]bool)
	for _, c := range r.Contenders {
		ours[c.Name] = c.Ours
	}
	for _, w := range r.Workloads {
		s := section{Workload: w, CPUs: r.CPUs(w.Name)}
		reference := r.Reference(w.Name)
		if svg, err := os.ReadFile(filepath.Join(directory, chartName(w)+".svg")); err == nil {
			s.Chart = template.HTML(withoutProlog(svg)) // made by this package
		}
		for _, m := range r.Ranking(w, reference) {
			line := row{Label: data.Labels[m.Contender], Ours: ours[m.Contender]}
			for _, cpu := range s.CPUs {
				line.Cells = append(line.Cells, r.Find(w.Name, m.Contender, cpu, w.Main))
			}
			for i := range r.Measurements {
				other := &r.Measurements[i]
				if other.Workload == w.Name && other.Contender == m.Contender && other.CPU == reference && other.Metric != w.Main {
					line.More = append(line.More, other)
				}
			}
			s.Rows = append(s.Rows, line)
		}
		if len(s.Rows) > 0 {
			data.Sections = append(data.Sections, s)
		}
	}
	f, err := os.Create(filepath.Join(directory, "index.html"))
	if err != nil {
		return err
	}
	if err := page.Execute(f, data); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// withoutProlog removes the XML declaration, which has no place inside HTML.
func withoutProlog(svg []byte) string {
	for i := range svg {
		if i+4 < len(svg) && string(svg[i:i+4]) == "<svg" {
			return string(svg[i:])
		}
	}
	return ""
}
