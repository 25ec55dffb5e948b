package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/losses"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// What is between these lines of the README is made by Publish.
const (
	sectionBegin = "<!-- bench:begin, made by: go -C bench run . -publish -->\n"
	sectionEnd   = "<!-- bench:end -->\n"
)

// Publish makes bench/RESULTS.md and the README's section from bench/results/results.json, in the repository whose
// root this is.
func Publish(root string) error {
	r, err := result.Load(filepath.Join(root, "bench", "results", "results.json"))
	if err != nil {
		return err
	}
	path := filepath.Join(root, "README.md")
	readme, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if readme, err = withSection(readme, Section(r, "bench")); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, readme, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "bench", "RESULTS.md"), Markdown(r, "results"), 0o644)
}

// withSection returns the README with another section.
func withSection(readme, section []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(readme, []byte(sectionBegin))
	_, after, ends := bytes.Cut(rest, []byte(sectionEnd))
	if !begins || !ends {
		return nil, errors.New("no section to replace: it lies between " + strings.TrimSpace(sectionBegin) + " and " +
			strings.TrimSpace(sectionEnd))
	}
	return slices.Concat(before, []byte(sectionBegin), section, []byte(sectionEnd), after), nil
}

// Section returns what a newcomer wants to know of a run. bench is the path of that directory.
func Section(r *result.Run, bench string) []byte {
	columns := offered(r, []column{
		{"hot", "one hot counter, ns"}, {"handles", "1,000 handles, ns"},
		{"named", "by name, ns"}, {"tagged", "by name, two tags, ns"},
		{"timer", "timer, ns"}, {"request", "request, ns"},
		{"memory", "a counter, bytes"}, {"export-all", "report, ms"},
	})
	rows := slices.DeleteFunc(slices.Clone(r.Contenders), func(c result.Contender) bool {
		return c.Ours && c.Name != r.Contenders[0].Name // other modes: see the results
	})
	var text bytes.Buffer
	fmt.Fprintf(&text, "\n%s: medians, of %d goroutines at once. **Bold is faster or smaller than this library.** "+
		"Empty: it does not offer that.\n\n", measuredOn(r), r.Reference(columns[0].workload))
	matrix(&text, r, columns, rows, lost(r), func(m *result.Measurement) string { return figure(m.Median) })
	fmt.Fprintf(&text, `
A request is two counters, a timer and a gauge, while a report is made every 10 ms. A report is one of many counters,
all of them incremented since the last, written as text. The last column is of an audit: eight goroutines count while
the library reports, also concurrently, to an output that fails, and while it is closed, as far as it has these. %d
losses, which it does not provoke, are [shown by a small test each](%s/RESULTS.md#who-loses-counts). All figures, how
each library is used, and how cost grows with the cores are in [%[2]s/RESULTS.md](%[2]s/RESULTS.md).
`, len(losses.All), bench)
	for _, c := range columns {
		if w := workloadOf(r, c.workload); slices.Contains([]string{"hot", "tagged", "timer", "export-all"}, w.Name) {
			fmt.Fprintf(&text, "\n![%s](%s/results/%s.svg)\n", w.Title, bench, chartName(w))
		}
	}
	text.WriteByte('\n')
	return text.Bytes()
}

// lost returns in which of the audit's scenarios each contender lost or doubled updates.
func lost(r *result.Run) map[string]string {
	column := map[string]string{"": "lost or doubled in the audit"}
	for _, f := range r.Audit {
		switch before := column[f.Contender]; {
		case f.Skipped != "":
		case f.Exact() && before == "":
			column[f.Contender] = "none"
		case f.Exact():
		case before == "" || before == "none":
			column[f.Contender] = f.Scenario
		default:
			column[f.Contender] = before + ", " + f.Scenario
		}
	}
	return column
}
