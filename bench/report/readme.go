package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// Publish writes the text between these lines of the README.
const (
	sectionBegin = "<!-- bench:begin, made by: go -C bench run . -publish -->\n"
	sectionEnd   = "<!-- bench:end -->\n"
)

// Publish makes the page, the chart, bench/RESULTS.md and the README's block from bench/results/results.json. The root
// is that of the repository.
func Publish(root string) error {
	directory := filepath.Join(root, "bench", "results")
	r, err := result.Load(filepath.Join(directory, "results.json"))
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
	if err := os.WriteFile(filepath.Join(root, "bench", "RESULTS.md"), Markdown(r, "results"), 0o644); err != nil {
		return err
	}
	return pageAndChart(directory, r)
}

// withSection returns the README with another block.
func withSection(readme, section []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(readme, []byte(sectionBegin))
	_, after, ends := bytes.Cut(rest, []byte(sectionEnd))
	if !begins || !ends {
		return nil, errors.New("it has no block to replace: put the lines " + strings.TrimSpace(sectionBegin) + " and " +
			strings.TrimSpace(sectionEnd) + " where it belongs")
	}
	return slices.Concat(before, []byte(sectionBegin), section, []byte(sectionEnd), after), nil
}

// Section returns the README's block: one picture and one paragraph. bench is the path of that directory.
func Section(r *result.Run, bench string) []byte {
	return fmt.Appendf(nil, `
![%s](%s/results/summary.svg)

Each dot is another way to count, measured beside the version of that day (%s, %d cores, %s). A dot left of the line is
cheaper than this library. All figures and the audit of lost counts: [%[2]s/RESULTS.md](%[2]s/RESULTS.md).

`, alternative(r), bench, r.Machine.CPU, r.Machine.Cores, r.Started[:10])
}

// alternative describes the chart in words, for a screen reader.
func alternative(r *result.Run) string {
	var words []string
	for _, c := range offered(r, highlights) {
		if best := others(r, c.workload); len(best) > 0 {
			words = append(words, fmt.Sprintf("%s %s", c.head, ratio(&best[0])))
		}
	}
	return "The best other way to count, divided by metricsbuffer: " + strings.Join(words, ", ")
}
