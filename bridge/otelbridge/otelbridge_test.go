package otelbridge_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

type tag = metricsbuffer.Tag

// instrumented returns a meter, and a function that flushes and returns the recorder.
func instrumented(t testing.TB, opts ...otelbridge.Option) (metric.Meter, func() *sinktest.Recorder) {
	t.Helper()
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	provider, err := otelbridge.NewMeterProvider(buffer, opts...)
	require.NoError(t, err)
	return provider.Meter(""), func() *sinktest.Recorder {
		require.NoError(t, buffer.Flush(t.Context()))
		return recorder
	}
}

// handleErrors returns the errors that OpenTelemetry's global handler gets during the test.
func handleErrors(t *testing.T) *[]error {
	t.Helper()
	var mu sync.Mutex // callbacks run concurrently
	var handled []error
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, err)
	}))
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	return &handled
}

// must returns the instrument.
func must[I any](i I, err error) I {
	if err != nil {
		panic(err)
	}
	return i
}

func TestCounters(t *testing.T) {
	meter, flush := instrumented(t)
	jobs := must(meter.Int64Counter("jobs"))
	attributes := metric.WithAttributes(
		attribute.String("queue", "a"), attribute.Int("shard", 1), attribute.Bool("hot", true))
	jobs.Add(t.Context(), 3, attributes)
	jobs.Add(t.Context(), 4, attributes)
	jobs.Add(t.Context(), 5)
	jobs.Add(t.Context(), -1)
	recorder := flush()
	require.EqualValues(t, 7, recorder.Total(metricsbuffer.KindCounter, "jobs", tag{Key: "queue", Value: "a"},
		tag{Key: "shard", Value: "1"}, tag{Key: "hot", Value: "true"}).Count)
	require.EqualValues(t, 5, recorder.Total(metricsbuffer.KindCounter, "jobs").Count)
	require.EqualValues(t, 1, rejected(recorder, "jobs"))
}

func rejected(r *sinktest.Recorder, instrument string) int64 {
	return r.Total(metricsbuffer.KindCounter, "otelbridge.rejected", tag{Key: "instrument", Value: instrument}).Count
}

// Fractions are not lost, whoever adds them.
func TestFractions(t *testing.T) {
	meter, flush := instrumented(t)
	seconds := must(meter.Float64Counter("seconds"))
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for range 1000 {
				seconds.Add(t.Context(), 1.25)
			}
		})
	}
	adding.Wait()
	seconds.Add(t.Context(), 0.75e-6) // remains
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), 1e19} {
		seconds.Add(t.Context(), v)
	}
	recorder := flush()
	amount := func(r *sinktest.Recorder) string {
		p := r.Total(metricsbuffer.KindCounter, "seconds")
		return string(p.AppendAmount(nil))
	}
	require.Equal(t, "5000", amount(recorder))
	require.EqualValues(t, 4, rejected(recorder, "seconds"))
	seconds.Add(t.Context(), 0.25e-6)
	require.Equal(t, "5000.000001", amount(flush()))
	seconds.Add(t.Context(), 0.29) // 0.29*1e6 is a little less than a whole number
	require.Equal(t, "5000.290001", amount(flush()))
}

func TestGauges(t *testing.T) {
	meter, flush := instrumented(t)
	up := must(meter.Int64UpDownCounter("up"))
	up.Add(t.Context(), 5)
	up.Add(t.Context(), -7)
	down := must(meter.Float64UpDownCounter("down"))
	down.Add(t.Context(), -0.5)
	down.Add(t.Context(), -0.25)
	must(meter.Int64Gauge("whole")).Record(t.Context(), 3)
	must(meter.Float64Gauge("broken")).Record(t.Context(), math.Inf(1))
	recorder := flush()
	for name, want := range map[string]float64{"up": -2, "down": -0.75, "whole": 3, "broken": math.Inf(1)} {
		got := recorder.Total(metricsbuffer.KindGauge, name).Value
		require.Equal(t, math.Float64bits(want), math.Float64bits(got), "%s is %v", name, got)
	}
}

func TestHistograms(t *testing.T) {
	meter, flush := instrumented(t)
	for unit, want := range map[string]int64{"s": 2_500_000_000, "ms": 2_500_000, "us": 2500, "ns": 3} {
		h := must(meter.Float64Histogram("float_"+unit, metric.WithUnit(unit)))
		h.Record(t.Context(), 2.5)
		p := flush().Total(metricsbuffer.KindTimer, "float_"+unit)
		require.Equal(t, want, p.Sum)
		require.EqualValues(t, 1, p.Count)
	}
	must(meter.Int64Histogram("ms", metric.WithUnit("ms"))).Record(t.Context(), 7)
	require.EqualValues(t, 7*time.Millisecond, flush().Total(metricsbuffer.KindTimer, "ms").Sum)

	size := must(meter.Int64Histogram("size", metric.WithUnit("By")))
	size.Record(t.Context(), math.MaxInt64)
	p := flush().Total(metricsbuffer.KindHistogram, "size")
	require.Equal(t, int64(math.MaxInt64), p.Max)
	require.Equal(t, "By", p.Unit)

	days := must(meter.Int64Histogram("days", metric.WithUnit("s")))
	days.Record(t.Context(), math.MaxInt64/1_000_000_000)
	days.Record(t.Context(), math.MaxInt64/1_000_000_000+1)
	days.Record(t.Context(), math.MinInt64)
	days.Record(t.Context(), -1) // zero
	floats := must(meter.Float64Histogram("floats"))
	for _, v := range []float64{math.NaN(), math.Inf(-1), 1 << 63, 0.4} {
		floats.Record(t.Context(), v)
	}
	recorder := flush()
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindTimer, "days").Count)
	require.EqualValues(t, 2, rejected(recorder, "days"))
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindHistogram, "floats").Count)
	require.EqualValues(t, 3, rejected(recorder, "floats"))
}

// Nothing is allocated for attributes seen before, if the caller keeps the options.
func TestAllocations(t *testing.T) {
	meter, _ := instrumented(t)
	counter, histogram := must(meter.Int64Counter("jobs")), must(meter.Float64Histogram("latency", metric.WithUnit("s")))
	set := metric.WithAttributeSet(attribute.NewSet(attribute.String("queue", "a"), attribute.Int("shard", 1)))
	cost := must(meter.Float64Counter("cost"))
	add, record := []metric.AddOption{set}, []metric.RecordOption{set}
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		counter.Add(ctx, 1, add...)
		cost.Add(ctx, 0.3, add...)
		histogram.Record(ctx, 0.5, record...)
	}))
}

// Far more sets of attributes than are kept are all counted.
func TestManySets(t *testing.T) {
	meter, flush := instrumented(t)
	jobs := must(meter.Int64Counter("jobs"))
	for range 2 {
		for i := range 12_000 {
			jobs.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", i)))
		}
	}
	recorder := flush()
	for _, i := range []int{0, 9_999, 10_000, 11_999} {
		attribute := tag{Key: "i", Value: fmt.Sprint(i)}
		require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "jobs", attribute).Count)
	}
}

func TestNil(t *testing.T) {
	meter := must(otelbridge.NewMeterProvider(nil)).Meter("test")
	must(meter.Int64Counter("a")).Add(t.Context(), 1)
	must(meter.Float64Counter("a")).Add(t.Context(), -1.5)
	must(meter.Float64Gauge("a")).Record(t.Context(), 1)
	must(meter.Float64Histogram("a")).Record(t.Context(), 1)
	observed := must(meter.Int64ObservableCounter("a", metric.WithInt64Callback(
		func(context.Context, metric.Int64Observer) error { panic("called") })))
	registration := must(meter.RegisterCallback(func(context.Context, metric.Observer) error {
		panic("called")
	}, observed))
	require.NoError(t, registration.Unregister())
}

func Example() {
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

	// The code from here on does not know the buffer.
	requests, err := provider.Meter("example.com/server").Int64Counter("requests")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 1000 {
		requests.Add(context.Background(), 1, metric.WithAttributes(attribute.Int("status", 200)))
	}

	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	for _, p := range recorder.Totals() {
		fmt.Println(p.Kind, p.Name, p.Tags, p.Count)
	}
	// Output: counter requests [{otel.scope.name example.com/server} {status 200}] 1000
}

// The cost of a histogram whose durations are whole nanoseconds, and of one whose values are not.
func BenchmarkFloat64Histogram(b *testing.B) {
	for name, step := range map[string]float64{"whole": 1e-9, "fractions": 0.3e-9} {
		b.Run(name, func(b *testing.B) {
			meter, _ := instrumented(b)
			latency := must(meter.Float64Histogram("latency", metric.WithUnit("s")))
			b.RunParallel(func(pb *testing.PB) {
				for i := 1; pb.Next(); i++ {
					latency.Record(context.Background(), float64(i)*step)
				}
			})
		})
	}
}

// A sink undoes the scale of a histogram that was given fractions.
func ExampleUnscale() {
	sink := metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			unit, divisor := otelbridge.Unscale(p.Unit)
			fmt.Printf("%s: %d in %q, so %v in %q\n", p.Name, p.Sum, p.Unit, float64(p.Sum)/divisor, unit)
		}
		return nil
	})
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	if err != nil {
		fmt.Println(err)
		return
	}
	provider, err := otelbridge.NewMeterProvider(buffer)
	if err != nil {
		fmt.Println(err)
		return
	}
	load, err := provider.Meter("").Float64Histogram("load", metric.WithUnit("%"))
	if err != nil {
		fmt.Println(err)
		return
	}
	load.Record(context.Background(), 12.5)
	load.Record(context.Background(), 0.25)
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: load: 12750000 in "10*-6.%", so 12.75 in "%"
}

// A buffer that is dropped without Close delivers what it has, though it polls a callback, and fractions were recorded.
func TestDropped(t *testing.T) {
	recorder := new(sinktest.Recorder)
	func() {
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
		require.NoError(t, err)
		meter := must(otelbridge.NewMeterProvider(buffer)).Meter("")
		must(meter.Float64Counter("c", metric.WithUnit("s"))).Add(t.Context(), 7.000_000_1)
		must(meter.Float64Histogram("h", metric.WithUnit("s"))).Record(t.Context(), 0.000_000_000_1)
		must(meter.Float64Histogram("h")).Record(t.Context(), 0.000_1)
		must(meter.Int64ObservableUpDownCounter("o", metric.WithInt64Callback(
			func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(1)
				return nil
			})))
		require.NoError(t, buffer.Flush(t.Context()))
		must(meter.Float64Counter("c", metric.WithUnit("s"))).Add(t.Context(), 1)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return recorder.Total(metricsbuffer.KindCounter, "c").Count == 8_000_000
	}, 10*time.Second, time.Millisecond)
}
