package backendsink_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A lonelyBackend fails if two calls overlap.
type lonelyBackend struct {
	busy atomic.Bool
	sum  int64
}

func (b *lonelyBackend) Increment(_ string, delta int64, _ []metricsbuffer.Tag) error {
	if !b.busy.CompareAndSwap(false, true) {
		return errors.New("two calls at once")
	}
	defer b.busy.Store(false)
	runtime.Gosched()
	b.sum += delta
	return nil
}

func (b *lonelyBackend) Gauge(string, float64, []metricsbuffer.Tag) error {
	return errors.ErrUnsupported
}

func (b *lonelyBackend) Timing(string, int64, time.Duration, []metricsbuffer.Tag) error {
	return errors.ErrUnsupported
}

func (b *lonelyBackend) Histogram(string, string, int64, int64, []metricsbuffer.Tag) error {
	return errors.ErrUnsupported
}

// The backend is called once at a time, also if two buffers share the sink.
func TestTwoBuffers(t *testing.T) {
	backend := new(lonelyBackend)
	sink := sinkFor(backend)
	const flushes = 200
	var flushing sync.WaitGroup
	for range 2 {
		flushing.Go(func() {
			buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink))
			if err != nil {
				t.Error(err)
				return
			}
			for range flushes {
				buffer.IncrCounter("jobs", 1)
				if err := buffer.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := buffer.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	flushing.Wait()
	require.EqualValues(t, 2*flushes, backend.sum)
}
