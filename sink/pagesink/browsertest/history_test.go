package browsertest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The history has rates and quantiles of each interval, gaps where nothing happened, and no more than 300 intervals.
func TestHistory(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	l.start()
	await[bool](l, `import("./store.js").then(({ Store }) => { window.store = new Store(); return true; })`)
	l.eval(`
		store.add([[1, "counter", "jobs", "", []], [2, "gauge", "depth", "", []], [3, "timer", "latency", "", []]]);
		store.set([[1, 1000, 1000], [2, 7], [3, 10, 10, 50, 1, 9, 5, 8, 9, ""]], 0);
		store.tick(0); // the totals are no interval
		[jobs, depth, latency] = store.all;`)
	require.Empty(t, read[[]float64](l, `store.valuesOf(jobs, 300)`))
	require.Equal(t, []float64{5, 8, 9}, read[[]float64](l, `[latency.p50, latency.p90, latency.p99]`))

	l.eval(`store.set([[1, 1500, 500], [3, 12, 2, 60, 1, 9, 4, 6, 7, "3:1,0,1"]], 2); store.tick(2000);`)
	require.InDelta(t, 250., read[float64](l, `store.rate(jobs)`), 0)
	l.eval(`store.tick(3000);`)
	require.Zero(t, read[float64](l, `store.rate(jobs)`))
	l.eval(`
		store.set([[1, 1520, 20], [3, 13, 1, 60, 1, 9, 4, 6, 7, "4:1"]], 0.5);
		store.set([[2, -1], [3, 16, 3, 60, 1, 9, 2, 3, 4, "2;4:1"]], 0.5);
		store.tick(4000);`)
	require.Equal(t, []float64{250, 0, 20}, read[[]float64](l, `store.valuesOf(jobs, 300)`), "two batches in an interval")
	require.Equal(t, []float64{1, 0, 4}, read[[]float64](l, `store.valuesOf(latency, 300)`))
	require.Equal(t, []*float64{nil, nil, ptr(-1)}, read[[]*float64](l, `store.valuesOf(depth, 300)`))
	require.Equal(t, []*float64{ptr(4), nil, ptr(2)}, read[[]*float64](l, `store.quantilesOf(latency, 0, 300)`))
	require.JSONEq(t, `[[[3,1],[5,1]],[],[[4,2],[null,2]]]`,
		read[string](l, `JSON.stringify(store.heatsOf(latency, 300).map((m) => [...m]))`), "null: -Infinity, of zeros")
	require.Equal(t, []float64{2, 3, 4}, read[[]float64](l, `store.timesOf(300)`))

	// The ring goes round: 301 quiet intervals, then one with a change.
	l.eval(`for (let i = 0; i < 301; i++) store.tick(5000 + i * 1000);
		store.set([[1, 1523, 3]], 1); store.tick(306000);`)
	require.Len(t, read[[]float64](l, `store.valuesOf(jobs, 1000).filter((v) => v !== null).slice(-300)`), 300)
	require.InDelta(t, 3., read[float64](l, `store.valuesOf(jobs, 300).reduce((a, b) => a + b)`), 0)
	require.InDelta(t, -1., read[float64](l, `store.valuesOf(depth, 300).at(-1)`), 0, "a gauge keeps its value")
	require.Equal(t, 300, read[int](l, `jobs.values.length`))
	require.Zero(t, read[int](l, `store.quantilesOf(latency, 0, 300).filter((v) => v !== null).length`))

	l.eval(`store.remove([1]);`)
	require.Equal(t, 2, read[int](l, `store.all.length`))
	l.clean()
}

func ptr(v float64) *float64 { return &v }
