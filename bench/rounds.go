package main

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
	"github.com/metricsbuffer/metricsbuffer/bench/workload"
)

// measure runs the plan.
func measure(p plan) (*result.Run, error) {
	begin := time.Now()
	r := &result.Run{
		Machine: machine(), Started: begin.UTC().Format(time.RFC3339), Rounds: p.rounds, Quick: p.quick, Modules: modules(),
	}
	for _, w := range p.workloads {
		r.Workloads = append(r.Workloads, result.Workload{
			Name: w.Name, Title: w.Title, Description: w.Description, Main: w.Main,
		})
	}
	children := startChildren(p.contenders)
	defer children.stop()
	for _, c := range p.contenders {
		if reason := children.missing[c.BuildBy]; reason != "" {
			r.Omissions = append(r.Omissions, result.Omission{Contender: c.Name, Reason: reason})
		}
		r.Contenders = append(r.Contenders, result.Contender{
			Name: c.Name, Module: c.Module, Version: r.Modules[c.Module], How: c.How, Ours: c.Ours,
		})
	}
	p.contenders = slices.DeleteFunc(p.contenders, func(c contender.Contender) bool {
		return children.missing[c.BuildBy] != ""
	})

	steps := len(p.workloads) * p.rounds * len(p.contenders)
	if p.audit {
		steps += len(p.contenders)
	}
	bar := newProgress(os.Stderr, steps)
	defer bar.finish()
	for _, w := range p.workloads {
		if err := p.measureWorkload(r, w, children, bar); err != nil {
			return nil, err
		}
	}
	if p.audit {
		for _, c := range p.contenders {
			bar.step("audit: " + c.Name)
			answer := children.ask(request{Audit: true, Contender: c.Name, Duration: p.auditFor})
			if answer.Error != "" {
				return nil, errors.New(answer.Error)
			}
			r.Audit = append(r.Audit, answer.Findings...)
		}
	}
	r.Summarize(p.contenders[0].Name)
	r.Took = time.Since(begin).Round(time.Second).String()
	return r, nil
}

// measureWorkload adds the measurements of a workload: in every round, of every contender, with every number of CPUs.
func (p plan) measureWorkload(r *result.Run, w workload.Workload, children *children, bar *progress) error {
	type key struct {
		contender string
		cpu       int
		metric    string
	}
	samples := make(map[key][]float64)
	var order []key
	omitted := make(map[string]bool)
	for range p.rounds {
		for _, c := range p.contenders {
			bar.step(w.Title + ": " + c.Name)
			for _, cpu := range p.cpusOf(w) {
				if omitted[c.Name] {
					continue
				}
				answer := children.ask(request{Workload: w.Name, Contender: c.Name,
					Setting: workload.Setting{CPU: cpu, Duration: p.duration, Series: p.series, ManyPs: 64}})
				switch {
				case answer.NotOffered:
					omitted[c.Name] = true
					r.Omissions = append(r.Omissions, result.Omission{Workload: w.Name, Contender: c.Name, Reason: w.Reason(c)})
				case answer.Error != "":
					return errors.New(answer.Error)
				}
				for metric, v := range answer.Values {
					k := key{c.Name, cpu, metric}
					if samples[k] == nil {
						order = append(order, k)
					}
					samples[k] = append(samples[k], result.Rounded(v))
				}
			}
		}
	}
	for _, k := range order {
		r.Measurements = append(r.Measurements, result.Measurement{
			Workload: w.Name, Contender: k.contender, CPU: k.cpu, Metric: k.metric, Samples: samples[k],
		})
	}
	return nil
}

// cpusOf returns the numbers of CPUs with which a workload is measured.
func (p plan) cpusOf(w workload.Workload) []int {
	if !w.Once {
		return p.cpus
	}
	// As many as there are cores, or as -cpu allows.
	last := p.cpus[0]
	for _, cpu := range p.cpus {
		if cpu <= cores() {
			last = max(last, cpu)
		}
	}
	return []int{last}
}
