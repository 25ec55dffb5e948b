package report

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
	"github.com/metricsbuffer/metricsbuffer/bench/workload"
)

// sample is a run in which another library is faster than this one, and loses counts.
func sample() *result.Run {
	r := &result.Run{
		Machine: result.Machine{CPU: "a processor", Cores: 2}, Started: "2026-01-02T03:04:05Z", Command: "go run .",
		Rounds:    3,
		Modules:   map[string]string{"example.org/other": "v1.2.3"},
		Workloads: []result.Workload{{Name: "hot", Title: "One hot counter", Main: "ns/op"}},
		Contenders: []result.Contender{
			{Name: "ours", Ours: true}, {Name: "other", Module: "example.org/other", Version: "v1.2.3"},
		},
		Measurements: []result.Measurement{
			{Workload: "hot", Contender: "ours", CPU: 2, Metric: "ns/op", Samples: []float64{9, 10, 11}},
			{Workload: "hot", Contender: "other", CPU: 2, Metric: "ns/op", Samples: []float64{4, 5, 6}},
		},
		Audit: []result.Finding{
			{Contender: "ours", Scenario: "failing output", Recorded: 1234},
			{Contender: "other", Scenario: "failing output", Recorded: 1234, Lost: 34},
		},
	}
	r.Summarize("ours")
	return r
}

func TestMarkdownSaysWhereOthersAreBetter(t *testing.T) {
	text := string(Markdown(sample(), "charts"))
	require.Contains(t, text, "| ours | 10.0 |")
	require.Contains(t, text, "| other v1.2.3 | **5.00 (0.50×)** |")
	require.Contains(t, text, "| other v1.2.3 | lost 34 |")
	require.Contains(t, text, "](charts/hot.svg)")

	text = string(Section(sample(), "bench"))
	require.Contains(t, text, "| ours | 10.0 | none |")
	require.Contains(t, text, "| other v1.2.3 | **5.00** | failing output |")
	require.Contains(t, text, "](bench/results/hot.svg)")
}

// What is published is what the committed results say.
func TestPublishedIsUpToDate(t *testing.T) {
	r, err := result.Load("../results/results.json")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	fresh, err := withSection(readme, Section(r, "bench"))
	require.NoError(t, err)
	require.Equal(t, string(fresh), string(readme), "run: go -C bench run . -publish")
	results, err := os.ReadFile("../RESULTS.md")
	require.NoError(t, err)
	require.Equal(t, string(Markdown(r, "results")), string(results), "run: go -C bench run . -publish")
}

// Every workload has its place in the tables.
func TestEveryWorkloadHasATheme(t *testing.T) {
	for _, w := range workload.All() {
		require.True(t, slices.ContainsFunc(themes, func(theme theme) bool {
			return slices.Contains(theme.workloads, w.Name)
		}), w.Name)
	}
}

func TestTerminal(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, Terminal(&text, sample()))
	require.Regexp(t, `other v1.2.3 +5.00 +±10% +0.50×`, text.String())
	require.Regexp(t, `ours +failing output +exact +of 1,234`, text.String())
}

func TestFilesNeedNoNetwork(t *testing.T) {
	directory := t.TempDir()
	require.NoError(t, Files(directory, sample()))
	for _, name := range []string{"results.json", "benchstat.txt", "hot.svg", "hot.png"} {
		require.FileExists(t, filepath.Join(directory, name))
	}
	page, err := os.ReadFile(filepath.Join(directory, "index.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "<svg")
	require.Contains(t, string(page), "lost 34")
	require.NotRegexp(t, `(src|href)="?https?:`, string(page))

	text, err := os.ReadFile(filepath.Join(directory, "benchstat.txt"))
	require.NoError(t, err)
	require.Contains(t, string(text), "Benchmark/workload=hot/contender=other-2 1 4 ns/op\n")
}

func TestCompareListsWhatChanged(t *testing.T) {
	before, after := sample(), sample()
	var text bytes.Buffer
	require.NoError(t, Compare(&text, before, after))
	require.Contains(t, text.String(), "Nothing changed")

	after.Measurements[0].Samples = []float64{19, 20, 21}
	after.Summarize("ours")
	text.Reset()
	require.NoError(t, Compare(&text, before, after))
	require.Regexp(t, `hot +ours +2 goroutines +10.0 → 20.0 ns/op +\+100%`, text.String())
	require.NotContains(t, text.String(), "Nothing changed")
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234567.8: "1,234,568",
	} {
		require.Equal(t, want, figure(v))
	}
}
