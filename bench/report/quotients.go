package report

import (
	"bytes"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// quotients are comparisons with one other library. An empty name stands for the best one.
var quotients = []struct{ workload, other string }{
	{"tagged", ""}, {"export-all", "tally"}, {"page-all", "prometheus"}, {"page-all", "VictoriaMetrics"},
	{"page-idle", "prometheus"}, {"page-idle", "VictoriaMetrics"},
}

// quotientTable writes the cost of this library divided by that of another, where the comparison with that one matters
// most.
func quotientTable(text *bytes.Buffer, r *result.Run) {
	var rows bytes.Buffer
	for _, q := range quotients {
		for _, m := range others(r, q.workload) { // the best first
			if q.other == "" || m.Contender == q.other {
				name := label(contenderOf(r, m.Contender))
				if q.other == "" {
					name += ", the best of the others"
				}
				tableRow(&rows, workloadOf(r, q.workload).Title, name, figure(1/m.Ratio))
				break
			}
		}
	}
	if rows.Len() > 0 {
		text.WriteString("\n## This library divided by another\n\nBelow 1, this library costs less.\n\n")
		tableRow(text, "", "divided by", "quotient")
		tableRow(text, "--- | --- | --:")
		_, _ = rows.WriteTo(text) // to memory
	}
}
