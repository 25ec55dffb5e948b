package metricstest_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func tag(key, value string) metricsbuffer.Tag { return metricsbuffer.Tag{Key: key, Value: value} }

// A testingT notes how a test failed. Its methods that are not here panic.
type testingT struct {
	testing.TB
	output   string
	helpers  int
	cleanups []func()
}

func (t *testingT) Helper()                           { t.helpers++ }
func (t *testingT) Context() context.Context          { return context.Background() }
func (t *testingT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *testingT) Errorf(format string, args ...any) { t.output += fmt.Sprintf(format, args...) }
func (t *testingT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// outputOf returns the output of a test that does f.
func outputOf(f func(t testing.TB)) string {
	t := new(testingT)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(t)
	}()
	<-done
	for i := range t.cleanups {
		t.cleanups[len(t.cleanups)-1-i]()
	}
	return t.output
}

// record records some of everything.
func record(buffer *metricsbuffer.Buffer) {
	buffer.IncrCounter("requests", 2, tag("status", "200"), tag("route", "/a"))
	buffer.IncrCounter("requests", 1, tag("route", "/a"), tag("status", "500"))
	buffer.SetGauge("queue", 2.5)
	buffer.IncrTimer("latency", 30*time.Millisecond)
	buffer.IncrTimer("latency", 10*time.Millisecond)
	buffer.Histogram("size", "bytes").Observe(512)
	buffer.Histogram("size", "rows").Observe(4)
}

const everything = `
	counter requests{route=/a,status=200} 2
	counter requests{route=/a,status=500} 1
	gauge queue 2.5
	timer latency 2
	histogram size[bytes] 1
	histogram size[rows] 1
`

func TestValues(t *testing.T) {
	buffer := metricstest.New(t)
	record(buffer)
	require.EqualValues(t, 2, metricstest.Count(t, buffer, "requests", tag("route", "/a"), tag("status", "200")))
	require.InDelta(t, 2.5, metricstest.Gauge(t, buffer, "queue"), 0)
	latency := metricstest.Timer(t, buffer, "latency")
	require.EqualValues(t, 2, latency.Count)
	require.EqualValues(t, 40*time.Millisecond, latency.Sum)
	require.InEpsilon(t, 10*time.Millisecond, latency.Quantile(0.5), 0.03)
	require.EqualValues(t, 512, metricstest.Histogram(t, buffer, "size", "bytes").Sum)
	require.EqualValues(t, 4, metricstest.Histogram(t, buffer, "size", "rows").Sum)
	metricstest.Equal(t, buffer, everything)
	metricstest.Contains(t, buffer, "timer latency 2")
	metricstest.None(t, buffer, "errors")

	buffer.IncrCounter("requests", 5, tag("route", "/a"), tag("status", "200"))
	buffer.IncrTimer("latency", time.Millisecond)
	require.EqualValues(t, 7, metricstest.Count(t, buffer, "requests", tag("status", "200"), tag("route", "/a")))
	require.EqualValues(t, 3, metricstest.Timer(t, buffer, "latency").Count, "values are those since New")
}

// The line of a counter of fractions has all decimals.
func TestFractions(t *testing.T) {
	buffer := metricstest.New(t)
	buffer.FractionCounter("cost", 3, tag("fruit", "apple")).Add(0.25)
	require.InDelta(t, 0.25, metricstest.Amount(t, buffer, "cost", tag("fruit", "apple")), 0)
	require.EqualValues(t, 250, metricstest.Count(t, buffer, "cost", tag("fruit", "apple")))
	metricstest.Equal(t, buffer, "counter cost{fruit=apple} 0.250")
}

// A counter whose deltas cancel out is known, and has the value 0.
func TestZero(t *testing.T) {
	buffer := metricstest.New(t)
	buffer.IncrCounter("balance", 5)
	require.EqualValues(t, 5, metricstest.Count(t, buffer, "balance"))
	buffer.IncrCounter("balance", -5)
	require.Zero(t, metricstest.Count(t, buffer, "balance"))
	metricstest.None(t, buffer, "balance")
	metricstest.Equal(t, buffer, "")
	metricstest.Equal(t, buffer, "counter balance 0")
	metricstest.Contains(t, buffer, "counter balance 0")
}

func TestClosedBuffer(t *testing.T) {
	buffer := metricstest.New(t)
	record(buffer)
	require.NoError(t, buffer.Close())
	metricstest.Equal(t, buffer, everything)
}

func TestOptions(t *testing.T) {
	other := new(sinktest.Recorder)
	failing := metricsbuffer.WithSink(sinktest.Failing(other, sinktest.Every(1)), metricsbuffer.SinkInterval(0))
	output := outputOf(func(t testing.TB) {
		buffer := metricstest.New(t, metricsbuffer.WithMaxSeries(1), failing)
		buffer.IncrCounter("a", 1)
		buffer.IncrCounter("b", 2)
		metricstest.Equal(t, buffer, "counter a 1\ncounter b{overflow=true} 2") // although the other sink fails
	})
	require.Equal(t, `metricstest: closing the buffer: metricsbuffer: sink "failing(recorder)": `+
		sinktest.ErrInjected.Error(), output)

	require.Equal(t, "metricstest: New: metricsbuffer: WithMaxSeries: -1 is not positive; "+
		"leave the option out for 100,000 series",
		outputOf(func(t testing.TB) { metricstest.New(t, metricsbuffer.WithMaxSeries(-1)) }))
}

func TestSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer := metricstest.New(t)
		began := time.Now()
		go func() {
			time.Sleep(time.Hour)
			buffer.IncrTimer("latency", time.Since(began))
		}()
		time.Sleep(2 * time.Hour)
		require.EqualValues(t, time.Hour, metricstest.Timer(t, buffer, "latency").Sum)
		require.Equal(t, 2*time.Hour, time.Since(began), "reading takes no time")
	})
}

// Package testing/synctest ends the process if a bubble waits for a buffer of outside. So it is not tried.
func TestBufferFromOutsideTheBubble(t *testing.T) {
	buffer := metricstest.New(t)
	buffer.IncrCounter("sold", 1)
	synctest.Test(t, func(t *testing.T) {
		buffer.IncrCounter("sold", 1)
		require.Equal(t, "metricstest: the buffer was made outside of this bubble of testing/synctest: "+
			"call metricstest.New inside it",
			outputOf(func(t testing.TB) { metricstest.Equal(t, buffer, "counter sold 2") }))
	})
	metricstest.Equal(t, buffer, "counter sold 2")
}

// The buffer and its goroutine end with the test.
func TestCleanup(t *testing.T) {
	var buffer *metricsbuffer.Buffer
	t.Run("test", func(t *testing.T) {
		buffer = metricstest.New(t)
		t.Cleanup(func() {
			buffer.IncrCounter("stopped", 1) // by a server, say
			metricstest.Equal(t, buffer, "counter stopped 1")
		})
	})
	require.ErrorIs(t, buffer.Flush(t.Context()), metricsbuffer.ErrClosed)
	require.Equal(t, "metricstest: the buffer is not one of metricstest.New, or its test is over: "+
		"make one by metricstest.New(t)",
		outputOf(func(t testing.TB) { metricstest.Count(t, buffer, "stopped") }))
}

func TestParallel(t *testing.T) {
	for i := range 10 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			buffer := metricstest.New(t)
			buffer.IncrCounter("c", int64(i+1))
			require.EqualValues(t, i+1, metricstest.Count(t, buffer, "c"))
		})
	}
}

// A series is named as the code under test names it, which was given a scope of a buffer with constant tags.
func TestScopes(t *testing.T) {
	buffer := metricstest.New(t, metricsbuffer.WithTags(tag("host", "h")))
	scope := buffer.WithPrefix("shop.").With(tag("till", "1"), tag("zone", "a"))
	record(scope)
	buffer.IncrCounter("requests", 5)
	status, route := tag("status", "200"), tag("route", "/a")
	require.EqualValues(t, 2, metricstest.Count(t, scope, "requests", status, route))
	require.EqualValues(t, 2,
		metricstest.Count(t, buffer, "shop.requests", status, route, tag("till", "1"), tag("zone", "a")))
	require.EqualValues(t, 5, metricstest.Count(t, buffer, "requests"))
	require.InDelta(t, 2.5, metricstest.Gauge(t, scope, "queue"), 0)
	require.EqualValues(t, 2, metricstest.Timer(t, scope, "latency").Count)
	require.EqualValues(t, 512, metricstest.Histogram(t, scope, "size", "bytes").Sum)
	metricstest.None(t, scope, "other")
	metricstest.Contains(t, scope, `
		counter requests{host=h} 5
		counter shop.requests{host=h,route=/a,status=500,till=1,zone=a} 1
	`)
	require.Contains(t, outputOf(func(t testing.TB) { metricstest.Count(t, scope, "requests") }),
		"counter shop.requests{host=h,till=1,zone=a} was not recorded")
	require.Contains(t, outputOf(func(t testing.TB) { metricstest.None(t, scope, "queue") }),
		"+ gauge shop.queue{host=h,till=1,zone=a} 2.5")
}
