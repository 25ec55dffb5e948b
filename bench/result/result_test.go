package result

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func sample() *Run {
	r := &Run{
		Machine:    Machine{Cores: 2},
		Contenders: []Contender{{Name: "ours", Ours: true}, {Name: "other"}},
		Workloads:  []Workload{{Name: "hot", Main: "ns/op"}},
		Measurements: []Measurement{
			{Workload: "hot", Contender: "other", CPU: 2, Metric: "ns/op", Samples: []float64{30, 10, 20}},
			{Workload: "hot", Contender: "ours", CPU: 2, Metric: "ns/op", Samples: []float64{4, 5, 100}},
			{Workload: "hot", Contender: "ours", CPU: 4, Metric: "ns/op", Samples: []float64{7}},
			{Workload: "hot", Contender: "ours", CPU: 2, Metric: "B/op", Samples: []float64{0, 0, 0}},
		},
	}
	r.Summarize("ours")
	return r
}

func TestMediansQuartilesAndRatios(t *testing.T) {
	r := sample()
	other := r.Find("hot", "other", 2, "ns/op")
	require.Equal(t, []float64{15, 20, 25}, []float64{other.Low, other.Median, other.High})
	require.InDelta(t, 4, other.Ratio, 1e-9)
	require.InDelta(t, 1, r.Find("hot", "ours", 2, "ns/op").Ratio, 1e-9)
	require.Zero(t, r.Find("hot", "ours", 2, "B/op").Ratio, "nothing can be compared with nothing")
	require.Nil(t, r.Find("hot", "nobody", 2, "ns/op"))
}

func TestTheRankingIsByCores(t *testing.T) {
	r := sample()
	require.Equal(t, []int{2, 4}, r.CPUs("hot"))
	require.Equal(t, 2, r.Reference("hot"))
	ranking := r.Ranking(r.Workloads[0], 2)
	require.Len(t, ranking, 2)
	require.Equal(t, "ours", ranking[0].Contender)
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	require.NoError(t, sample().Save(path))
	loaded, err := Load(path)
	require.NoError(t, err)
	want := sample()
	require.Len(t, loaded.Measurements, len(want.Measurements))
	for _, m := range want.Measurements { // in another order
		require.Equal(t, &m, loaded.Find(m.Workload, m.Contender, m.CPU, m.Metric))
	}
	want.Measurements, loaded.Measurements = nil, nil
	require.Equal(t, want, loaded)
}

func TestTheFileIsBrokenIntoLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	r := sample()
	r.Command = `a "quoted, [deep]" \ name`
	require.NoError(t, r.Save(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), `\"quoted, [deep]\" \\ name",`+"\n")
	const line = `{"Workload":"hot","Contender":"other","ByCPU":{"2":{"ns/op":[30,10,20]}}},`
	require.Contains(t, string(text), "\n"+line+"\n")
	loaded, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, r.Command, loaded.Command)
}

func TestAFileWithoutSamplesIsNoRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	_, err := Load(path)
	require.ErrorContains(t, err, "no samples")
}

func TestSamplesAreRounded(t *testing.T) {
	require.InDelta(t, 8.3855, Rounded(8.385471), 0)
	require.InDelta(t, 123460, Rounded(123456), 0)
}

func TestAFindingIsExactOnlyIfNothingIsWrong(t *testing.T) {
	require.True(t, Finding{Recorded: 5, Reported: 5}.Exact())
	for _, f := range []Finding{{Skipped: "why"}, {Lost: 1}, {Doubled: 1}, {Impossible: 1}} {
		require.False(t, f.Exact(), "%+v", f)
	}
}
