package runtimemetrics

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func newBuffer(t testing.TB) (*metricsbuffer.Buffer, *sinktest.Recorder) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, buffer.Close())
		require.NoError(t, recorder.Err())
	})
	return buffer, recorder
}

func started(t testing.TB, buffer *metricsbuffer.Buffer, names *naming) *collector {
	p, err := openProcess()
	require.NoError(t, err)
	t.Cleanup(p.close)
	return newCollector(buffer, names, p)
}

// Every observation of the runtime is in the timers, once, however often they are collected.
func TestConservation(t *testing.T) {
	buffer, recorder := newBuffer(t)
	c := started(t, buffer, &openTelemetry)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the only collections are those of this test
	for range 4 {
		runtime.GC()
		var working sync.WaitGroup
		for range 100 {
			working.Go(runtime.Gosched)
		}
		working.Wait()

		c.collect()
		require.NoError(t, buffer.Flush(t.Context()))
		now := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/gc/cycles/total:gc-cycles"}}
		metrics.Read(now)
		require.EqualValues(t, observations(now[0].Value.Float64Histogram()),
			recorder.Total(metricsbuffer.KindTimer, "go.memory.gc.pause.duration").Count)
		require.EqualValues(t, now[1].Value.Uint64(),
			recorder.Total(metricsbuffer.KindCounter, "go.memory.gc.cycles").Count)
		require.EqualValues(t, observations(c.reading.samples[latencies].Value.Float64Histogram()),
			recorder.Total(metricsbuffer.KindTimer, "go.schedule.duration").Count)
	}
	require.Len(t, recorder.Batches(), 4)
}

func observations(h *metrics.Float64Histogram) (n uint64) {
	for _, count := range h.Counts {
		n += count
	}
	return n
}

// The processor time of the process is in the counters, rounded down, and no fraction of a second is lost.
func TestFractions(t *testing.T) {
	buffer, recorder := newBuffer(t)
	c := newCollector(buffer, &naming{ofRuntime: group{counters: openTelemetry.ofProcess.counters}}, nil)
	for i := range 25 {
		c.reading.process.user = time.Duration(i) * 700 * time.Millisecond
		c.reading.process.system = time.Duration(i) * 99 * time.Millisecond
		c.collect()
		require.NoError(t, buffer.Flush(t.Context()))
		for mode, total := range map[string]time.Duration{
			"user": c.reading.process.user, "system": c.reading.process.system,
		} {
			p := recorder.Total(metricsbuffer.KindCounter, "process.cpu.time", metricsbuffer.T("cpu.mode", mode))
			require.EqualValues(t, total/time.Second, p.Count)
		}
	}
}

// A value that the runtime or the system does not have makes no series. A limit appears when it is set.
func TestUnknown(t *testing.T) {
	buffer, recorder := newBuffer(t)
	c := newCollector(buffer, &openTelemetry, nil)
	c.reading.samples[goroutines].Name = "/of/another:version"
	collected := func() map[string]bool {
		c.collect()
		require.NoError(t, buffer.Flush(t.Context()))
		names := make(map[string]bool)
		for _, p := range recorder.Totals() {
			names[p.Name] = true
		}
		return names
	}
	names := collected()
	require.Contains(t, names, "go.memory.used")
	for _, name := range []string{"go.goroutine.count", "go.memory.limit", "process.cpu.time", "process.uptime"} {
		require.NotContains(t, names, name)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	require.Contains(t, collected(), "go.memory.limit")
	require.InDelta(t, float64(1<<40), recorder.Total(metricsbuffer.KindGauge, "go.memory.limit").Value, 0)
}

// GOGC=off is not recorded. The runtime tells it as the largest number.
func TestCollectorIsOff(t *testing.T) {
	buffer, recorder := newBuffer(t)
	c := newCollector(buffer, &openTelemetry, nil)
	percent := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(percent)
	c.collect()
	require.NoError(t, buffer.Flush(t.Context()))
	_, err := recorder.Find(metricsbuffer.KindGauge, "go.config.gogc")
	require.Error(t, err)
	debug.SetGCPercent(70)
	c.collect()
	require.NoError(t, buffer.Flush(t.Context()))
	require.InDelta(t, 70, recorder.Total(metricsbuffer.KindGauge, "go.config.gogc").Value, 0)
}

// Each series of a naming is recorded once, each name is described once, and each source exists.
func TestNamings(t *testing.T) {
	distributions := make(map[source]bool)
	for _, naming := range []*naming{&openTelemetry, &prometheus} {
		var series []string
		names, described := make(map[string]bool), make(map[string]bool)
		note := func(name string, tags ...metricsbuffer.Tag) {
			series, names[name] = append(series, fmt.Sprint(name, tags)), true
		}
		for _, of := range []*group{&naming.ofRuntime, &naming.ofProcess} {
			for _, g := range of.gauges {
				note(g.name, g.tags...)
			}
			for _, c := range of.counters {
				note(c.name, c.tags...)
			}
			for _, timer := range of.timers {
				note(timer.name)
				distributions[timer.source] = true
			}
		}
		slices.Sort(series)
		require.Equal(t, slices.Compact(slices.Clone(series)), series)
		for _, d := range naming.descriptions {
			require.False(t, described[d.name], d.name)
			require.NotEmpty(t, d.help)
			described[d.name] = true
		}
		require.Equal(t, names, described)
	}
	r := newReading()
	r.read()
	for i, sample := range r.samples {
		require.NotEqual(t, metrics.KindBad, sample.Value.Kind(), sample.Name)
		require.Equal(t, distributions[source(i)], sample.Value.Kind() == metrics.KindFloat64Histogram, sample.Name)
	}
}

func TestCollectionDoesNotAllocate(t *testing.T) {
	for _, names := range []*naming{&openTelemetry, &prometheus} {
		buffer, _ := newBuffer(t)
		c := started(t, buffer, names)
		for range 3 {
			c.collect()
		}
		// Other goroutines' allocations count, too. Over many runs they are less than one for each.
		require.Zero(t, int(testing.AllocsPerRun(200, c.collect)))
	}
}

func BenchmarkCollect(b *testing.B) {
	for name, names := range map[string]*naming{"OpenTelemetry": &openTelemetry, "Prometheus": &prometheus} {
		b.Run(name, func(b *testing.B) {
			buffer, err := metricsbuffer.New()
			require.NoError(b, err)
			c := started(b, buffer, names)
			b.ReportAllocs()
			for b.Loop() {
				c.collect()
			}
		})
	}
}
