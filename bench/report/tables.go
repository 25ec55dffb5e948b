package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// An auditMatrix has a row for each contender and a column for each scenario.
type auditMatrix struct {
	Scenarios []string
	Rows      []auditRow
	Reasons   []string // why cells are not applicable
}

type auditRow struct {
	Label string
	Ours  bool
	Cells []auditCell
}

type auditCell struct {
	Text, Note string
	Bad        bool
}

// verdict sums a row up in a word.
func (r auditRow) verdict() *auditCell {
	if slices.ContainsFunc(r.Cells, func(c auditCell) bool { return c.Bad }) {
		return &auditCell{Text: "wrong", Bad: true}
	}
	return &auditCell{Text: "✓"}
}

func auditOf(r *result.Run) auditMatrix {
	var matrix auditMatrix
	for _, f := range r.Audit {
		if !slices.Contains(matrix.Scenarios, f.Scenario) {
			matrix.Scenarios = append(matrix.Scenarios, f.Scenario)
		}
	}
	for _, c := range r.Contenders {
		row, audited := auditRow{Label: label(c), Ours: c.Ours}, false
		for _, scenario := range matrix.Scenarios {
			at := slices.IndexFunc(r.Audit, func(f result.Finding) bool {
				return f.Contender == c.Name && f.Scenario == scenario
			})
			if at < 0 {
				row.Cells = append(row.Cells, auditCell{})
				continue
			}
			f := r.Audit[at]
			cell := auditCell{Text: verdict(f), Bad: f.Wrong(), Note: "of " + thousands(f.Recorded)}
			switch {
			case f.Skipped != "":
				cell = auditCell{Text: "–", Note: f.Skipped}
				matrix.Reasons = append(matrix.Reasons, label(c)+", "+scenario+": "+f.Skipped)
			case f.Exact():
				cell.Text = "✓"
			}
			row.Cells, audited = append(row.Cells, cell), true
		}
		if audited {
			matrix.Rows = append(matrix.Rows, row)
		}
	}
	return matrix
}

// usageOf says how a library is used.
type usageOf struct{ Label, How string }

func usageOfAll(r *result.Run) []usageOf {
	var all []usageOf
	for _, c := range r.Contenders {
		all = append(all, usageOf{label(c), c.How})
	}
	return all
}

// An omission is a contender that was not measured in some workloads, for one reason.
type omission struct{ Label, Reason, Workloads string }

func omissionsOf(r *result.Run) []omission {
	var all []omission
	for _, c := range r.Contenders {
		first := len(all)
		for _, o := range r.Omissions {
			if o.Contender != c.Name {
				continue
			}
			at := slices.IndexFunc(all[first:], func(known omission) bool { return known.Reason == o.Reason })
			if at < 0 {
				all = append(all, omission{label(c), o.Reason, ""})
				at = len(all) - 1 - first
			}
			known := &all[first+at]
			known.Workloads = strings.TrimPrefix(known.Workloads+", "+cmp.Or(o.Workload, "all"), ", ")
		}
	}
	return all
}
