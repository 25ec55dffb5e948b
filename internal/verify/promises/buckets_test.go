package promises

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// samples are distributions that a quantile estimate can get wrong.
var samples = map[string]func(r *rand.Rand) float64{
	"lognormal": func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()*1.5 + 13) },
	"bimodal": func(r *rand.Rand) float64 {
		if r.IntN(3) == 0 {
			return 5e6 + 1e5*r.NormFloat64()
		}
		return 2e4 + 1e3*r.NormFloat64()
	},
	"constant":   func(*rand.Rand) float64 { return 123_456 },
	"heavy tail": func(r *rand.Rand) float64 { return 1000 / math.Pow(1-r.Float64(), 1/1.1) }, // Pareto
}

func TestQuantilesAgainstTheExactOnes(t *testing.T) {
	for name, draw := range samples {
		t.Run(name, func(t *testing.T) {
			b, recorder := newBuffer(t)
			histogram, r := b.Histogram("h", "ns"), rand.New(rand.NewPCG(1, 2))
			values := make([]int64, 100_000)
			for i := range values {
				values[i] = int64(draw(r))
				histogram.Observe(values[i])
			}
			require.NoError(t, b.Flush(t.Context()))
			slices.Sort(values)
			point := recorder.Total(metricsbuffer.KindHistogram, "h")
			worst := 0.0
			for _, q := range []float64{0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1} {
				exact := float64(values[max(0, int(math.Ceil(q*float64(len(values))))-1)])
				worst = max(worst, math.Abs(point.Quantile(q)/exact-1))
			}
			require.LessOrEqual(t, worst, 0.022)
			t.Logf("largest relative error %.2f %%", worst*100)
		})
	}
}

func TestQuantileOfNothing(t *testing.T) {
	require.True(t, math.IsNaN((&metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Count: 1}).Quantile(0.5)))
	require.True(t, math.IsNaN((&metricsbuffer.Point{Buckets: new(metricsbuffer.Buckets)}).Quantile(0.5)))
}

func TestEveryValueHasABucket(t *testing.T) {
	b, recorder := newBuffer(t)
	histogram := b.Histogram("h", "bytes", tag("a", "b"))
	for _, v := range []int64{math.MinInt64, -1, 0, 1, 2, math.MaxInt64 - 2} {
		histogram.Observe(v)
	}
	require.NoError(t, b.Flush(t.Context()))
	point := recorder.Total(metricsbuffer.KindHistogram, "h", tag("a", "b"))
	require.Equal(t, [4]int64{6, math.MaxInt64 + 1 - 1 + 0, 0, math.MaxInt64 - 2},
		[4]int64{point.Count, point.Sum - 1, point.Min, point.Max})
	require.Equal(t, "bytes", point.Unit)
	require.EqualValues(t, 3, point.Buckets.Zeros)
	require.EqualValues(t, 2, b.Stats().Negatives)
	var got []string
	for bucket := range point.Buckets.All() {
		got = append(got, fmt.Sprintf("(%.4g, %.4g] %d", bucket.Lower, bucket.Upper, bucket.Count))
	}
	require.Equal(t, []string{"(0, 0] 3", "(0.9576, 1] 1", "(1.915, 2] 1", "(8.832e+18, 9.223e+18] 1"}, got)
}

func TestBucketsSumUpToCount(t *testing.T) {
	b, recorder := newBuffer(t)
	timer := b.Timer("t")
	n := int64(0)
	for round := range 20 {
		for range 1000 {
			timer.Observe(time.Duration(rand.Int64() >> rand.IntN(63)))
			n++
		}
		if round%3 == 0 {
			require.NoError(t, b.Flush(t.Context()))
		}
	}
	require.NoError(t, b.Flush(t.Context()))
	for _, batch := range recorder.Batches() {
		point := batch.Points[0]
		sum := uint64(0)
		for bucket := range point.Buckets.All() {
			sum += bucket.Count
		}
		require.EqualValues(t, point.Count, sum)
	}
	require.Equal(t, n, recorder.Total(metricsbuffer.KindTimer, "t").Count)
}

func ExamplePoint_Quantile() {
	recorder := new(sinktest.Recorder)
	b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	if err != nil {
		panic(err)
	}
	size := b.Histogram("response.size", "bytes")
	for i := range int64(1000) {
		size.Observe(i)
	}
	if err := b.Close(); err != nil {
		panic(err)
	}
	point := recorder.Total(metricsbuffer.KindHistogram, "response.size")
	fmt.Printf("%d responses, median about %.0f %s, largest %d\n", point.Count, point.Quantile(0.5), point.Unit, point.Max)
	// Output: 1000 responses, median about 501 bytes, largest 999
}
