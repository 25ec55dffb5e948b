// Package result is the outcome of a run of the suite, as it is kept in results.json.
package result

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// A Run is the outcome of one run of the suite.
type Run struct {
	Machine      Machine
	Command      string // that repeats it
	Started      string
	Took         string
	Rounds       int
	Quick        bool              // too short to be quoted
	Modules      map[string]string // version, by module path
	Workloads    []Workload
	Contenders   []Contender   // this library's default mode first
	Measurements []Measurement `json:"-"` // see file.go
	Omissions    []Omission
	Audit        []Finding
}

// A Machine is where a run was made.
type Machine struct {
	OS, Arch, CPU, Kernel, Go string
	Cores                     int
	Fence                     string // the way in which this library's flush fences there
}

// A Workload has the fields of the same names of workload.Workload.
type Workload struct{ Name, Title, Description, Main string }

// A Contender has the fields of the same names of contender.Contender, and the version of its module.
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

	// These follow from samples: see Summarize.
	Median    float64
	Low, High float64 // quartiles
	Ratio     float64 // to this library's default mode, in the same run; 0 if there is none
}

// An Omission is a contender that was not measured. Without a workload, it was measured in none.
type Omission struct{ Workload, Contender, Reason string }

// A Finding is the outcome of the audit of a contender in one scenario.
type Finding struct {
	Contender, Scenario string
	Skipped             string // the reason why there is nothing below
	Series              int
	Recorded            int64 // updates that had returned when the contender was closed, or stopped writing
	Reported            int64 // updates that arrived
	Lost, Doubled       int64 // sums over the series, so that they do not cancel out
	Impossible          int64 // reports of less than nothing, which an unsigned number carries as nearly 2^64
	Note                string
}

// Exact says that every update was reported, once.
func (f Finding) Exact() bool {
	return f.Skipped == "" && f.Lost == 0 && f.Doubled == 0 && f.Impossible == 0
}

// Wrong says that updates were lost, doubled or misreported.
func (f Finding) Wrong() bool { return f.Skipped == "" && !f.Exact() }

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

// Rounded returns a sample with five significant digits: more are noise, and make results.json larger.
func Rounded(v float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	if err != nil {
		return v
	}
	return rounded
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

// CPUs returns the numbers of goroutines with which a workload was measured, in ascending order.
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

// Reference is the number of goroutines by which contenders are ranked: as many as there are cores, or the nearest
// below.
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
	slices.SortStableFunc(ranking, func(a, b Measurement) int { return cmp.Compare(a.Median, b.Median) })
	return ranking
}
