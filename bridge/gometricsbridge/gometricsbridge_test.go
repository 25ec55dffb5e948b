package gometricsbridge_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	armon "github.com/armon/go-metrics"
	"github.com/hashicorp/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/gometricsbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

type tag = metricsbuffer.Tag

var (
	_ metrics.ShutdownSink             = (*gometricsbridge.Sink[metrics.Label])(nil)
	_ metrics.PrecisionGaugeMetricSink = (*gometricsbridge.Sink[metrics.Label])(nil)
	_ armon.ShutdownSink               = (*gometricsbridge.Sink[armon.Label])(nil)
)

// instrumented returns go-metrics with a buffer as its sink. Its Shutdown flushes.
func instrumented(t *testing.T, opts ...gometricsbridge.Option) (*metrics.Metrics, *sinktest.Recorder) {
	t.Helper()
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	config := metrics.DefaultConfig("service")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	sink, err := gometricsbridge.New[metrics.Label](buffer, opts...)
	require.NoError(t, err)
	m, err := metrics.New(config, sink)
	require.NoError(t, err)
	return m, recorder
}

func TestKinds(t *testing.T) {
	m, recorder := instrumented(t)
	labels := []metrics.Label{{Name: "queue", Value: "a"}}
	for range 1000 {
		m.IncrCounter([]string{"jobs", "done"}, 3)
		m.IncrCounterWithLabels([]string{"jobs", "done"}, 1, labels)
	}
	m.SetGauge([]string{"depth"}, 1.5)
	m.SetGaugeWithLabels([]string{"depth"}, 2.5, labels)
	m.SetPrecisionGauge([]string{"precise"}, 1+1e-12)
	m.AddSample([]string{"latency"}, 0.25)
	m.AddSampleWithLabels([]string{"latency"}, 2, labels)
	m.MeasureSince([]string{"since"}, time.Now().Add(-time.Minute))
	m.EmitKey([]string{"key"}, 7)
	m.Shutdown()

	count := func(kind metricsbuffer.Kind, name string, tags ...tag) metricsbuffer.Point {
		return recorder.Total(kind, name, tags...)
	}
	a := tag{Key: "queue", Value: "a"}
	require.EqualValues(t, 3000, count(metricsbuffer.KindCounter, "service.jobs.done").Count)
	require.EqualValues(t, 1000, count(metricsbuffer.KindCounter, "service.jobs.done", a).Count)
	require.InDelta(t, 1.5, count(metricsbuffer.KindGauge, "service.depth").Value, 0)
	require.InDelta(t, 2.5, count(metricsbuffer.KindGauge, "service.depth", a).Value, 0)
	require.InDelta(t, 1+1e-12, count(metricsbuffer.KindGauge, "service.precise").Value, 0)
	require.EqualValues(t, 250*time.Microsecond, count(metricsbuffer.KindTimer, "service.latency").Sum)
	require.EqualValues(t, 2*time.Millisecond, count(metricsbuffer.KindTimer, "service.latency", a).Sum)
	require.InDelta(t, time.Minute, count(metricsbuffer.KindTimer, "service.since").Sum, float64(10*time.Second))
	require.InDelta(t, 7, count(metricsbuffer.KindGauge, "service.key").Value, 0)
}

func TestSampleUnit(t *testing.T) {
	m, recorder := instrumented(t, gometricsbridge.WithSampleUnit(func(name string) time.Duration {
		if strings.HasSuffix(name, ".seconds") {
			return time.Second
		}
		return 0
	}))
	m.AddSample([]string{"lag", "seconds"}, 1.5)
	m.AddSample([]string{"rows"}, 41.6)
	m.Shutdown()
	require.EqualValues(t, 1500*time.Millisecond, recorder.Total(metricsbuffer.KindTimer, "service.lag.seconds").Sum)
	require.EqualValues(t, 42, recorder.Total(metricsbuffer.KindHistogram, "service.rows").Sum)
}

// The pauses of garbage collections, which go-metrics records by default, arrive as long as they were.
func TestRuntimeMetrics(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	sink, err := gometricsbridge.New[metrics.Label](buffer)
	require.NoError(t, err)
	own := metrics.NewInmemSink(time.Hour, time.Hour)
	config := metrics.DefaultConfig("service")
	config.EnableRuntimeMetrics = false // its goroutine would never end
	m, err := metrics.New(config, metrics.FanoutSink{own, sink})
	require.NoError(t, err)
	runtime.GC()
	m.EmitRuntimeStats()
	require.NoError(t, buffer.Close())
	pauses := recorder.Total(metricsbuffer.KindTimer, "service.runtime.gc_pause_ns")
	count, sum := 0, 0.0
	for _, interval := range own.Data() {
		if s, ok := interval.Samples["service.runtime.gc_pause_ns"]; ok {
			count, sum = count+s.Count, sum+s.Sum
		}
	}
	require.EqualValues(t, count, pauses.Count)
	require.InDelta(t, sum, pauses.Sum, 1e-6*sum)
}

// Fractions are not lost, whoever adds them.
func TestFractions(t *testing.T) {
	m, recorder := instrumented(t)
	labels := []metrics.Label{{Name: "queue", Value: "a"}}
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for range 1000 {
				m.IncrCounter([]string{"seconds"}, 1.25)
				m.IncrCounterWithLabels([]string{"seconds"}, -0.5, labels)
			}
		})
	}
	adding.Wait()
	m.Shutdown()
	require.EqualValues(t, 5000, recorder.Total(metricsbuffer.KindCounter, "service.seconds").Count)
	require.EqualValues(t, -2000,
		recorder.Total(metricsbuffer.KindCounter, "service.seconds", tag{Key: "queue", Value: "a"}).Count)
}

func TestRejected(t *testing.T) {
	m, recorder := instrumented(t)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e19} {
		m.IncrCounter([]string{"jobs"}, float32(v))
		m.AddSample([]string{"jobs"}, float32(v))
	}
	m.AddSample([]string{"jobs"}, 1e14) // milliseconds
	m.Shutdown()
	require.EqualValues(t, 9, recorder.Total(metricsbuffer.KindCounter, "gometricsbridge.rejected",
		tag{Key: "name", Value: "service.jobs"}).Count)
	require.Len(t, recorder.Totals(), 1)
}

// The order of labels makes no difference to the fraction that a series keeps.
func TestFractionsOfOneSeries(t *testing.T) {
	m, recorder := instrumented(t)
	a, b := metrics.Label{Name: "a", Value: "1"}, metrics.Label{Name: "b", Value: "2"}
	for range 100 {
		m.IncrCounterWithLabels([]string{"seconds"}, 0.5, []metrics.Label{a, b})
		m.IncrCounterWithLabels([]string{"seconds"}, 0.25, []metrics.Label{b, a})
		m.IncrCounterWithLabels([]string{"seconds"}, 0.125, []metrics.Label{{Name: "a", Value: "1\"\"b\"\"2"}})
	}
	m.Shutdown()
	require.EqualValues(t, 75, recorder.Total(metricsbuffer.KindCounter, "service.seconds",
		tag{Key: "a", Value: "1"}, tag{Key: "b", Value: "2"}).Count)
	require.EqualValues(t, 12, recorder.Total(metricsbuffer.KindCounter, "service.seconds",
		tag{Key: "a", Value: "1\"\"b\"\"2"}).Count)
}

// Small samples that are not durations are not all recorded as zero.
func TestSmallSamples(t *testing.T) {
	m, recorder := instrumented(t, gometricsbridge.WithSampleUnit(func(string) time.Duration { return 0 }))
	for i := range 1000 {
		m.AddSample([]string{"load"}, 0.4375)
		m.AddSample([]string{"negative"}, -0.7)
		m.AddSample([]string{"negative"}, float32(i%2))
	}
	m.AddSample([]string{"negative"}, float32(math.Inf(-1)))
	m.AddSample([]string{"negative"}, float32(math.NaN()))
	m.Shutdown()
	p := recorder.Total(metricsbuffer.KindHistogram, "service.load")
	require.EqualValues(t, 438, p.Sum) // 437.5
	require.EqualValues(t, 1000, p.Count)
	p = recorder.Total(metricsbuffer.KindHistogram, "service.negative")
	require.EqualValues(t, 500, p.Sum)
	require.EqualValues(t, 2000, p.Count)
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "gometricsbridge.rejected",
		tag{Key: "name", Value: "service.negative"}).Count)
}

// limited returns a sink whose samples are no durations, and its buffer, which may have 10 series.
func limited(t *testing.T) (*gometricsbridge.Sink[metrics.Label], *metricsbuffer.Buffer, *sinktest.Recorder) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithMaxSeries(10), metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	values := gometricsbridge.WithSampleUnit(func(string) time.Duration { return 0 })
	sink, err := gometricsbridge.New[metrics.Label](buffer, values)
	require.NoError(t, err)
	return sink, buffer, recorder
}

// If the buffer has reached its limit of series, the fractions of all labels in an overflow series add up to wholes.
func TestFractionsOfOverflow(t *testing.T) {
	sink, buffer, recorder := limited(t)
	const sets = 1000
	for i := range sets {
		labels := []metrics.Label{{Name: "i", Value: fmt.Sprint(i)}}
		sink.IncrCounterWithLabels([]string{"seconds"}, 0.875, labels)
		sink.AddSampleWithLabels([]string{"load"}, 0.25, labels)
	}
	require.NoError(t, buffer.Close())
	count, sum := int64(0), int64(0)
	for _, p := range recorder.Totals() {
		if p.Kind == metricsbuffer.KindCounter {
			count += p.Count
		}
		sum += p.Sum
	}
	// Each of the 10 ordinary series keeps less than 1, and so does the overflow series.
	require.InDelta(t, sets*0.875, count, 11)
	require.InDelta(t, sets*0.25, sum, 11)
}

// Beyond the limit a fraction is lost, and counted. The whole part is recorded.
func TestManyFractions(t *testing.T) {
	sink, buffer, recorder := limited(t)
	for i := range 100_010 {
		sink.IncrCounter([]string{fmt.Sprint(i)}, 1.5)
	}
	sink.IncrCounter([]string{"0"}, 0.5)
	require.NoError(t, buffer.Close())
	var total int64
	for _, p := range recorder.Totals() {
		if p.Name != "gometricsbridge.rejected" {
			total += p.Count
		}
	}
	// 10 names have a series, and 10 others an overflow series, of their own. Each of the 20 keeps 0.5, except name 0. All
	// others share a series. The last 10 of them are rejected without their fraction, and counted in the same series.
	require.EqualValues(t, 20+1+149_970+10+10, total)
}

// The same holds for histograms, which have a limit of their own. Beyond it a sample is recorded as the nearest whole
// number.
func TestManyFractionsOfHistograms(t *testing.T) {
	sink, buffer, recorder := limited(t)
	for i := range 100_010 {
		sink.AddSample([]string{fmt.Sprint(i)}, 1.75)
	}
	require.NoError(t, buffer.Close())
	var rejected, samples, sum int64
	for _, p := range recorder.Totals() {
		if p.Kind == metricsbuffer.KindCounter {
			rejected += p.Count
		} else {
			samples, sum = samples+p.Count, sum+p.Sum
		}
	}
	require.EqualValues(t, 10, rejected)
	require.EqualValues(t, 100_010, samples)
	// 20 series have one sample each, as above. The others share a series, whose sum is exact but for the last 10.
	require.EqualValues(t, 20*2+99_980*7/4+10*2, sum)
}

func TestOptions(t *testing.T) {
	noFunction := gometricsbridge.WithSampleUnit(nil)
	for want, opt := range map[string]gometricsbridge.Option{
		"gometricsbridge: New: option 1 of 1 is nil; leave it out":                                    nil,
		"gometricsbridge: WithSampleUnit: the function is nil; leave the option out for milliseconds": noFunction,
	} {
		sink, err := gometricsbridge.New[metrics.Label](nil, opt)
		require.EqualError(t, err, want)
		require.Nil(t, sink)
	}
}

// A sink for armon/go-metrics, whose types are others, records the same.
func TestArmon(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	sink, err := gometricsbridge.New[armon.Label](buffer)
	require.NoError(t, err)
	config := armon.DefaultConfig("service")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	m, err := armon.New(config, sink)
	require.NoError(t, err)
	m.IncrCounterWithLabels([]string{"jobs"}, 3, []armon.Label{{Name: "queue", Value: "a"}})
	require.NoError(t, buffer.Close())
	require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "service.jobs",
		tag{Key: "queue", Value: "a"}).Count)
}

func TestNil(t *testing.T) {
	sink, err := gometricsbridge.New[metrics.Label](nil)
	require.NoError(t, err)
	sink.IncrCounter([]string{"jobs"}, 1.5)
	sink.AddSample([]string{"jobs"}, 1)
	sink.SetGauge([]string{"jobs"}, 1)
	sink.Shutdown()
}

func Example() {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	if err != nil {
		fmt.Println(err)
		return
	}
	config := metrics.DefaultConfig("service")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	sink, err := gometricsbridge.New[metrics.Label](buffer)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := metrics.New(config, sink) // or metrics.NewGlobal
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 1000 {
		m.IncrCounterWithLabels([]string{"jobs", "done"}, 1, []metrics.Label{{Name: "queue", Value: "mail"}})
	}

	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	for _, p := range recorder.Totals() {
		fmt.Println(p.Kind, p.Name, p.Tags, p.Count)
	}
	// Output: counter service.jobs.done [{queue mail}] 1000
}

// A buffer that is dropped without Close delivers what it has, though fractions were recorded in it, and a function
// that it polls refers to the sink.
func TestDropped(t *testing.T) {
	recorder := new(sinktest.Recorder)
	func() {
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
		require.NoError(t, err)
		none := func(string) time.Duration { return 0 }
		sink, err := gometricsbridge.New[metrics.Label](buffer, gometricsbridge.WithSampleUnit(none))
		require.NoError(t, err)
		sink.IncrCounter([]string{"c"}, 1.5)
		sink.AddSample([]string{"h"}, 1.25)
		buffer.Poll(func() { sink.SetGauge([]string{"g"}, 1) })
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		counter, err := recorder.Find(metricsbuffer.KindCounter, "c")
		return err == nil && counter.Count == 1
	}, 10*time.Second, time.Millisecond)
}
