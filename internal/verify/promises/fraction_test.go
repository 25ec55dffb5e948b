package promises

import (
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// TestFractions: a fraction is rounded to the nearest step, and half a step to the even number.
func TestFractions(t *testing.T) {
	for name, test := range map[string]struct {
		decimals int
		add      []float64
		steps    int64
		amount   string
	}{
		"decimals are exact":   {2, []float64{0.1, 0.1, 0.1}, 30, "0.3"},
		"halves to even":       {2, []float64{0.125, 0.375, -0.125}, 12 + 38 - 12, "0.38"},
		"nearest":              {0, []float64{0.6, 1.4, -0.6}, 1, "1"},
		"too small":            {3, []float64{0.0004, math.SmallestNonzeroFloat64}, 0, "0"},
		"negative":             {1, []float64{-2.5, 1}, -15, "-1.5"},
		"nanoseconds":          {9, []float64{1.000000001, 2}, 3_000_000_001, "3.000000001"},
		"most decimals":        {18, []float64{1, 1e-18}, 1_000_000_000_000_000_001, "1.000000000000000001"},
		"more than that":       {100, []float64{1e-18}, 1, "0.000000000000000001"},
		"fewer than none":      {-1, []float64{2}, 2, "2"},
		"smallest and largest": {0, []float64{math.MinInt64, math.Nextafter(math.MaxInt64, 0)}, -1024, "-1024"},
	} {
		t.Run(name, func(t *testing.T) {
			b, recorder := newBuffer(t)
			counter := b.FractionCounter("c", test.decimals)
			for _, v := range test.add {
				counter.Add(v)
			}
			require.NoError(t, b.Flush(t.Context()))
			p := recorder.Total(metricsbuffer.KindCounter, "c")
			require.Equal(t, test.steps, p.Count)
			require.Equal(t, min(max(test.decimals, 0), 18), p.Decimals)
			require.Equal(t, test.amount, string(p.AppendAmount(nil)))
			require.Zero(t, b.Stats().Rejected)
		})
	}
}

func TestFractionsThatAreNoNumber(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithSelfMetrics())
	counter := b.FractionCounter("c", 2)
	counter.Add(0.01)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e17, -1e17, math.MaxFloat64} {
		counter.Add(v)
		metricsbuffer.Record(counter.Delta(v))
	}
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindCounter, "c").Count)
	require.EqualValues(t, 12, recorder.Total(metricsbuffer.KindCounter, "metricsbuffer.rejected").Count)
	require.EqualValues(t, 12, b.Stats().Rejected)
}

// TestFractionsTogether: a counter of fractions is a counter of its steps in a Local and in Record.
func TestFractionsTogether(t *testing.T) {
	b, recorder := newBuffer(t)
	cost := b.FractionCounter("cost", 2)
	cost.Steps().Add(5)
	local := b.Local()
	local.Counter(cost.Steps()).Add(10)
	local.Commit()
	metricsbuffer.Record(cost.Delta(0.2), cost.Steps().Delta(40), b.Counter("n").Delta(1))
	costs, err := metricsbuffer.NewFractionCounterVec[struct{ Fruit string }](b, "costs", 3)
	require.NoError(t, err)
	costs.With(struct{ Fruit string }{"apple"}).Add(0.125)
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 75, recorder.Total(metricsbuffer.KindCounter, "cost").Count)
	p := recorder.Total(metricsbuffer.KindCounter, "costs", tag("Fruit", "apple"))
	require.Equal(t, "counter costs{Fruit=apple} 0.125", sinktest.Line(p))

	for range 1000 {
		cost.Add(0.01)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		cost.Add(0.01)
		cost.Steps().Inc()
		costs.With(struct{ Fruit string }{"apple"}).Add(1)
		metricsbuffer.Record(cost.Delta(0.01))
	}))
}

// TestFractionsOfAScope: a scope adds its prefix and its tags, by an instrument and by a Vec.
func TestFractionsOfAScope(t *testing.T) {
	b, recorder := newBuffer(t)
	scope := b.WithPrefix("web.").With(tag("host", "a"))
	scope.FractionCounter("cost", 2).Add(0.25)
	costs, err := metricsbuffer.NewFractionCounterVec[struct{}](scope, "cost", 2)
	require.NoError(t, err)
	costs.With(struct{}{}).Add(0.5)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, []string{"counter web.cost{host=a} 0.75"}, lines(recorder))
}

func TestNoFractions(t *testing.T) {
	var b *metricsbuffer.Buffer
	require.Nil(t, b.FractionCounter("c", 2))
	require.Nil(t, b.FractionCounter("c", 2).Steps())
	vec, err := metricsbuffer.NewFractionCounterVec[labels](b, "c", 2)
	require.NoError(t, err)
	vec.With(labels{}).Add(1)
	for _, counter := range []*metricsbuffer.FractionCounter{nil, {}} {
		counter.Add(1)
		counter.Add(math.NaN())
		counter.Steps().Add(1)
		metricsbuffer.Record(counter.Delta(1), counter.Delta(math.NaN()))
	}
}

// TestDecimalsApart: series of one name with other decimals are never merged, not even in an overflow series. With 0
// decimals it is the counter.
func TestDecimalsApart(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithMaxSeries(4))
	want := map[int]int64{}
	for decimals := range 19 {
		for i, name := range []string{"a", "b", "c"} {
			b.FractionCounter(name, decimals).Steps().Add(int64(i + 1))
			want[decimals] += int64(i + 1)
		}
		b.Histogram("a", "bytes", tag("decimals", string(rune('a'+decimals)))).Observe(1)
	}
	b.IncrCounter("a", 100)
	want[0] += 100
	require.NoError(t, b.Flush(t.Context()))
	got := map[int]int64{}
	for _, p := range recorder.Totals() {
		if p.Kind == metricsbuffer.KindCounter {
			got[p.Decimals] += p.Count
		}
	}
	require.Equal(t, want, got)
	_, err := recorder.Find(metricsbuffer.KindCounter, "metricsbuffer.overflow", tag("overflow", "true"))
	require.ErrorContains(t, err, "exists with several numbers of decimals")
}

// TestFractionsAreConserved: recorded = acknowledged + pending + dropped, in steps, and a failing sink gets what
// another one gets.
func TestFractionsAreConserved(t *testing.T) {
	first, second := new(sinktest.Recorder), new(sinktest.Recorder)
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(time.Millisecond), metricsbuffer.WithSink(first),
		metricsbuffer.WithSink(sinktest.Failing(second, sinktest.Every(2)), metricsbuffer.SinkName("failing")))
	require.NoError(t, err)
	const writers, each = 4, 20_000
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			cost, seconds := b.FractionCounter("cost", 2), b.FractionCounter("seconds", 9)
			for range each {
				cost.Add(0.07)
				seconds.Add(1e-9)
			}
		})
	}
	writing.Wait()
	const want = writers * each * (7 + 1)
	for _, s := range b.Stats().Sinks {
		require.EqualValues(t, want, s.Acknowledged.Increments+s.Pending.Increments+s.Dropped.Increments, s.Name)
	}
	for b.Flush(t.Context()) != nil {
	}
	require.NoError(t, b.Close())
	for _, recorder := range []*sinktest.Recorder{first, second} {
		require.NoError(t, recorder.Err())
		cost := recorder.Total(metricsbuffer.KindCounter, "cost")
		seconds := recorder.Total(metricsbuffer.KindCounter, "seconds")
		require.Equal(t, "5600", string(cost.AppendAmount(nil)))
		require.Equal(t, "0.00008", string(seconds.AppendAmount(nil)))
	}
	require.EqualValues(t, want, b.Stats().Recorded.Increments)
}

// TestFractionsExpire: a series with decimals ends and comes back like any other.
func TestFractionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		vec, err := metricsbuffer.NewFractionCounterVec[struct{}](b, "kept", 1)
		require.NoError(t, err)
		vec.With(struct{}{}).Add(1)
		for range 3 {
			// By a Record, so that no instrument stays reachable in this function.
			metricsbuffer.Record(b.FractionCounter("c", 4).Delta(0.0001))
			for range 10 {
				runtime.GC() // finds that nobody has the counter any more
				time.Sleep(time.Minute)
			}
			require.Equal(t, 1, b.Stats().Series)
		}
		ended := 0
		for _, batch := range recorder.Batches() {
			for _, p := range batch.Ended {
				require.Equal(t, 4, p.Decimals)
				ended++
			}
		}
		require.Equal(t, 3, ended)
		runtime.KeepAlive(vec)
		require.NoError(t, b.Close())
		p := recorder.Total(metricsbuffer.KindCounter, "c")
		require.Equal(t, "0.0003", string(p.AppendAmount(nil)))
	})
}

// TestAmounts: an amount is the float64 that is nearest to the exact quotient.
func TestAmounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		p := metricsbuffer.Point{Count: int64(random.Uint64()) >> random.IntN(64), Decimals: random.IntN(19)}
		exact, ok := new(big.Rat).SetString(string(p.AppendAmount(nil)))
		require.True(t, ok)
		want, _ := exact.Float64()
		require.InDelta(t, want, p.Amount(), 0, "%d, %d decimals", p.Count, p.Decimals)
	}
}
