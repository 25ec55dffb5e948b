package otelbridge_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// The delivered sum and the kept fractions are exactly the recorded sum: several goroutines create the instruments anew
// for each update, while the buffer is flushed.
func TestConservation(t *testing.T) {
	for _, limits := range [][2]int{{2, 100}, {100, 100}, {100, 5}} { // of the bridge, of the buffer
		maxSeries, bufferSeries := limits[0], limits[1]
		t.Run(fmt.Sprint("limits ", limits), func(t *testing.T) {
			recorder := new(sinktest.Recorder)
			buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)),
				metricsbuffer.WithMaxSeries(bufferSeries))
			require.NoError(t, err)
			provider, err := otelbridge.NewMeterProvider(buffer, otelbridge.WithMaxSeries(maxSeries))
			require.NoError(t, err)

			const writers, updates = 4, 3000
			recorded := make([]*big.Rat, writers)
			var recording sync.WaitGroup
			for w := range writers {
				recording.Go(func() {
					random := rand.New(rand.NewPCG(uint64(w), 0))
					recorded[w] = new(big.Rat)
					for range updates {
						meter := provider.Meter("scope")
						v := math.Ldexp(float64(random.Int64N(1<<32)), -28) // up to 16, of 32 bits, so that v*1e6 is exact
						set := metric.WithAttributes(attribute.Int("i", random.IntN(10)))
						must(meter.Float64Counter("cost")).Add(t.Context(), v, set)
						must(meter.Float64Histogram("load", metric.WithUnit("us"))).Record(t.Context(), v, set)
						recorded[w].Add(recorded[w], new(big.Rat).SetFloat64(v))
					}
				})
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				recording.Wait()
			}()
			for flushing := true; flushing; {
				select {
				case <-done:
					flushing = false
				default:
					require.NoError(t, buffer.Flush(t.Context()))
				}
			}
			require.NoError(t, buffer.Close())

			want := new(big.Rat)
			for _, sum := range recorded {
				want.Add(want, sum)
			}
			count, nanoseconds, observations := int64(0), int64(0), int64(0)
			for _, p := range recorder.Totals() {
				switch p.Name {
				case "cost":
					count += p.Count
				case "load":
					nanoseconds += p.Sum
					observations += p.Count
				}
			}
			got := new(big.Rat).SetInt64(count)
			got.Add(got, provider.Kept("cost"))
			steps := new(big.Rat).Mul(want, new(big.Rat).SetInt64(1e6))
			require.Zero(t, steps.Cmp(got), "counter: recorded %v, delivered and kept %v", steps, got)
			want.Mul(want, new(big.Rat).SetInt64(1000)) // nanoseconds
			got = new(big.Rat).SetInt64(nanoseconds)
			got.Add(got, provider.Kept("load"))
			require.Zero(t, want.Cmp(got), "timer: recorded %v, delivered and kept %v", want, got)
			require.EqualValues(t, writers*updates, observations)
			if maxSeries < 10 {
				overflow := tag{Key: "otel.metric.overflow", Value: "true"}
				scope := tag{Key: "otel.scope.name", Value: "scope"}
				require.Positive(t, recorder.Total(metricsbuffer.KindCounter, "cost", scope, overflow).Count)
			}
		})
	}
}

// A duration in seconds is a whole number of nanoseconds again. It is recorded as it was measured; nothing is kept.
func TestDurations(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	provider := must(otelbridge.NewMeterProvider(buffer))
	latency := must(provider.Meter("").Float64Histogram("latency", metric.WithUnit("s")))
	ratio := must(provider.Meter("").Float64Histogram("ratio", metric.WithUnit("%")))
	random := rand.New(rand.NewPCG(0, 0))
	var want time.Duration
	for range 100_000 {
		d := time.Duration(random.Int64N(1 << (1 + random.IntN(45)))) // up to ten hours
		latency.Record(t.Context(), d.Seconds())
		ratio.Record(t.Context(), float64(d%1e8)/1e6) // 0 to 100 with 6 decimal places
		want += d
	}
	require.NoError(t, buffer.Close())
	require.EqualValues(t, want, recorder.Total(metricsbuffer.KindTimer, "latency").Sum)
	require.Zero(t, provider.Kept("latency").Sign())
	require.Zero(t, provider.Kept("ratio").Sign())
}

// Beyond the limit, updates go to one series for each instrument. Their number is counted.
func TestOverflow(t *testing.T) {
	meter, flush := instrumented(t, otelbridge.WithMaxSeries(3))
	for range 2 {
		for i := range 10 {
			set := metric.WithAttributes(attribute.Int("i", i))
			must(meter.Float64Counter("cost")).Add(t.Context(), 1.5, set)
			must(meter.Int64UpDownCounter("open")).Add(t.Context(), 2, set)
			must(meter.Int64Histogram("size")).Record(t.Context(), 7, set)
		}
	}
	recorder := flush()
	overflow := tag{Key: "otel.metric.overflow", Value: "true"}
	require.EqualValues(t, 3_000_000, recorder.Total(metricsbuffer.KindCounter, "cost", tag{Key: "i", Value: "2"}).Count)
	require.EqualValues(t, 21_000_000, recorder.Total(metricsbuffer.KindCounter, "cost", overflow).Count)
	require.InDelta(t, 28, recorder.Total(metricsbuffer.KindGauge, "open", overflow).Value, 0)
	require.EqualValues(t, 7*14, recorder.Total(metricsbuffer.KindHistogram, "size", overflow).Sum)
	for _, instrument := range []string{"cost", "open", "size"} {
		require.EqualValues(t, 14, recorder.Total(metricsbuffer.KindCounter, "otelbridge.overflowed",
			tag{Key: "instrument", Value: instrument}).Count)
	}
}

// If the buffer has reached its limit of series, the fractions of all sets in an overflow series add up to wholes.
func TestOverflowOfBuffer(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer := must(metricsbuffer.New(metricsbuffer.WithMaxSeries(10), metricsbuffer.WithSink(recorder)))
	meter := must(otelbridge.NewMeterProvider(buffer)).Meter("")
	const sets = 1000
	for i := range sets {
		set := metric.WithAttributes(attribute.Int("i", i))
		must(meter.Float64Counter("cost")).Add(t.Context(), 0.875e-6, set)
		must(meter.Float64Histogram("load", metric.WithUnit("ns"))).Record(t.Context(), 0.25, set)
		must(meter.Float64Histogram("size", metric.WithUnit("By"))).Record(t.Context(), 0.25/1000, set)
	}
	require.NoError(t, buffer.Close())
	count, sums := int64(0), map[string]int64{}
	for _, p := range recorder.Totals() {
		if p.Name == "cost" {
			count += p.Count
		}
		sums[p.Name] += p.Sum
	}
	// Each of the 10 ordinary series keeps less than 1, and so does the overflow series.
	require.InDelta(t, sets*0.875, count, 11)
	require.InDelta(t, sets*0.25, sums["load"], 11)
	require.InDelta(t, sets*0.25, sums["size"], 11)
}

// Any number of instruments takes bounded memory, and their totals are right.
func TestManyInstruments(t *testing.T) {
	handled := handleErrors(t)
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	provider, err := otelbridge.NewMeterProvider(buffer, otelbridge.WithMaxSeries(10))
	require.NoError(t, err)
	for i := range 1000 {
		meter := provider.Meter("scope")
		must(meter.Float64Counter(fmt.Sprint("name", i), metric.WithUnit(fmt.Sprint(i)))).Add(t.Context(), 0.5,
			metric.WithAttributes(attribute.Int("i", i)))
		must(meter.Float64Histogram(fmt.Sprint("name", i), metric.WithUnit(fmt.Sprint("u", i)))).Record(t.Context(), 0.5)
		must(meter.Int64UpDownCounter(fmt.Sprint("name", i))).Add(t.Context(), 1)
	}
	require.NoError(t, buffer.Close())
	require.LessOrEqual(t, len(provider.Instruments()), 10+3)
	require.Len(t, *handled, 3, "the first of each kind beyond the limit")
	count, sum, gauge := int64(0), int64(0), 0.0
	for _, p := range recorder.Totals() {
		switch p.Kind {
		case metricsbuffer.KindCounter:
			if p.Name != "otelbridge.overflowed" {
				count += p.Count
			}
		case metricsbuffer.KindGauge:
			gauge += p.Value
		default:
			sum += p.Sum
		}
	}
	require.EqualValues(t, 500_000_000, count)
	require.EqualValues(t, 500_000, sum)
	require.InDelta(t, 1000, gauge, 0)
}

// No fraction of a number that is not scaled is taken for noise, however large the number is.
func TestFractionsOfLargeNumbers(t *testing.T) {
	meter, flush := instrumented(t, otelbridge.WithDecimals(func(string, string) int { return 0 }))
	bytes := must(meter.Float64Counter("bytes"))
	latency := must(meter.Float64Histogram("latency", metric.WithUnit("ns")))
	for range 1000 {
		latency.Record(t.Context(), 1<<50+0.5)
		bytes.Add(t.Context(), 1<<50+0.5)
	}
	recorder := flush()
	require.Equal(t, int64(1000<<50+500), recorder.Total(metricsbuffer.KindTimer, "latency").Sum)
	require.Equal(t, int64(1000<<50+500), recorder.Total(metricsbuffer.KindCounter, "bytes").Count)
}

// No name escapes the limit of instruments.
func TestLimitOfInstruments(t *testing.T) {
	for _, name := range []string{"jobs", "otelbridge.overflow"} {
		buffer := must(metricsbuffer.New())
		provider := must(otelbridge.NewMeterProvider(buffer, otelbridge.WithMaxSeries(10)))
		errs := handleErrors(t)
		for i := range 100 {
			must(provider.Meter("m").Int64Counter(name, metric.WithUnit(strconv.Itoa(i))))
		}
		require.Len(t, provider.Instruments(), 11, name)
		require.NotEmpty(t, *errs)
		require.NoError(t, buffer.Close())
	}
}
