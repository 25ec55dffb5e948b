package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/losses"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// themes are the tables of all figures: one of all workloads would be too wide to be read.
var themes = []theme{
	{"Counters", []string{"hot", "handles", "named", "tagged", "vector"}},
	{"Timers, requests, new series", []string{"timer", "request", "churn"}},
	{"Memory", []string{"memory", "memory-timer"}},
	{"Reports", []string{"export-all", "export-1%", "flush"}},
	{"Latencies", []string{"latency", "latency-flush"}},
}

type theme struct {
	title     string
	workloads []string
}

// Markdown returns all of a run as a page. The charts are shown from that path.
func Markdown(r *result.Run, charts string) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Results\n\n%s. A figure is the median, with its ratio to this library's default mode in the "+
		"same run; **where that is below 1, in bold, it is better than this library**. Empty: it does not offer that. In "+
		"the charts a dot is the median, the line through it spans the quartiles, a ring is the median with one goroutine.\n",
		measuredOn(r))
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
		matrix(&text, r, columns, r.Contenders, nil, func(m *result.Measurement) string {
			if m.Ratio == 0 || m.Contender == r.Contenders[0].Name {
				return figure(m.Median)
			}
			return figure(m.Median) + " (" + ratio(m) + ")"
		})
		for _, c := range columns {
			w := workloadOf(r, c.workload)
			fmt.Fprintf(&text, "\n%s: %s\n\n![%s](%s/%s.svg)\n", w.Title, w.What, w.Title, charts, chartName(w))
		}
	}
	auditTable(&text, r)
	lossList(&text, r)
	growth(&text, r)
	usage(&text, r)
	return text.Bytes()
}

// measuredOn says on what and how, in half a sentence.
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

// matrix writes a table with a row for each contender and a column for each workload, and with a last one if there is
// a map of it. What is better than this library is bold.
func matrix(text *bytes.Buffer, r *result.Run, columns []column, rows []result.Contender, last map[string]string,
	cell func(*result.Measurement) string,
) {
	head := []string{""}
	for _, c := range columns {
		head = append(head, c.head)
	}
	rule := "---" + strings.Repeat(" | --:", len(columns))
	if last != nil {
		head, rule = append(head, last[""]), rule+" | ---"
	}
	tableRow(text, head...)
	tableRow(text, rule)
	for _, contender := range rows {
		row := []string{label(contender)}
		for _, c := range columns {
			m := r.Find(c.workload, contender.Name, r.Reference(c.workload), workloadOf(r, c.workload).Main)
			switch {
			case m == nil:
				row = append(row, "")
			case m.Ratio > 0 && m.Ratio < 1:
				row = append(row, "**"+cell(m)+"**")
			default:
				row = append(row, cell(m))
			}
		}
		if last != nil {
			row = append(row, last[contender.Name])
		}
		tableRow(text, row...)
	}
}

// usage says how each library is used, and why some of it is not measured.
func usage(text *bytes.Buffer, r *result.Run) {
	text.WriteString("\n## How each library is used\n\n")
	for _, c := range r.Contenders {
		fmt.Fprintf(text, "* %s: %s\n", label(c), c.How)
	}
	if len(r.Omissions) > 0 {
		text.WriteString("\nNot measured:\n\n")
	}
	for _, o := range r.Omissions {
		fmt.Fprintf(text, "* %s", o.Contender)
		if o.Workload != "" {
			fmt.Fprintf(text, ", %s", workloadOf(r, o.Workload).Title)
		}
		fmt.Fprintf(text, ": %s\n", o.Reason)
	}
}

func auditTable(text *bytes.Buffer, r *result.Run) {
	if len(r.Audit) == 0 {
		return
	}
	text.WriteString("\n## Who loses counts\n\nEight goroutines increment 64 counters while the library reports. " +
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
