// Package result is what a run of the suite found, as it is kept in results.json.
package result

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
)

// A Run is the outcome of one run of the suite.
type Run struct {
	Machine      Machine
	Command      string // as it can be run again
	Started      string
	Took         string
	Rounds       int
	Quick        bool              // too short to be quoted
	Modules      map[string]string // version, by module path
	Workloads    []Workload
	Contenders   []Contender
	Measurements []Measurement
	Omissions    []Omission
	Audit        []Finding
}

// A Machine is what the run ran on.
type Machine struct {
	OS, Arch, CPU, Kernel, Go string
	Cores                     int
	Fence                     string // how this library's flush fences here
}

// A Workload is what workload.Workload says of itself.
type Workload struct{ Name, Title, What, Main string }

// A Contender is what contender.Contender says of itself.
type Contender struct {
	Name, Module, Version, How string
	Ours                       bool
}

// A Measurement is one metric of one contender doing one workload.
type Measurement struct {
	Workload, Contender string
	CPU                 int
	Metric              string
	Samples             []float64 // one for each round, in order
	Median              float64
	Low, High           float64 // quartiles
	Ratio               float64 // to this library's default mode, in the same run; 0 if there is none
}

// An Omission is a contender that was not measured.
type Omission struct{ Workload, Contender, Reason string }

// A Finding is what the audit found out about a contender in one scenario.
type Finding struct {
	Contender, Scenario string
	Skipped             string // why there is nothing below
	Series              int
	Recorded            int64 // updates that had returned when the contender was closed, or stopped writing
	Reported            int64 // that arrived
	Lost, Doubled       int64 // summed over the series, so that they do not cancel out
	Impossible          int64 // reports of less than nothing, which an unsigned number carries as nearly 2^64
	Note                string
}

// Exact says that every update was reported, once.
func (f Finding) Exact() bool {
	return f.Skipped == "" && f.Lost == 0 && f.Doubled == 0 && f.Impossible == 0
}

// Summarize sets the median, the quartiles and the ratio of every measurement.
func (r *Run) Summarize(reference string) {
	for i := range r.Measurements {
		m := &r.Measurements[i]
		sorted := slices.Sorted(slices.Values(m.Samples))
		m.Low, m.Median, m.High = quantile(sorted, .25), quantile(sorted, .5), quantile(sorted, .75)
	}
	for i := range r.Measurements {
		m := &r.Measurements[i]
		if ours := r.Find(m.Workload, reference, m.CPU, m.Metric); ours != nil && ours.Median > 0 {
			m.Ratio = m.Median / ours.Median
		}
	}
}

// quantile interpolates between the two nearest of the sorted samples.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Find returns a measurement, or nil.
func (r *Run) Find(workload, contender string, cpu int, metric string) *Measurement {
	for i := range r.Measurements {
		if m := &r.Measurements[i]; m.Workload == workload && m.Contender == contender && m.CPU == cpu && m.Metric == metric {
			return m
		}
	}
	return nil
}

// CPUs returns at how many goroutines a workload was measured, in ascending order.
func (r *Run) CPUs(workload string) []int {
	var cpus []int
	for _, m := range r.Measurements {
		if m.Workload == workload && !slices.Contains(cpus, m.CPU) {
			cpus = append(cpus, m.CPU)
		}
	}
	slices.Sort(cpus)
	return cpus
}

// Reference is the CPU setting by which contenders are ranked: as many as there are cores, or the nearest below.
func (r *Run) Reference(workload string) int {
	reference := 0
	for i, cpu := range r.CPUs(workload) {
		if i == 0 || cpu <= r.Machine.Cores {
			reference = cpu
		}
	}
	return reference
}

// Ranking returns the main metric of a workload's contenders with that many CPUs, the best first.
func (r *Run) Ranking(w Workload, cpu int) []Measurement {
	var ranking []Measurement
	for _, m := range r.Measurements {
		if m.Workload == w.Name && m.CPU == cpu && m.Metric == w.Main {
			ranking = append(ranking, m)
		}
	}
	slices.SortStableFunc(ranking, func(a, b Measurement) int {
		switch {
		case a.Median < b.Median:
			return -1
		case a.Median > b.Median:
			return 1
		}
		return 0
	})
	return ranking
}

// Save writes the run to a file.
func (r *Run) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Load reads a run from a file.
func Load(path string) (*Run, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	run := new(Run)
	if err := json.Unmarshal(text, run); err != nil {
		return nil, fmt.Errorf("%s is not the results.json of a run: %w", path, err)
	}
	return run, nil
}
