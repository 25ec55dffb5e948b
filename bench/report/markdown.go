package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/losses"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// themes are the tables of all figures. One table of all workloads would be too wide.
var themes = []theme{
	{"Counters", []string{"hot", "handles", "named", "tagged", "vector"}},
	{"Timers, requests, new series", []string{"timer", "stopwatch", "group", "request", "churn"}},
	{"Memory", []string{"memory", "memory-timer", "memory-64p"}},
	{"Reports", []string{"export-all", "export-1%", "page-all", "page-idle", "flush", "flush-64p"}},
	{"Latencies", []string{"latency", "latency-flush"}},
}

type theme struct {
	title     string
	workloads []string
}

// Markdown returns RESULTS.md. The page and the chart lie in the directory results.
func Markdown(r *result.Run, results string) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Results\n\n%s. A figure is the median, with its ratio to this library (the row "+
		"metricsbuffer) in the same run. Lower is better; **a ratio below 1, in bold, is better than this library**. A cell "+
		"is empty if the library does not offer that. [%s/index.html](%[2]s/index.html) shows the same as charts, with "+
		"quartiles and all numbers of "+
		"goroutines: open it from a clone.\n\n![%s](%[2]s/summary.svg)\n", measuredOn(r), results, alternative(r))
	costsText(&text, r)
	for _, theme := range themes {
		var columns []column
		for _, w := range r.Workloads {
			if slices.Contains(theme.workloads, w.Name) {
				columns = append(columns, column{w.Name, fmt.Sprintf("%s, %s", w.Title, unit(w.Main))})
			}
		}
		columns = offered(r, columns)
		if len(columns) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n## %s\n\n", theme.title)
		matrix(&text, r, columns)
		text.WriteByte('\n')
		for _, c := range columns {
			w := workloadOf(r, c.workload)
			fmt.Fprintf(&text, "* %s: %s\n", w.Title, w.Description)
		}
	}
	quotientTable(&text, r)
	auditTable(&text, r)
	lossList(&text, r)
	growth(&text, r)
	usage(&text, r)
	return text.Bytes()
}

// measuredOn says on which machine the run was made, how and when.
func measuredOn(r *result.Run) string {
	on := fmt.Sprintf("Measured on %s, %d cores, %s/%s, %s, with `%s` (%d rounds, %s)", r.Machine.CPU, r.Machine.Cores,
		r.Machine.OS, r.Machine.Arch, r.Machine.Go, r.Command, r.Rounds, r.Started[:10])
	if r.Quick {
		on += ", **too short to be quoted**"
	}
	return on
}

func workloadOf(r *result.Run, name string) result.Workload {
	i := slices.IndexFunc(r.Workloads, func(w result.Workload) bool { return w.Name == name })
	if i < 0 {
		return result.Workload{Name: name}
	}
	return r.Workloads[i]
}

// A column of a table is a workload, under a short name.
type column struct{ workload, head string }

// offered returns the columns that the run has figures for.
func offered(r *result.Run, columns []column) []column {
	return slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return len(r.Ranking(workloadOf(r, c.workload), r.Reference(c.workload))) == 0
	})
}

// tableRow writes a row of a Markdown table.
func tableRow(text *bytes.Buffer, cells ...string) {
	fmt.Fprintf(text, "| %s |\n", strings.Join(cells, " | "))
}

// matrix writes a table with a row for each contender and a column for each workload. A figure that is better than this
// library's is bold. A contender without any figure has no row.
func matrix(text *bytes.Buffer, r *result.Run, columns []column) {
	head := []string{""}
	for _, c := range columns {
		head = append(head, c.head)
	}
	tableRow(text, head...)
	tableRow(text, "---"+strings.Repeat(" | --:", len(columns)))
	for _, contender := range r.Contenders {
		row := []string{label(contender)}
		for _, c := range columns {
			m := r.Find(c.workload, contender.Name, r.Reference(c.workload), workloadOf(r, c.workload).Main)
			switch {
			case m == nil:
				row = append(row, "")
			case m.Ratio == 0 || contender.Name == r.Contenders[0].Name:
				row = append(row, figure(m.Median))
			case m.Ratio < 1:
				row = append(row, fmt.Sprintf("**%s (%s)**", figure(m.Median), ratio(m)))
			default:
				row = append(row, fmt.Sprintf("%s (%s)", figure(m.Median), ratio(m)))
			}
		}
		if strings.Join(row[1:], "") != "" {
			tableRow(text, row...)
		}
	}
}

// usage says how each library is used, and why some of it is not measured.
func usage(text *bytes.Buffer, r *result.Run) {
	text.WriteString("\n## How each library is used\n\n")
	for _, u := range usageOfAll(r) {
		fmt.Fprintf(text, "* %s: %s\n", u.Label, u.How)
	}
	if len(r.Omissions) > 0 {
		text.WriteString("\nNot measured:\n\n")
	}
	for _, o := range omissionsOf(r) {
		fmt.Fprintf(text, "* %s: %s (%s)\n", o.Label, o.Reason, o.Workloads)
	}
}

func auditTable(text *bytes.Buffer, r *result.Run) {
	audit := auditOf(r)
	if len(audit.Rows) == 0 {
		return
	}
	text.WriteString("\n## Audit: lost counts\n\nEight goroutines increment 64 counters while the library reports. " +
		"Updates that had returned are compared with updates that were reported, series by series. ✓ means that every " +
		"update was reported once.\n\n")
	tableRow(text, append([]string{""}, audit.Scenarios...)...)
	tableRow(text, "---"+strings.Repeat(" | ---", len(audit.Scenarios)))
	for _, row := range audit.Rows {
		cells := []string{row.Label}
		for _, cell := range row.Cells {
			if cell.Bad {
				cell.Text = "**" + cell.Text + "**"
			}
			cells = append(cells, cell.Text)
		}
		tableRow(text, cells...)
	}
	for i, reason := range audit.Reasons {
		if i == 0 {
			text.WriteString("\n– means not applicable:\n\n")
		}
		fmt.Fprintf(text, "* %s\n", reason)
	}
}

func lossList(text *bytes.Buffer, r *result.Run) {
	text.WriteString("\nLosses that a small test each shows by itself, in bench/losses:\n\n")
	for _, l := range losses.All {
		documented := ""
		if l.Documented {
			documented = " (documented)"
		}
		description := strings.TrimSuffix(l.Description, ".")
		fmt.Fprintf(text, "* %s %s: %s%s.\n", l.Module, r.Modules[l.Module], description, documented)
	}
}
