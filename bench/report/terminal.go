package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// Terminal writes everything as tables.
func Terminal(w io.Writer, r *result.Run) error {
	var text bytes.Buffer
	fmt.Fprintln(&text, About(r))
	names := labels(r)
	for _, wl := range r.Workloads {
		cpus := r.CPUs(wl.Name)
		if len(cpus) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n%s\n  %s\n", strings.ToUpper(wl.Title), wl.What)
		var table bytes.Buffer
		fmt.Fprintf(&table, "  %s", unit(wl.Main))
		for _, cpu := range cpus {
			fmt.Fprintf(&table, "\t%s\t\t", goroutines(cpu))
		}
		for _, m := range r.Ranking(wl, r.Reference(wl.Name)) {
			fmt.Fprintf(&table, "\n  %s", names[m.Contender])
			for _, cpu := range cpus {
				if m := r.Find(wl.Name, m.Contender, cpu, wl.Main); m != nil {
					fmt.Fprintf(&table, "\t%s\t%s\t%s", figure(m.Median), spread(m), ratio(m))
				} else {
					table.WriteString("\t\t\t")
				}
			}
		}
		align(&text, &table)
	}
	terminalAudit(&text, r)
	terminalOmissions(&text, r)
	_, err := w.Write(text.Bytes())
	return err
}

// align appends a table, whose cells are separated by tabs, in columns.
func align(text, table *bytes.Buffer) {
	columns := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	_, _ = columns.Write(append(table.Bytes(), '\n')) // to memory
	_ = columns.Flush()
}

func terminalAudit(text *bytes.Buffer, r *result.Run) {
	if len(r.Audit) == 0 {
		return
	}
	text.WriteString("\nWHO LOSES COUNTS\n  Updates that had returned, against updates that were reported, per series.\n")
	names := labels(r)
	var table bytes.Buffer
	for i, f := range r.Audit {
		if i > 0 {
			table.WriteByte('\n')
		}
		fmt.Fprintf(&table, "  %s\t%s\t%s", names[f.Contender], f.Scenario, verdict(f))
		if f.Skipped == "" {
			fmt.Fprintf(&table, "\tof %s", thousands(f.Recorded))
		}
	}
	align(text, &table)
}

func terminalOmissions(text *bytes.Buffer, r *result.Run) {
	if len(r.Omissions) == 0 {
		return
	}
	var table bytes.Buffer
	table.WriteString("\nNOT MEASURED")
	for _, o := range r.Omissions {
		fmt.Fprintf(&table, "\n  %s\t%s\t%s", o.Contender, o.Workload, o.Reason)
	}
	align(text, &table)
}

// About says on what, when and how the run was made.
func About(r *result.Run) string {
	m := r.Machine
	about := fmt.Sprintf("%s, %d cores, %s/%s, kernel %s, %s; medians of %d rounds, quartiles; %s; %s",
		m.CPU, m.Cores, m.OS, m.Arch, m.Kernel, m.Go, r.Rounds, r.Started, r.Command)
	if r.Quick {
		about += " (too short to be quoted)"
	}
	return about
}

// Compare writes how the medians changed since an earlier run, with the ratios to this library then and now. Changes
// that are within the quartiles of either run are not listed.
func Compare(w io.Writer, before, after *result.Run) error {
	var text, table bytes.Buffer
	fmt.Fprintf(&text, "\nSINCE %s\n", before.Started)
	if before.Machine != after.Machine {
		fmt.Fprintf(&text, "  The machines differ, compare ratios only. Then: %+v. Now: %+v.\n",
			before.Machine, after.Machine)
	}
	for i := range after.Measurements {
		m := &after.Measurements[i]
		old := before.Find(m.Workload, m.Contender, m.CPU, m.Metric)
		if old == nil || old.Median == 0 || m.Low <= old.High && old.Low <= m.High {
			continue
		}
		change := (m.Median/old.Median - 1) * 100
		if math.Abs(change) < 1 {
			continue
		}
		fmt.Fprintf(&table, "  %s\t%s\t%s\t%s → %s %s\t%+.0f%%\t%s → %s\n", m.Workload, m.Contender, goroutines(m.CPU),
			figure(old.Median), figure(m.Median), unit(m.Metric), change, ratio(old), ratio(m))
	}
	if table.Len() == 0 {
		table.WriteString("  Nothing changed by more than its spread.")
	}
	align(&text, &table)
	_, err := w.Write(text.Bytes())
	return err
}
