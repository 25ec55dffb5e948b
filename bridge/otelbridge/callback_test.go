package otelbridge_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestSameAsSDKObservables(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		m := provider.Meter("scope")
		a, b := metric.WithAttributes(attribute.Int("i", 1)), metric.WithAttributes(attribute.Int("i", 2))
		whole := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(7, a)
			o.Observe(5, a)
			o.Observe(3, b)
			return nil
		})
		float := metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(0.5, a)
			o.Observe(2.75, a)
			o.Observe(1.25, b)
			return nil
		})
		for range 2 { // only the first creation's callbacks are called
			must(m.Int64ObservableCounter("ic", whole, metric.WithUnit("By")))
			must(m.Int64ObservableUpDownCounter("iu", whole))
			must(m.Int64ObservableGauge("ig", whole))
			must(m.Float64ObservableCounter("fc", float))
			must(m.Float64ObservableUpDownCounter("fu", float, metric.WithUnit("s")))
			must(m.Float64ObservableGauge("fg", float))
		}
		must(m.Int64ObservableUpDownCounter("twice", whole, whole))
		must(m.Int64ObservableCounter("twice_c", whole, whole))
		must(m.Int64ObservableCounter("only", whole, allowing())) // the attributes' values are added up
	})
}

// The SDK takes an observable instrument with other capital letters for another one: it calls its callbacks, too. Both
// observe one sum.
func TestSameAsSDKObservablesThatDifferInCase(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		m := provider.Meter("scope")
		for range 2 {
			for i, name := range []string{"Jobs", "jobs", "JOBS"} {
				whole := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
					o.Observe(1 << i)
					return nil
				})
				float := metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
					o.Observe(float64(int(1)<<i) / 4)
					return nil
				})
				must(m.Int64ObservableCounter(name, whole))
				must(m.Int64ObservableUpDownCounter(name, whole))
				must(m.Float64ObservableCounter(name+".size", float))
				must(m.Float64ObservableUpDownCounter(name+".size", float))
			}
		}
	})
}

func TestSameAsSDKCallbacks(t *testing.T) {
	for range 20 { // callbacks run concurrently
		differential(t, func(t *testing.T, provider metric.MeterProvider) {
			m := provider.Meter("scope")
			ic, iu := must(m.Int64ObservableCounter("ic")), must(m.Int64ObservableUpDownCounter("iu"))
			fg, fc := must(m.Float64ObservableGauge("fg")), must(m.Float64ObservableCounter("fc"))
			register := func(n int64) metric.Registration {
				return must(m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
					o.ObserveInt64(ic, n)
					o.ObserveInt64(iu, -n)
					o.ObserveFloat64(fc, float64(n))
					o.ObserveFloat64(fg, 0.25)
					return nil
				}, ic, iu, fc, fg))
			}
			register(3)
			register(4)
			require.NoError(t, register(100).Unregister())
			must(m.RegisterCallback(func(context.Context, metric.Observer) error { panic("called") })) // names none
		})
	}
}

// A total's growth is counted, a smaller one has begun anew, and an unregistered callback is not called.
func TestCallbackTotals(t *testing.T) {
	meter, flush := instrumented(t)
	total, attributes := 0.0, attribute.String("k", "a")
	counter, sum := must(meter.Float64ObservableCounter("c")), must(meter.Float64ObservableUpDownCounter("u"))
	register := func(f func(metric.Observer)) metric.Registration {
		return must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			f(o)
			return nil
		}, counter, sum))
	}
	first := register(func(o metric.Observer) {
		o.ObserveFloat64(counter, total)
		o.ObserveFloat64(sum, total, metric.WithAttributes(attributes))
	})
	second := register(func(o metric.Observer) { o.ObserveFloat64(sum, 100, metric.WithAttributes(attributes)) })
	for _, step := range []struct {
		total, counted float64
	}{
		{2.5, 2.5}, {2.75, 2.75}, {2.7500019, 2.750001}, {2.7500021, 2.750002},
		{3.3, 3.3}, // which is a little less as a float64
		{1.5, 4.8}, {1.5, 4.8},
	} {
		total = step.total
		recorder := flush()
		counted := recorder.Total(metricsbuffer.KindCounter, "c")
		require.InDelta(t, step.counted, counted.Amount(), 0)
		require.InDelta(t, 100+total, recorder.Total(metricsbuffer.KindGauge, "u", tag{Key: "k", Value: "a"}).Value, 0)
	}
	require.NoError(t, second.Unregister())
	require.InDelta(t, 1.5, flush().Total(metricsbuffer.KindGauge, "u", tag{Key: "k", Value: "a"}).Value, 0)
	require.NoError(t, first.Unregister())
	total = 50
	require.EqualValues(t, 4_800_000, flush().Total(metricsbuffer.KindCounter, "c").Count)
}

// OpenTelemetry's handler gets callbacks' errors. The values that they observed before are recorded.
func TestCallbackErrors(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t)
	failure := errors.New("no connection")
	a, b := must(meter.Int64ObservableCounter("a")), must(meter.Int64ObservableCounter("b"))
	registration := must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(a, 2)
		o.ObserveInt64(a, -1)
		o.ObserveInt64(b, 3)
		o.ObserveInt64(noop.Int64ObservableCounter{}, 4)
		return failure
	}, a))
	recorder := flush()
	require.NoError(t, registration.Unregister())
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "a").Count)
	for _, p := range recorder.Totals() {
		require.NotEqual(t, "b", p.Name)
	}
	require.EqualValues(t, 1, rejected(recorder, "a"))
	require.Len(t, *handled, 3)
	require.ErrorIs(t, (*handled)[0], otelbridge.ErrObservable)
	require.ErrorIs(t, (*handled)[1], otelbridge.ErrObservable)
	require.ErrorIs(t, (*handled)[2], failure)
	_, err := meter.RegisterCallback(func(context.Context, metric.Observer) error { return nil },
		noop.Int64ObservableCounter{})
	require.ErrorIs(t, err, otelbridge.ErrObservable)
	_, err = meter.RegisterCallback(nil, a)
	require.ErrorIs(t, err, otelbridge.ErrObservable)
}

// Mistakes of a callback are reported once for each instrument, and not for each series or call. All are counted.
func TestMistakesAreReportedOnce(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t)
	own := must(meter.Int64ObservableCounter("own"))
	other, gauge := must(meter.Int64ObservableCounter("other")), must(meter.Float64ObservableGauge("gauge"))
	var kept metric.Observer
	registration := must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i := range 100 {
			set := metric.WithAttributes(attribute.Int("i", i))
			o.ObserveInt64(other, 1, set)
			o.ObserveFloat64(gauge, 1, set)
			o.ObserveInt64(noop.Int64ObservableCounter{}, 1, set)
			for range 2 {
				o.ObserveInt64(own, math.MaxInt64, set)
			}
		}
		kept = o
		return nil
	}, own))
	flush()
	recorder := flush()
	require.NoError(t, registration.Unregister())
	require.EqualValues(t, 200, rejected(recorder, "other"))
	require.EqualValues(t, 200, rejected(recorder, "gauge"))
	require.EqualValues(t, 100, rejected(recorder, "own"), "no total has grown in the second call")
	require.Len(t, *handled, 4)
	for range 100 {
		kept.ObserveInt64(own, 1)
	}
	require.EqualValues(t, 200, rejected(flush(), "own"))
	require.Len(t, *handled, 5)
}

// An instrument of another meter is refused, and the others are observed, as in the SDK. A second meter of the same
// scope is the same.
func TestSameAsSDKOtherMeters(t *testing.T) {
	differential(t, func(t *testing.T, provider metric.MeterProvider) {
		own := must(provider.Meter("a").Int64ObservableCounter("own"))
		other := must(provider.Meter("b").Int64ObservableCounter("other"))
		_, err := provider.Meter("a").RegisterCallback(func(_ context.Context, o metric.Observer) error {
			o.ObserveInt64(own, 1)
			o.ObserveInt64(other, 1)
			return nil
		}, own, other)
		require.ErrorContains(t, err, "other")
		registration, err := provider.Meter("a").RegisterCallback(func(context.Context, metric.Observer) error {
			panic("called")
		}, other)
		require.ErrorContains(t, err, "other")
		require.NoError(t, registration.Unregister())
	})
}

// An instrument of the same scope, but of another provider, records into another buffer. It is refused, too. Without
// scopes, all meters of a provider are one.
func TestOtherProviders(t *testing.T) {
	meter, _ := instrumented(t)
	other, _ := instrumented(t)
	nothing := func(context.Context, metric.Observer) error { return nil }
	_, err := meter.RegisterCallback(nothing, must(other.Float64ObservableGauge("g")))
	require.ErrorIs(t, err, otelbridge.ErrObservable)
	one := must(otelbridge.NewMeterProvider(nil, otelbridge.WithoutScope()))
	_, err = one.Meter("a").RegisterCallback(nothing, must(one.Meter("b").Float64ObservableGauge("g")))
	require.NoError(t, err)
}

// A growth that a counter cannot hold is counted as rejected and told, once. Later growth is counted.
func TestObservedTotalsOfAnySize(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t)
	whole, float := must(meter.Int64ObservableCounter("whole")), must(meter.Float64ObservableCounter("real"))
	more := 0
	must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(whole, math.MaxInt64)
		o.ObserveInt64(whole, math.MaxInt64-5)
		o.ObserveInt64(whole, int64(more))
		o.ObserveFloat64(float, 9e12)
		o.ObserveFloat64(float, 9e12)
		o.ObserveFloat64(float, float64(more)/2)
		return nil
	}, whole, float))
	require.Empty(t, counted(flush(), "whole"))
	for range 3 {
		more++
		flush()
	}
	recorder := flush()
	require.Equal(t, []float64{3}, counted(recorder, "whole"))
	require.Equal(t, []float64{1.5}, counted(recorder, "real"))
	require.Len(t, *handled, 2)
	for i, name := range []string{"whole", "real"} {
		require.EqualValues(t, 1, rejected(recorder, name))
		require.ErrorIs(t, (*handled)[i], otelbridge.ErrObservable)
	}

	infinite := must(meter.Float64ObservableCounter("infinite"))
	must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(infinite, math.MaxFloat64)
		o.ObserveFloat64(infinite, math.NaN())
		o.ObserveFloat64(infinite, math.Inf(1))
		return nil
	}, infinite))
	require.EqualValues(t, 3, rejected(flush(), "infinite"))
	require.Len(t, *handled, 3)
}

// counted returns the totals of the counters of a name that are not 0.
func counted(recorder *sinktest.Recorder, name string) (amounts []float64) {
	for _, p := range recorder.Totals() {
		if p.Name == name && p.Count != 0 {
			amounts = append(amounts, p.Amount())
		}
	}
	return amounts
}

// A total that is observed in parts does not shrink if their order changes: it has not begun anew.
func TestOrderOfTotals(t *testing.T) {
	meter, flush := instrumented(t)
	total := must(meter.Float64ObservableCounter("total"))
	parts := []float64{0.1, 0.7, 1e10, 0.2, 3e10, 0.3}
	must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, v := range parts {
			o.ObserveFloat64(total, v)
		}
		parts = append(parts[1:], parts[0])
		return nil
	}, total))
	for range 20 {
		require.Equal(t, []float64{4e10 + 1.3}, counted(flush(), "total"))
	}
}

// A program that adds up float64 in another order, such as those of a map, observes a sum that is a little smaller. It
// has not begun anew, though it has fallen below a whole number of steps. A total that has begun anew counts in full.
func TestRoundedTotals(t *testing.T) {
	const high = 102614.918945
	low := high
	for range 10 {
		low = math.Nextafter(low, 0)
	}
	for _, test := range []struct {
		totals []float64
		want   float64
	}{
		{[]float64{high, low, high, low, high + 1, low + 1}, high + 1},
		{[]float64{high * 1e6, low * 1e6, high * 1e6}, high * 1e6},
		{[]float64{high, high - 0.000002, high}, 2 * high},
		{[]float64{1, 0.999999, 1}, 2},
	} {
		meter, flush := instrumented(t)
		total := 0.0
		must(meter.Float64ObservableCounter("total", metric.WithFloat64Callback(
			func(_ context.Context, o metric.Float64Observer) error {
				o.Observe(total)
				return nil
			})))
		for _, total = range test.totals {
			flush()
		}
		require.InEpsilonSlice(t, []float64{test.want}, counted(flush(), "total"), 1e-11, test.totals)
	}
}

// Halves of a step are not rounded up, near 2^50 either, where scaling may be off by a quarter of a step. The sum is
// that of the exact numbers, but for a quarter of a step for each.
func TestHalvesAreKept(t *testing.T) {
	const factor, times = 1_000_000, 1000
	random := rand.New(rand.NewPCG(1, 2))
	for _, power := range []int{40, 47, 49, 50} {
		v := 0.0
		for v*factor-math.Floor(v*factor) != 0.5 {
			v = math.Ldexp(1+random.Float64(), power) / factor
		}
		meter, flush := instrumented(t)
		counter := must(meter.Float64Counter("counter", metric.WithUnit("1")))
		histogram := must(meter.Float64Histogram("histogram", metric.WithUnit("1")))
		must(meter.Float64ObservableCounter("total", metric.WithFloat64Callback(
			func(_ context.Context, o metric.Float64Observer) error {
				o.Observe(v)
				return nil
			})))
		for range times {
			counter.Add(t.Context(), v)
			histogram.Record(t.Context(), v)
		}
		one := new(big.Rat).Mul(new(big.Rat).SetFloat64(v), big.NewRat(factor, 1))
		all := new(big.Rat).Mul(one, big.NewRat(times, 1))
		points := flush().Totals()
		require.Less(t, stepsFrom(points, "counter", all), times/4+1., power)
		require.Less(t, stepsFrom(points, "histogram", all), times/4+1., power)
		require.Less(t, stepsFrom(points, "total", one), 0.75, power)
	}
}

// stepsFrom returns by how many steps the series differs from the exact number of them.
func stepsFrom(points []metricsbuffer.Point, name string, exact *big.Rat) float64 {
	for _, p := range points {
		if p.Name == name {
			got := p.Count
			if p.Kind == metricsbuffer.KindHistogram {
				got = p.Sum
			}
			off, _ := new(big.Rat).Sub(new(big.Rat).SetInt64(got), exact).Float64()
			return math.Abs(off)
		}
	}
	return math.Inf(1)
}

// A total without decimal places is not scaled, so it has no noise: it is rounded down even next to a whole number.
func TestTotalsWithoutDecimals(t *testing.T) {
	meter, flush := instrumented(t, otelbridge.WithDecimals(func(_, _ string) int { return 0 }))
	must(meter.Float64ObservableCounter("total", metric.WithFloat64Callback(
		func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(math.Nextafter(3, 0))
			return nil
		})))
	require.Equal(t, []float64{2}, counted(flush(), "total"))
}

// Beyond the limit of instruments, an observable is an error and its callbacks are not called.
func TestObservablesBeyondLimit(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t, otelbridge.WithMaxSeries(2))
	one := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(1); return nil })
	called := metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error { panic("called") })
	a := must(meter.Int64ObservableCounter("a", one))
	must(meter.Int64Gauge("b"))
	must(meter.Int64ObservableCounter("a", called)) // is the first one again
	for _, name := range []string{"c", "d"} {
		beyond, err := meter.Int64ObservableCounter(name, called)
		require.ErrorIs(t, err, otelbridge.ErrObservable)
		require.ErrorContains(t, err, name)
		_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			o.ObserveInt64(a, 5)
			o.ObserveInt64(beyond, 7)
			return nil
		}, a, beyond)
		require.ErrorIs(t, err, otelbridge.ErrObservable)
	}
	must(meter.Int64ObservableCounter("a", one, metric.WithDescription("another one for the SDK")))
	_, err := meter.Int64ObservableCounter("a", called, metric.WithDescription("beyond the limit"))
	require.ErrorIs(t, err, otelbridge.ErrObservable)
	require.Len(t, *handled, 1) // the first beyond the limit
	require.Equal(t, []float64{12}, counted(flush(), "a"))
	require.Len(t, *handled, 3)
}

// Callbacks' parts of a sum are always added in the same order, so the sum of the same numbers is the same.
func TestOrderOfSums(t *testing.T) {
	meter, flush := instrumented(t)
	sum := must(meter.Float64ObservableUpDownCounter("sum"))
	numbers := []float64{0.1, 0.2, 0.3, 1e16, -1e16, 0.7}
	want := 0.0
	for _, v := range numbers {
		want += v
		must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			o.ObserveFloat64(sum, v)
			return nil
		}, sum))
	}
	for range 100 {
		require.InDelta(t, want, flush().Total(metricsbuffer.KindGauge, "sum").Value, 0)
	}
}

// Observations of several sets of attributes add up if the sets are one series: their text is the same, or they have an
// overflow series of the buffer.
func TestSumsOfOneSeries(t *testing.T) {
	numbers := make([]attribute.KeyValue, 10)
	for i := range numbers {
		numbers[i] = attribute.Int("k", i)
	}
	for name, test := range map[string]struct {
		observe []attribute.KeyValue
		limit   int // of the buffer
		series  int
	}{
		"text":     {[]attribute.KeyValue{attribute.Int("k", 1), attribute.String("k", "1")}, 100, 1},
		"overflow": {numbers, 3, 4},
	} {
		recorder := new(sinktest.Recorder)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)),
			metricsbuffer.WithMaxSeries(test.limit))
		require.NoError(t, err)
		meter := must(otelbridge.NewMeterProvider(buffer)).Meter("")
		observe := test.observe
		callback := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, attribute := range observe {
				o.Observe(2, metric.WithAttributes(attribute))
			}
			return nil
		})
		must(meter.Int64ObservableUpDownCounter("u", callback, callback))
		total := func() (sum float64, series int) {
			t.Helper()
			require.NoError(t, buffer.Flush(t.Context()))
			for _, p := range recorder.Totals() {
				if p.Name == "u" {
					sum += p.Value
					series++
				}
			}
			return sum, series
		}
		for range 2 {
			sum, series := total()
			require.InDelta(t, 2*2*len(observe), sum, 0, name)
			require.Equal(t, test.series, series, name)
		}
		observe = observe[:len(observe)-1] // of the last series, the other sets remain
		sum, _ := total()
		require.InDelta(t, 2*2*len(observe), sum, 0, name)
		require.NoError(t, buffer.Close())
	}
}

// A series that is no longer observed gets no new points.
func TestNoLongerObserved(t *testing.T) {
	meter, flush := instrumented(t)
	sum, counter := must(meter.Int64ObservableUpDownCounter("sum")), must(meter.Int64ObservableCounter("counter"))
	gauge := must(meter.Int64ObservableGauge("gauge"))
	v := int64(1)
	must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(sum, v)
		for i := range 3 {
			if attributes := metric.WithAttributes(attribute.Int("i", i)); i > 0 || v == 1 {
				o.ObserveInt64(sum, v, attributes)
				o.ObserveInt64(counter, v, attributes)
				o.ObserveInt64(gauge, v, attributes)
			}
		}
		return nil
	}, sum, counter, gauge))
	flush()
	v = 2
	batches := flush().Batches()
	last := batches[len(batches)-1].Points
	require.Len(t, last, 1+2*3)
	for _, p := range last {
		require.False(t, slices.Contains(p.Tags, tag{Key: "i", Value: "0"}), "%+v", p)
	}
}

// A callback that panics and one that hangs are told. The others' values are in the batch, and those of the one that
// hung are in a later one.
func TestPanicsAndHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := handleErrors(t)
		recorder := new(sinktest.Recorder)
		var mu sync.Mutex
		var errs []error
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)),
			metricsbuffer.WithErrorHandler(func(err error) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}))
		require.NoError(t, err)
		meter := must(otelbridge.NewMeterProvider(buffer)).Meter("")
		counter, sum := must(meter.Int64ObservableCounter("c")), must(meter.Int64ObservableUpDownCounter("u"))
		panicking, hung := true, make(chan struct{})
		var kept metric.Observer
		register := func(f func(metric.Observer)) {
			must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
				f(o)
				return nil
			}, counter, sum))
		}
		register(func(o metric.Observer) {
			o.ObserveInt64(counter, 1)
			o.ObserveInt64(sum, 1)
			if panicking {
				kept = o
				panic("broken")
			}
		})
		register(func(o metric.Observer) {
			o.ObserveInt64(counter, 20)
			<-hung
			o.ObserveInt64(sum, 20)
		})
		register(func(o metric.Observer) {
			o.ObserveInt64(counter, 300)
			o.ObserveInt64(sum, 300)
		})
		flush := func(want float64) {
			t.Helper()
			require.NoError(t, buffer.Flush(t.Context()))
			synctest.Wait()
			require.Equal(t, []float64{want}, counted(recorder, "c"))
			require.InDelta(t, want, recorder.Total(metricsbuffer.KindGauge, "u").Value, 0)
		}
		flush(300)
		require.Len(t, errs, 2)
		require.ErrorContains(t, errors.Join(errs...), "broken")
		require.ErrorContains(t, errors.Join(errs...), "has not returned")
		kept.ObserveInt64(counter, 1)
		require.Len(t, *handled, 1) // the call is over
		panicking = false
		flush(301)
		close(hung)
		synctest.Wait()
		flush(321)
		require.Len(t, errs, 2)
		require.NoError(t, buffer.Close())
	})
}

// A callback may observe on several goroutines. An observation after it has returned is told, and changes nothing.
func TestObservingGoroutines(t *testing.T) {
	handled := handleErrors(t)
	meter, flush := instrumented(t)
	counter, sum := must(meter.Int64ObservableCounter("c")), must(meter.Float64ObservableUpDownCounter("u"))
	gauge := must(meter.Float64ObservableGauge("g"))
	var kept metric.Observer
	registration := must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		var observing sync.WaitGroup
		for range 4 {
			observing.Go(func() {
				for range 100 {
					o.ObserveInt64(counter, 1)
					o.ObserveFloat64(sum, 1)
					o.ObserveFloat64(gauge, 1)
				}
			})
		}
		observing.Wait()
		kept = o
		return nil
	}, counter, sum, gauge))
	flush()
	require.NoError(t, registration.Unregister())
	kept.ObserveInt64(counter, 1)
	kept.ObserveFloat64(sum, 1)
	kept.ObserveFloat64(gauge, 2)
	recorder := flush()
	require.Equal(t, []float64{400}, counted(recorder, "c"))
	require.InDelta(t, 400, recorder.Total(metricsbuffer.KindGauge, "u").Value, 0)
	require.InDelta(t, 1, recorder.Total(metricsbuffer.KindGauge, "g").Value, 0)
	require.Len(t, *handled, 3)
	require.ErrorIs(t, errors.Join(*handled...), otelbridge.ErrObservable)
}

// Instruments and callbacks that were made before the provider was set work from then on.
func TestGlobalProvider(t *testing.T) {
	if _, ok := otel.GetMeterProvider().(*otelbridge.MeterProvider); ok {
		t.Skip("OpenTelemetry's global provider can be set once in a process: run this test without -count")
	}
	meter := otel.Meter("early")
	must(meter.Int64ObservableGauge("own", metric.WithInt64Callback(
		func(_ context.Context, o metric.Int64Observer) error { o.Observe(7); return nil })))
	registered := must(meter.Float64ObservableCounter("registered"))
	f := func(_ context.Context, o metric.Observer) error { o.ObserveFloat64(registered, 2.5); return nil }
	early := must(meter.RegisterCallback(f, registered))

	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	defer func() { require.NoError(t, buffer.Close()) }()
	otel.SetMeterProvider(must(otelbridge.NewMeterProvider(buffer)))
	late := must(meter.RegisterCallback(f, registered))
	require.NoError(t, buffer.Flush(t.Context()))
	scope := tag{Key: "otel.scope.name", Value: "early"}
	require.InDelta(t, 7, recorder.Total(metricsbuffer.KindGauge, "own", scope).Value, 0)
	require.Equal(t, []float64{5}, counted(recorder, "registered"))
	require.NoError(t, errors.Join(early.Unregister(), late.Unregister()))
}

// A program observes what a pool of connections knows. The buffer asks before each batch.
func ExampleMeterProvider_callback() {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	if err != nil {
		fmt.Println(err)
		return
	}
	provider, err := otelbridge.NewMeterProvider(buffer)
	if err != nil {
		fmt.Println(err)
		return
	}

	meter := provider.Meter("")
	open, err := meter.Int64ObservableUpDownCounter("pool.open")
	if err != nil {
		fmt.Println(err)
		return
	}
	waited, err := meter.Float64ObservableCounter("pool.waited", metric.WithUnit("s"))
	if err != nil {
		fmt.Println(err)
		return
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(open, 3)
		o.ObserveFloat64(waited, 12.5) // since the pool was made
		return nil
	}, open, waited)
	if err != nil {
		fmt.Println(err)
		return
	}

	if err := buffer.Flush(context.Background()); err != nil {
		fmt.Println(err)
	}
	if err := registration.Unregister(); err != nil {
		fmt.Println(err)
	}
	for _, p := range recorder.Totals() {
		fmt.Println(p.Kind, p.Name, p.Amount(), p.Value)
	}
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// gauge pool.open 0 3
	// counter pool.waited 12.5 0
}
