package report

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// Files writes results.json, benchstat.txt, the page and the chart into a directory, which exists.
func Files(directory string, r *result.Run) error {
	if err := r.Save(filepath.Join(directory, "results.json")); err != nil {
		return err
	}
	text, err := benchstat(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "benchstat.txt"), text, 0o644); err != nil {
		return err
	}
	return pageAndChart(directory, r)
}

// pageAndChart writes the files that people look at.
func pageAndChart(directory string, r *result.Run) error {
	page, err := Page(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "index.html"), page, 0o644); err != nil {
		return err
	}
	chart, err := Chart(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, "summary.svg"), chart, 0o644)
}

// benchstat returns the samples in the format of Go's benchmarks, with a line for each round. The program benchstat can
// then compare two runs, or contenders within one: benchstat -col /contender benchstat.txt.
func benchstat(r *result.Run) ([]byte, error) {
	type line struct {
		workload, contender string
		cpu, round          int
	}
	lines := make(map[line]*benchfmt.Result)
	var order []line
	for _, m := range r.Measurements {
		for round, v := range m.Samples {
			l := line{m.Workload, m.Contender, m.CPU, round}
			if lines[l] == nil {
				order = append(order, l)
				lines[l] = &benchfmt.Result{Iters: 1, Config: []benchfmt.Config{
					{Key: "goos", Value: []byte(r.Machine.OS), File: true},
					{Key: "goarch", Value: []byte(r.Machine.Arch), File: true},
					{Key: "cpu", Value: []byte(r.Machine.CPU), File: true},
				}}
			}
			lines[l].Values = append(lines[l].Values, benchfmt.Value{Value: v, Unit: m.Metric})
		}
	}
	var text bytes.Buffer
	w := benchfmt.NewWriter(&text)
	for _, l := range order {
		contender := strings.NewReplacer(" ", "_", ",", "", "/", "_").Replace(l.contender)
		name := "/workload=" + l.workload + "/contender=" + contender
		lines[l].Name = benchfmt.Name(name + "-" + strconv.Itoa(l.cpu))
		slices.SortFunc(lines[l].Values, func(a, b benchfmt.Value) int { return cmp.Compare(a.Unit, b.Unit) })
		if err := w.Write(lines[l]); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}
