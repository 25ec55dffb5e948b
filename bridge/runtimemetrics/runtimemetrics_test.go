package runtimemetrics_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/runtimemetrics"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// namesOf starts recording, and returns the names in the first batch of the buffer.
func namesOf(t *testing.T, opts ...runtimemetrics.Option) map[string]bool {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	_, err = runtimemetrics.Start(buffer, opts...)
	require.NoError(t, err)
	require.NoError(t, buffer.Close())
	require.NoError(t, recorder.Err())
	require.Len(t, recorder.Batches(), 1)
	names := make(map[string]bool)
	for _, p := range recorder.Totals() {
		names[p.Name] = true
	}
	return names
}

func TestOptions(t *testing.T) {
	linux := runtime.GOOS == "linux"
	names := namesOf(t, runtimemetrics.Option{})
	require.Contains(t, names, "go.goroutine.count")
	require.Equal(t, linux, names["process.memory.usage"])

	prometheus := namesOf(t, runtimemetrics.WithPrometheusNames())
	require.Contains(t, prometheus, "go_goroutines")
	require.Equal(t, linux, prometheus["process_resident_memory_bytes"])
	require.NotContains(t, prometheus, "go.goroutine.count")

	for _, opts := range [][]runtimemetrics.Option{
		{runtimemetrics.WithoutProcess()}, {runtimemetrics.WithPrometheusNames(), runtimemetrics.WithoutProcess()},
	} {
		without := namesOf(t, opts...)
		require.NotEmpty(t, without)
		for name := range without {
			require.True(t, strings.HasPrefix(name, "go"), name)
		}
	}
}

func TestStop(t *testing.T) {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	poll, err := runtimemetrics.Start(buffer.With(metricsbuffer.T("part", "a")))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, buffer.Flush(t.Context()))
	}
	poll.Stop()
	require.NoError(t, buffer.Close())
	require.Len(t, recorder.Batches(), 2)
	cycles := recorder.Total(metricsbuffer.KindCounter, "go.memory.gc.cycles", metricsbuffer.T("part", "a"))
	require.Equal(t, "{gc_cycle}", cycles.Unit)
	require.NotEmpty(t, cycles.Help)
}

func TestNil(t *testing.T) {
	poll, err := runtimemetrics.Start(nil)
	require.NoError(t, err)
	poll.Stop()
}

type closing struct {
	sinktest.Recorder
	closed chan bool
}

func (c *closing) Close() error { close(c.closed); return nil }

// A buffer that is dropped is closed, though the runtime was recorded in it.
func TestDropped(t *testing.T) {
	sink := &closing{closed: make(chan bool)}
	func() {
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithInterval(time.Millisecond))
		require.NoError(t, err)
		_, err = runtimemetrics.Start(buffer)
		require.NoError(t, err)
		require.NoError(t, buffer.Flush(t.Context()))
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-sink.closed:
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
}
