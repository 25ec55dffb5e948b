package gometricsbridge_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/gometricsbridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

type tag = metricsbuffer.Tag

// instrumented returns go-metrics with a buffer as its sink. Its Shutdown flushes.
func instrumented(t *testing.T, opts ...gometricsbridge.Option) (*metrics.Metrics, *sinktest.Recorder) {
	t.Helper()
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	config := metrics.DefaultConfig("service")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	m, err := metrics.New(config, gometricsbridge.New(buffer, opts...))
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

func TestNil(t *testing.T) {
	sink := gometricsbridge.New(nil)
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
	m, err := metrics.New(config, gometricsbridge.New(buffer)) // or metrics.NewGlobal
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
