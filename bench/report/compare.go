package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// Compare writes which main metrics, and which allocations, have changed since an earlier run. A change is a difference
// that benchstat would show too: a Mann-Whitney U test of the two sets of samples says that p < 0.05.
func Compare(w io.Writer, before, after *result.Run) error {
	var text, table bytes.Buffer
	fmt.Fprintf(&text, "\nSINCE %s\n", before.Started)
	if before.Machine != after.Machine {
		fmt.Fprintf(&text, "  The machines differ, so compare ratios only. Then: %+v. Now: %+v.\n",
			before.Machine, after.Machine)
	}
	compared := 0
	var warnings []string
	for i := range after.Measurements {
		m := &after.Measurements[i]
		old := before.Find(m.Workload, m.Contender, m.CPU, m.Metric)
		if old == nil || m.Metric != workloadOf(after, m.Workload).Main && m.Metric != "allocs/op" {
			continue
		}
		compared++
		c := benchmath.AssumeNothing.Compare(samplesOf(old), samplesOf(m))
		for _, warning := range c.Warnings {
			if text := warning.Error(); !slices.Contains(warnings, text) && text != "all samples are equal" {
				warnings = append(warnings, text)
			}
		}
		if c.P >= c.Alpha {
			continue
		}
		fmt.Fprintf(&table, "  %s\t%s\t%s\t%s → %s %s\t%s\t%s\t%s → %s\n", m.Workload, m.Contender, goroutines(m.CPU),
			figure(old.Median), figure(m.Median), unit(m.Metric), c.FormatDelta(old.Median, m.Median), c, ratio(old),
			ratio(m))
	}
	if table.Len() == 0 {
		table.WriteString("  Nothing has changed.")
	}
	align(&text, &table)
	fmt.Fprintf(&text, "  Compared are %d figures, by a Mann-Whitney U test each, with p < %v. "+
		"By chance alone about %.0f would be "+
		"listed.\n", compared, benchmath.DefaultThresholds.CompareAlpha,
		float64(compared)*benchmath.DefaultThresholds.CompareAlpha)
	for _, warning := range warnings {
		fmt.Fprintf(&text, "  Warning: %s.\n", warning)
	}
	_, err := w.Write(text.Bytes())
	return err
}

func samplesOf(m *result.Measurement) *benchmath.Sample {
	return benchmath.NewSample(slices.Clone(m.Samples), &benchmath.DefaultThresholds)
}
