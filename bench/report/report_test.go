package report

import (
	"bytes"
	"encoding/xml"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
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
	text := string(Markdown(sample(), "results"))
	require.Contains(t, text, "| ours | 10.0 |")
	require.Contains(t, text, "| other v1.2.3 | **5.00 (0.50×)** |")
	require.Contains(t, text, "| other v1.2.3 | **lost 34** |")
	require.Contains(t, text, "](results/summary.svg)")

	text = string(Section(sample(), "bench"))
	require.Contains(t, text, "divided by metricsbuffer: one hot counter 0.50×](bench/results/summary.svg)")
	require.Contains(t, text, "](bench/RESULTS.md)")
	require.Less(t, strings.Count(text, "\n"), 8, "the README has one picture and a link")
}

// The quotients have this library above the line, unlike all other ratios.
func TestQuotientsAreOfThisLibrary(t *testing.T) {
	r := sample()
	r.Workloads[0] = result.Workload{Name: "tagged", Title: "By name with two tags", Main: "ns/op"}
	for i := range r.Measurements {
		r.Measurements[i].Workload = "tagged"
	}
	r.Summarize("ours")
	text := string(Markdown(r, "results"))
	require.Contains(t, text, "| By name with two tags | other v1.2.3, the best of the others | 2.00 |\n")
	require.NotContains(t, string(Markdown(sample(), "results")), "divided by another", "there is nothing to say")
}

// A misspelt name would leave its row out.
func TestQuotientsNameWorkloadsAndContenders(t *testing.T) {
	for _, q := range quotients {
		_, ok := workload.Find(q.workload)
		require.True(t, ok, q.workload)
		_, ok = contender.Find(q.other)
		require.True(t, ok || q.other == "", q.other)
	}
}

func TestChartSaysWhereOthersAreBetter(t *testing.T) {
	chart, err := Chart(sample())
	require.NoError(t, err)
	require.Contains(t, string(chart), `class="strong">other 0.50×<`)
	require.NoError(t, xml.Unmarshal(chart, new(struct{})), "it is XML")
}

// Everything that is published follows from the committed results, and nothing else lies beside it.
func TestPublishedIsUpToDate(t *testing.T) {
	const hint = "run: go -C bench run . -publish"
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "bench", "results"), 0o755))
	for _, name := range []string{"README.md", "bench/results/results.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), text, 0o600))
	}
	require.NoError(t, Publish(root))
	for _, name := range []string{
		"README.md", "bench/RESULTS.md", "bench/results/index.html", "bench/results/summary.svg",
	} {
		want, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("..", "..", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s: %s", name, hint)
	}
}

// Each row of the README's table of cost that is explained here stands there.
func TestExplainedCostsAreInTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, c := range costs {
		if _, rest, ok := strings.Cut(c.readme, "`"); ok {
			operation, _, _ := strings.Cut(rest, "`")
			require.Contains(t, string(readme), "`"+operation+"`", "adapt the list of costs in costs.go")
		}
	}
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
	require.FileExists(t, filepath.Join(directory, "results.json"))
	for _, name := range []string{"index.html", "summary.svg"} {
		text, err := os.ReadFile(filepath.Join(directory, name))
		require.NoError(t, err)
		require.NotRegexp(t, `(src|href)="?https?:|<script|@import|url\(`, string(text))
	}
	text, err := os.ReadFile(filepath.Join(directory, "benchstat.txt"))
	require.NoError(t, err)
	require.Contains(t, string(text), "Benchmark/workload=hot/contender=other-2 1 4 ns/op\n")
}

func TestPage(t *testing.T) {
	page, err := Page(sample())
	require.NoError(t, err)
	text := string(page)
	require.Contains(t, text, `other v1.2.3</th><td class="better">0.50★</td>`, "the summary marks the winner")
	require.Contains(t, text, `<tr class="ours"><th scope="row">ours</th><td>1.00</td>`)
	require.Contains(t, text, `<td class="bad" title="of 1,234">lost 34</td>`, "the audit is a matrix")
	require.Contains(t, text, `<li><a href="#hot">One hot counter</a></li>`, "the contents")
	require.Contains(t, text, `5.00 · 0.50×</em>`, "the value stands at its point")
	require.Contains(t, text, "Lower, further left, is better.")
	require.Contains(t, text, "prefers-color-scheme: dark")
	require.Less(t, strings.Index(text, `id="summary"`), strings.Index(text, `id="hot"`), "the summary comes first")
	require.NotContains(t, text, "ZgotmplZ", "the template refused nothing")
}

// A name is text, also if it looks like markup.
func TestPageAndChartEscape(t *testing.T) {
	r := sample()
	r.Contenders[1].Name = `</b><script>alert(1)</script>`
	for i := range r.Measurements {
		if r.Measurements[i].Contender == "other" {
			r.Measurements[i].Contender = r.Contenders[1].Name
		}
	}
	page, err := Page(r)
	require.NoError(t, err)
	chart, err := Chart(r)
	require.NoError(t, err)
	for _, text := range [][]byte{page, chart} {
		require.Contains(t, string(text), "alert(1)")
		require.NotContains(t, string(text), "<script")
	}
}

func TestTicks(t *testing.T) {
	require.Equal(t, []tick{{axisWidth / 3., "10"}, {axisWidth / 1.5, "100"}}, scale{1, 1000}.ticks())
	require.Equal(t, []tick{{21.7, "2"}, {50.3, "5"}}, scale{1, 10}.ticks())
	require.Empty(t, scale{math.Inf(1), 0}.ticks(), "no values")
}

func TestCompareListsWhatChanged(t *testing.T) {
	before, after := sample(), sample()
	for _, r := range []*result.Run{before, after} { // a test needs more than three rounds
		r.Measurements[0].Samples = []float64{9, 10, 11, 9, 10, 11, 10}
		r.Summarize("ours")
	}
	var text bytes.Buffer
	require.NoError(t, Compare(&text, before, after))
	require.Contains(t, text.String(), "Nothing has changed")
	require.Contains(t, text.String(), "Compared are 2 figures")

	after.Measurements[0].Samples = []float64{19, 20, 21, 19, 20, 21, 20}
	after.Summarize("ours")
	text.Reset()
	require.NoError(t, Compare(&text, before, after))
	require.Regexp(t, `hot +ours +2 goroutines +10.0 → 20.0 ns/op +\+100.00% +p=0.001 n=7`, text.String())
	require.NotContains(t, text.String(), "Nothing has changed")
}

// Quartiles that do not overlap are no change where the rounds are few, or where the samples of both runs mix.
func TestCompareDoesNotListChance(t *testing.T) {
	before, after := sample(), sample()
	before.Measurements[0].Samples, after.Measurements[0].Samples = []float64{10, 10.1, 10.2}, []float64{11, 11.1, 11.2}
	before.Measurements[1].Samples = []float64{5, 5, 5, 5, 9, 9, 4}
	after.Measurements[1].Samples = []float64{6, 6, 6, 6, 6, 3, 3}
	before.Summarize("ours")
	after.Summarize("ours")
	require.Less(t, before.Measurements[0].High, after.Measurements[0].Low)
	var text bytes.Buffer
	require.NoError(t, Compare(&text, before, after))
	require.Contains(t, text.String(), "Nothing has changed")
	require.Contains(t, text.String(), "Warning: need >= 4 samples")
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234567.8: "1,234,568",
	} {
		require.Equal(t, want, figure(v))
	}
}
