package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// Files writes results.json, benchstat.txt, the page and the charts into a directory, which exists.
func Files(directory string, r *result.Run) error {
	if err := r.Save(filepath.Join(directory, "results.json")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "benchstat.txt"), benchstat(r), 0o644); err != nil {
		return err
	}
	if err := charts(directory, r); err != nil {
		return err
	}
	return writePage(directory, r)
}

// benchstat returns the samples in the format of Go's benchmarks, one line for each round, so that benchstat can
// compare two runs, or contenders within one: benchstat -col /contender benchstat.txt.
func benchstat(r *result.Run) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "goos: %s\ngoarch: %s\npkg: github.com/metricsbuffer/metricsbuffer/bench\ncpu: %s\n",
		r.Machine.OS, r.Machine.Arch, r.Machine.CPU)
	type line struct {
		workload, contender string
		cpu, round          int
	}
	lines := make(map[line]string)
	var order []line
	for _, m := range r.Measurements {
		for round, v := range m.Samples {
			l := line{m.Workload, m.Contender, m.CPU, round}
			if _, ok := lines[l]; !ok {
				order = append(order, l)
			}
			lines[l] += fmt.Sprintf(" %.6g %s", v, m.Metric)
		}
	}
	for _, l := range order {
		name := strings.NewReplacer(" ", "_", ",", "", "/", "_").Replace(l.contender)
		fmt.Fprintf(&text, "Benchmark/workload=%s/contender=%s-%d 1%s\n", l.workload, name, l.cpu, lines[l])
	}
	return text.Bytes()
}
