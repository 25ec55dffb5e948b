package fraction_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// Instruments of one series share a rest, also if it is an overflow series. Other series have other rests.
func TestRests(t *testing.T) {
	buffer, err := metricsbuffer.New(metricsbuffer.WithMaxSeries(6))
	require.NoError(t, err)
	a, b := metricsbuffer.T("a", "1"), metricsbuffer.T("b", "2")
	rests := new(fraction.Rests)
	own := map[*fraction.Rest]bool{}
	for range 2 {
		own[rests.OfCounter(buffer.Counter("x", a, b))] = true
		own[rests.OfCounter(buffer.Counter("y"))] = true
		own[rests.OfTimer(buffer.Timer("x"))] = true
		own[rests.OfTimer(buffer.Timer("y"))] = true
		own[rests.OfHistogram(buffer.Histogram("x", "bytes"))] = true
		own[rests.OfHistogram(buffer.Histogram("x", "records"))] = true
	}
	require.Len(t, own, 6)
	require.Same(t, rests.OfCounter(buffer.Counter("x", a, b)), rests.OfCounter(buffer.Counter("x", b, a)))

	overflow := rests.OfCounter(buffer.Counter("x", a))
	require.False(t, own[overflow])
	require.Same(t, overflow, rests.OfCounter(buffer.Counter("x", b)))
	require.NotSame(t, overflow, rests.OfCounter(buffer.Counter("y", b)))
	require.Same(t, rests.OfTimer(buffer.Timer("x", a)), rests.OfTimer(buffer.Timer("x", b)))
	require.Same(t, rests.OfHistogram(buffer.Histogram("x", "", a)), rests.OfHistogram(buffer.Histogram("x", "", b)))
}

// A series with a rest is not forgotten, so no other series gets its slot and its rest.
func TestRestsOfIdleSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(new(sinktest.Recorder)),
			metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		defer func() { require.NoError(t, buffer.Close()) }()
		rests := new(fraction.Rests)
		rest := rests.OfCounter(buffer.Counter("x"))
		buffer.IncrCounter("y", 1)
		for range 10 {
			runtime.GC() // finds that nobody has the counter any more
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, buffer.Stats().Series, "y is forgotten")
		for _, name := range []string{"a", "b", "c"} {
			require.NotSame(t, rest, rests.OfCounter(buffer.Counter(name)))
		}
		require.Same(t, rest, rests.OfCounter(buffer.Counter("x")))
	})
}

// A buffer that is dropped without Close delivers what it has, though a function that it polls refers to the rests.
func TestRestsOfDroppedBuffer(t *testing.T) {
	recorder := new(sinktest.Recorder)
	func() {
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
		require.NoError(t, err)
		buffer.IncrCounter("x", 1)
		rests := new(fraction.Rests)
		counter, timer, histogram := buffer.Counter("x"), buffer.Timer("x"), buffer.Histogram("x", "")
		buffer.Poll(func() {
			rests.OfCounter(counter)
			rests.OfTimer(timer)
			rests.OfHistogram(histogram)
		})
		require.NoError(t, buffer.Flush(t.Context()))
		buffer.IncrCounter("x", 1)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return recorder.Total(metricsbuffer.KindCounter, "x").Count == 2
	}, 10*time.Second, time.Millisecond)
}

// Without a buffer there is nothing to record in.
func TestRestsOfNothing(t *testing.T) {
	rests := new(fraction.Rests)
	require.NotNil(t, rests.OfCounter(nil))
	require.NotNil(t, rests.OfTimer(nil))
	require.NotNil(t, rests.OfHistogram(nil))
}
