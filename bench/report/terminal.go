package report

import (
	"bytes"
	"fmt"
	"io"
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
		fmt.Fprintf(&text, "\n%s\n  %s\n", strings.ToUpper(wl.Title), wl.Description)
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

// About describes the run in one line: the machine, the day and the command.
func About(r *result.Run) string {
	m := r.Machine
	about := fmt.Sprintf("%s, %d cores, %s/%s, kernel %s, %s; %d rounds on %s; %s",
		m.CPU, m.Cores, m.OS, m.Arch, m.Kernel, m.Go, r.Rounds, r.Started[:10], r.Command)
	if r.Quick {
		about += " (too short to be quoted)"
	}
	return about
}
