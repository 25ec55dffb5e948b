package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/losses"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// Markdown writes the comparison as a section of a README. The charts are shown if a path to them is given.
func Markdown(w io.Writer, r *result.Run, charts string) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "Measured on %s, %d cores, %s/%s, %s, with `%s` (%d rounds, %s): medians. In the first row what "+
		"this library takes; below, how many times that each other takes: **below 1, in bold, it is better than this "+
		"library**. Empty: it does not offer that.\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Arch, r.Machine.Go, r.Command, r.Rounds, r.Started[:10])
	if r.Quick {
		text.WriteString("\n**This was a -quick run: too short to be quoted.**\n")
	}
	matrix(&text, r)
	if charts != "" {
		for _, w := range r.Workloads {
			if len(r.Ranking(w, r.Reference(w.Name))) > 0 {
				fmt.Fprintf(&text, "\n![%s](%s/%s.svg)\n", w.Title, charts, chartName(w))
			}
		}
	}
	auditTable(&text, r)
	lossList(&text, r)
	growth(&text, r)
	_, err := w.Write(text.Bytes())
	return err
}

// tableRow writes a row of a Markdown table.
func tableRow(text *bytes.Buffer, cells ...string) {
	fmt.Fprintf(text, "| %s |\n", strings.Join(cells, " | "))
}

// matrix writes a table with a row for each contender and a column for each workload.
func matrix(text *bytes.Buffer, r *result.Run) {
	head, rule := []string{""}, []string{"---"}
	var columns []result.Workload
	for _, w := range r.Workloads {
		if len(r.Ranking(w, r.Reference(w.Name))) > 0 {
			columns = append(columns, w)
			head = append(head, fmt.Sprintf("%s, %s", w.Title, goroutines(r.Reference(w.Name))))
			rule = append(rule, "--:")
		}
	}
	text.WriteByte('\n')
	tableRow(text, head...)
	tableRow(text, rule...)
	for i, c := range r.Contenders {
		row := []string{label(c)}
		for _, w := range columns {
			m := r.Find(w.Name, c.Name, r.Reference(w.Name), w.Main)
			switch {
			case m == nil:
				row = append(row, "")
			case i == 0:
				row = append(row, figure(m.Median)+" "+unit(m.Metric))
			case m.Ratio > 0 && m.Ratio < 1:
				row = append(row, "**"+figure(m.Ratio)+"**")
			case m.Ratio == 0: // this library does not offer it
				row = append(row, figure(m.Median)+" "+unit(m.Metric))
			default:
				row = append(row, figure(m.Ratio))
			}
		}
		tableRow(text, row...)
	}
}

func auditTable(text *bytes.Buffer, r *result.Run) {
	if len(r.Audit) == 0 {
		return
	}
	text.WriteString("\n### Who loses counts\n\nEight goroutines increment 64 counters while the library reports. " +
		"Updates that had returned are compared with updates that were reported, series by series.\n\n")
	var scenarios []string
	outcomes := make(map[string]string)
	for _, f := range r.Audit {
		if !slices.Contains(scenarios, f.Scenario) {
			scenarios = append(scenarios, f.Scenario)
		}
		outcomes[f.Contender+"\x00"+f.Scenario] = verdict(f)
	}
	tableRow(text, append([]string{""}, scenarios...)...)
	tableRow(text, strings.Split(strings.Repeat("--- ", len(scenarios)+1), " ")[:len(scenarios)+1]...)
	for _, c := range r.Contenders {
		row := []string{label(c)}
		for _, s := range scenarios {
			row = append(row, outcomes[c.Name+"\x00"+s])
		}
		if strings.Join(row[1:], "") != "" {
			tableRow(text, row...)
		}
	}
}

func lossList(text *bytes.Buffer, r *result.Run) {
	text.WriteString("\nBy a small test each, in bench/losses:\n\n")
	for _, l := range losses.All {
		documented := ""
		if l.Documented {
			documented = " (documented)"
		}
		fmt.Fprintf(text, "* %s %s: %s%s\n", l.Module, r.Modules[l.Module], strings.TrimSuffix(l.What, "."), documented+".")
	}
}
