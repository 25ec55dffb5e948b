package rcrowleybridge_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/rcrowleybridge"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

var tag = metricsbuffer.T

var _ metrics.Registry = (*rcrowleybridge.Registry)(nil)

func TestKinds(t *testing.T) {
	buffer := metricstest.New(t)
	registry := rcrowleybridge.New(buffer, rcrowleybridge.Option{})
	for range 2 { // the second time, all are found
		counter := metrics.GetOrRegisterCounter("counter", registry)
		counter.Inc(5)
		counter.Dec(2)
		counter.Clear()
		metrics.GetOrRegisterMeter("meter", registry).Mark(7)
		metrics.GetOrRegisterGauge("gauge", registry).Update(-3)
		metrics.GetOrRegisterGaugeFloat64("fraction", registry).Update(0.25)
		histogram := metrics.GetOrRegisterHistogram("histogram", registry, metrics.NewUniformSample(1))
		histogram.Update(10)
		histogram.Update(20)
		timer := metrics.GetOrRegisterTimer("timer", registry)
		timer.Update(time.Second)
		timer.UpdateSince(time.Now().Add(-time.Hour))
	}
	called := false
	metrics.GetOrRegisterTimer("call", registry).Time(func() { called = true })
	require.True(t, called)

	require.EqualValues(t, 6, metricstest.Count(t, buffer, "counter"))
	require.EqualValues(t, 14, metricstest.Count(t, buffer, "meter"))
	require.InDelta(t, -3, metricstest.Gauge(t, buffer, "gauge"), 0)
	require.InDelta(t, 0.25, metricstest.Gauge(t, buffer, "fraction"), 0)
	histogram := metricstest.Histogram(t, buffer, "histogram", "")
	require.Equal(t, []int64{4, 60, 10, 20}, []int64{histogram.Count, histogram.Sum, histogram.Min, histogram.Max})
	timer := metricstest.Timer(t, buffer, "timer")
	require.EqualValues(t, 4, timer.Count)
	require.EqualValues(t, time.Second, timer.Min)
	require.InDelta(t, time.Hour, timer.Max, float64(time.Minute))
	require.EqualValues(t, 1, metricstest.Timer(t, buffer, "call").Count)
}

// A counter that goes up and down is a gauge.
func TestLevel(t *testing.T) {
	buffer := metricstest.New(t)
	tagged := func(name string) rcrowleybridge.Series {
		return rcrowleybridge.Series{Name: "level", Tags: []metricsbuffer.Tag{tag("of", name)}, Level: true}
	}
	level := metrics.GetOrRegisterCounter("requests", rcrowleybridge.New(buffer, rcrowleybridge.WithSeries(tagged)))
	level.Inc(5)
	level.Dec(7)
	require.InDelta(t, -2, metricstest.Gauge(t, buffer, "level", tag("of", "requests")), 0)
	level.Clear()
	require.Zero(t, metricstest.Gauge(t, buffer, "level", tag("of", "requests")))
}

// GetOrRegister takes the kind from a metric, from a constructor, and from a custom constructor.
func TestConstructors(t *testing.T) {
	buffer := metricstest.New(t)
	registry := rcrowleybridge.New(buffer)
	sample := metrics.NewUniformSample(1)
	registry.GetOrRegister("counter", metrics.NewCounter()).(metrics.Counter).Inc(1)
	registry.GetOrRegister("meter", metrics.NewMeter()).(metrics.Meter).Mark(1)
	registry.GetOrRegister("gauge", metrics.NewGauge()).(metrics.Gauge).Update(1)
	registry.GetOrRegister("fraction", metrics.NewGaugeFloat64()).(metrics.GaugeFloat64).Update(1)
	registry.GetOrRegister("histogram", metrics.NewHistogram(sample)).(metrics.Histogram).Update(1)
	registry.GetOrRegister("timer", metrics.NewTimer()).(metrics.Timer).Update(1)
	registry.GetOrRegister("custom", func() *metrics.StandardCounter {
		return metrics.NewCounter().(*metrics.StandardCounter)
	}).(metrics.Counter).Inc(1)
	metricstest.Equal(t, buffer, "counter counter 1\ncounter custom 1\ncounter meter 1\ngauge fraction 1\n"+
		"gauge gauge 1\nhistogram histogram 1\ntimer timer 1")
}

// Metrics that cannot record into the buffer are not lost silently.
func TestUnmapped(t *testing.T) {
	buffer := metricstest.New(t)
	registry := rcrowleybridge.New(buffer)

	err := registry.Register("counter", metrics.NewCounter())
	require.EqualError(t, err, `rcrowleybridge: Register("counter"): a *metrics.StandardCounter does not record into `+
		`the buffer; get the metric from GetOrRegister, or metrics.GetOrRegister…, and use the returned one`)
	require.Nil(t, registry.Get("counter"))
	metrics.NewRegisteredMeter("counter", registry).Stop() // it ignores the error
	require.EqualValues(t, 2, metricstest.Count(t, buffer, "rcrowleybridge.unmapped", tag("name", "counter")))

	functional := metrics.NewRegisteredFunctionalGauge("functional", registry, func() int64 { return 41 })
	require.EqualValues(t, 41, functional.Value())
	require.Nil(t, registry.Get("functional"))
	for range 3 {
		kept := registry.GetOrRegister("functional", metrics.NewFunctionalGauge(func() int64 { return 42 }))
		require.EqualValues(t, 42, kept.(metrics.Gauge).Value())
	}
	require.EqualValues(t, 2, metricstest.Count(t, buffer, "rcrowleybridge.unmapped", tag("name", "functional")))

	require.Equal(t, "text", registry.GetOrRegister("custom", "text"))
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "rcrowleybridge.unmapped", tag("name", "custom")))

	check := metrics.NewHealthcheck(func(h metrics.Healthcheck) { h.Unhealthy(errors.New("down")) })
	require.NoError(t, registry.Register("health", check))
	registry.RunHealthchecks()
	require.EqualError(t, registry.Get("health").(metrics.Healthcheck).Error(), "down")
}

// Reading does as go-metrics' Nil metrics do. Sinks have the values.
func TestReading(t *testing.T) {
	registry := rcrowleybridge.New(metricstest.New(t))
	timer := metrics.GetOrRegisterTimer("timer", registry)
	timer.Update(time.Second)
	require.Zero(t, timer.Snapshot().Count())
	require.Zero(t, timer.Percentile(0.5))
	meter := metrics.GetOrRegisterMeter("meter", registry)
	meter.Mark(3)
	require.Zero(t, meter.Snapshot().Count())
	require.Zero(t, meter.Rate1())
	require.Len(t, registry.GetAll(), 2)
	require.EqualValues(t, 0, registry.GetAll()["meter"]["count"])
	names := 0
	registry.Each(func(name string, metric any) {
		require.Equal(t, metric, registry.Get(name))
		names++
	})
	require.Equal(t, 2, names)
}

func TestRegister(t *testing.T) {
	buffer := metricstest.New(t)
	registry, other := rcrowleybridge.New(buffer), rcrowleybridge.New(buffer)
	meter := metrics.GetOrRegisterMeter("meter", registry)
	require.NoError(t, other.Register("alias", meter))
	require.Equal(t, metrics.DuplicateMetric("alias"), other.Register("alias", meter))
	require.Equal(t, metrics.DuplicateMetric("alias"), other.Register("alias", metrics.NewCounter()))
	metrics.GetOrRegisterMeter("alias", other).Mark(1)
	require.Same(t, meter, other.GetOrRegister("another", meter))
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "meter"))

	child := metrics.NewPrefixedChildRegistry(registry, "child.")
	metrics.GetOrRegisterCounter("counter", child).Inc(1)
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "child.counter"))
}

// The registry forgets an unregistered metric. Its holders, and a metric that is registered later, write into one
// series.
func TestUnregister(t *testing.T) {
	buffer := metricstest.New(t)
	registry := rcrowleybridge.New(buffer)
	old := metrics.GetOrRegisterMeter("meter", registry)
	old.Mark(1)
	registry.Unregister("meter")
	registry.Unregister("never registered")
	require.Nil(t, registry.Get("meter"))
	young := metrics.GetOrRegisterMeter("meter", registry)
	require.NotSame(t, old, young)
	young.Mark(10)
	old.Mark(100)
	require.EqualValues(t, 111, metricstest.Count(t, buffer, "meter"))
	metrics.GetOrRegisterCounter("counter", registry)
	registry.UnregisterAll()
	require.Empty(t, registry.GetAll())
}

// Memory follows the number of registered metrics, and not that of all names there ever were. No update is lost.
func TestMemory(t *testing.T) {
	const rounds, names = 40, 500
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithIdleExpiry(time.Millisecond),
		metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	registry := rcrowleybridge.New(buffer)
	most := 0
	for round := range rounds {
		for i := range names {
			metrics.GetOrRegisterMeter(fmt.Sprint("meter ", round, " ", i), registry).Mark(1)
		}
		require.Len(t, registry.GetAll(), names)
		registry.UnregisterAll()
		for range 4 {
			runtime.GC() // which releases the instruments
			time.Sleep(2 * time.Millisecond)
			require.NoError(t, buffer.Flush(context.Background()))
		}
		most = max(most, buffer.Stats().Series)
	}
	require.Less(t, most, rounds*names/4)
	require.NoError(t, buffer.Close())
	var sum int64
	for _, p := range recorder.Totals() {
		sum += p.Count
	}
	require.EqualValues(t, rounds*names, sum)
}

func TestConcurrently(t *testing.T) {
	const goroutines, each = 8, 2000
	buffer := metricstest.New(t)
	registry := rcrowleybridge.New(buffer)
	var recording sync.WaitGroup
	for range goroutines {
		recording.Go(func() {
			for i := range each {
				metrics.GetOrRegisterMeter("meter", registry).Mark(1)
				metrics.GetOrRegisterHistogram("histogram", registry, nil).Update(int64(i))
				if i%100 == 0 {
					registry.Unregister("meter")
				}
			}
		})
	}
	recording.Wait()
	require.EqualValues(t, goroutines*each, metricstest.Count(t, buffer, "meter"))
	require.EqualValues(t, goroutines*each, metricstest.Histogram(t, buffer, "histogram", "").Count)
}

func TestNoBuffer(t *testing.T) {
	registry := rcrowleybridge.New(nil, rcrowleybridge.WithSeries(rcrowleybridge.Sarama))
	metrics.GetOrRegisterCounter("requests-in-flight", registry).Inc(1)
	metrics.GetOrRegisterCounter("counter", registry).Inc(1)
	metrics.GetOrRegisterTimer("timer", registry).Time(func() {})
	metrics.GetOrRegisterGauge("gauge", registry).Update(1)
	metrics.GetOrRegisterHistogram("histogram", registry, nil).Update(1)
	require.Error(t, registry.Register("meter", metrics.NilMeter{}))
}

// An option without its function is not left out silently.
func TestNilFunction(t *testing.T) {
	require.PanicsWithValue(t, "rcrowleybridge: WithSeries: the function is nil;"+
		" leave the option out for series with the "+
		"names of the metrics", func() { rcrowleybridge.WithSeries(nil) })
}

func TestAllocations(t *testing.T) {
	registry := rcrowleybridge.New(metricstest.New(t))
	update := func() {
		metrics.GetOrRegisterMeter("meter", registry).Mark(1)
		metrics.GetOrRegisterCounter("counter", registry).Inc(1)
		metrics.GetOrRegisterTimer("timer", registry).Update(5)
	}
	for range 10_000 {
		update()
	}
	require.Zero(t, testing.AllocsPerRun(1000, update))
}

// Only the kind of a metric counts, also of one that is nil.
func TestGetOrRegisterOfNil(t *testing.T) {
	buffer, err := metricsbuffer.New()
	require.NoError(t, err)
	r := rcrowleybridge.New(buffer)
	r.GetOrRegister("timer", (*metrics.StandardTimer)(nil)).(metrics.Timer).Update(1)
	r.GetOrRegister("meter", (*metrics.StandardMeter)(nil)).(metrics.Meter).Mark(2)
	require.Equal(t, metricsbuffer.Totals{Increments: 2, Observations: 1}, buffer.Stats().Recorded)
	require.NoError(t, buffer.Close())
}

// TestNamesAreCopied: a name may be in memory that is used again.
func TestNamesAreCopied(t *testing.T) {
	buffer := metricstest.New(t)
	registry := rcrowleybridge.New(buffer)
	memory := make([]byte, 1)
	name := func(letter byte) string {
		memory[0] = letter
		return unsafe.String(&memory[0], 1)
	}
	for _, letter := range []byte("ab") {
		metrics.GetOrRegisterCounter(name(letter), registry).Inc(1)
	}
	require.NoError(t, registry.Register(name('c'), metrics.NewHealthcheck(func(metrics.Healthcheck) {})))
	name('x')
	var names []string
	registry.Each(func(name string, _ any) { names = append(names, name) })
	require.ElementsMatch(t, []string{"a", "b", "c"}, names)
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "a"))
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "b"))
}
