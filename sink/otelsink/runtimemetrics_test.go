package otelsink_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/goconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/processconv"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/runtimemetrics"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// The series of the runtime and of the process are those of OpenTelemetry's semantic conventions.
func TestRuntimeMetrics(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the process is read on Linux only")
	}
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	poll, err := runtimemetrics.Start(buffer)
	require.NoError(t, err)
	defer poll.Stop()
	require.NoError(t, buffer.Close())

	const counter, gauge, timer = metricsbuffer.KindCounter, metricsbuffer.KindGauge, metricsbuffer.KindTimer
	want := map[string]metricsbuffer.Kind{
		goconv.ConfigGogc{}.Name():                   gauge,
		goconv.GoroutineCount{}.Name():               gauge,
		goconv.MemoryAllocated{}.Name():              counter,
		goconv.MemoryAllocations{}.Name():            counter,
		goconv.MemoryGCCycles{}.Name():               counter,
		goconv.MemoryGCGoal{}.Name():                 gauge,
		goconv.MemoryGCPauseDuration{}.Name():        timer,
		goconv.MemoryLimit{}.Name():                  gauge,
		goconv.MemoryUsed{}.Name():                   gauge,
		goconv.ProcessorLimit{}.Name():               gauge,
		goconv.ScheduleDuration{}.Name():             timer,
		processconv.CPUTime{}.Name():                 counter,
		processconv.MemoryUsage{}.Name():             gauge,
		processconv.MemoryVirtual{}.Name():           gauge,
		processconv.ThreadCount{}.Name():             gauge,
		processconv.UnixFileDescriptorCount{}.Name(): gauge,
		processconv.Uptime{}.Name():                  gauge,
	}
	type values = map[string]string // with their keys
	tags := map[string]values{
		goconv.MemoryUsed{}.Name(): {
			string(goconv.MemoryTypeStack): string(semconv.GoMemoryTypeKey),
			string(goconv.MemoryTypeOther): string(semconv.GoMemoryTypeKey),
		},
		processconv.CPUTime{}.Name(): {
			string(processconv.CPUModeUser):   string(semconv.CPUModeKey),
			string(processconv.CPUModeSystem): string(semconv.CPUModeKey),
		},
	}
	got := make(map[string]metricsbuffer.Kind)
	for _, p := range recorder.Totals() {
		got[p.Name] = p.Kind
		for _, tag := range p.Tags {
			require.Equal(t, tags[p.Name][tag.Value], tag.Key)
			delete(tags[p.Name], tag.Value)
		}
	}
	require.Equal(t, want, got)
	for name := range tags {
		require.Empty(t, tags[name], "tags of %s that are missing", name)
	}
}
