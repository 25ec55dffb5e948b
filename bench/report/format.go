// Package report shows the results of a run: on the terminal, as files, as a page, as a chart, and as Markdown.
package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// figure writes a number with three significant digits, and thousands apart.
func figure(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case abs >= 1000:
		return thousands(int64(math.Round(v)))
	case abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// short writes the value of a tick, without digits after the last that is not 0.
func short(v float64) string {
	if v >= 1000 {
		return thousands(int64(v))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// unit returns the unit of a metric, for people.
func unit(metric string) string {
	if unit, ok := strings.CutSuffix(metric, "-ns"); ok {
		return unit + ", ns"
	}
	return metric
}

// spread is the distance of the quartiles, in percent of the median.
func spread(m *result.Measurement) string {
	if m.Median == 0 {
		return ""
	}
	return fmt.Sprintf("±%.0f%%", (m.High-m.Low)/2/m.Median*100)
}

func ratio(m *result.Measurement) string {
	if m.Ratio == 0 {
		return ""
	}
	if m.Ratio < .01 { // one digit that counts
		return strconv.FormatFloat(m.Ratio, 'g', 1, 64) + "×"
	}
	return figure(m.Ratio) + "×"
}

// label names a contender with its version, as the tables do.
func label(c result.Contender) string {
	switch {
	case c.Module == "" || c.Ours:
		return c.Name
	case len(c.Version) > 20: // a pseudo-version ends with twelve digits of a commit
		return c.Name + " " + c.Version[len(c.Version)-12:]
	}
	return c.Name + " " + c.Version
}

// contenderOf returns the contender with that name.
func contenderOf(r *result.Run, name string) result.Contender {
	i := slices.IndexFunc(r.Contenders, func(c result.Contender) bool { return c.Name == name })
	if i < 0 {
		return result.Contender{Name: name}
	}
	return r.Contenders[i]
}

// labels are the labels of all contenders by name.
func labels(r *result.Run) map[string]string {
	labels := make(map[string]string, len(r.Contenders))
	for _, c := range r.Contenders {
		labels[c.Name] = label(c)
	}
	return labels
}

// goroutines says how many, in words.
func goroutines(n int) string {
	if n == 1 {
		return "1 goroutine"
	}
	return strconv.Itoa(n) + " goroutines"
}

// verdict returns the outcome of an audit in a few words.
func verdict(f result.Finding) string {
	var words []string
	if f.Skipped != "" {
		return "n/a: " + f.Skipped
	}
	if f.Lost > 0 {
		words = append(words, "lost "+thousands(f.Lost))
	}
	if f.Doubled > 0 {
		words = append(words, "doubled "+thousands(f.Doubled))
	}
	if f.Impossible > 0 {
		words = append(words, thousands(f.Impossible)+" reports near 2⁶⁴")
	}
	if len(words) == 0 {
		words = append(words, "exact")
	}
	return strings.Join(words, ", ")
}
