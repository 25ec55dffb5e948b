package jsonsink_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/jsonsink"
)

// A lonelyWriter fails if two Writes overlap.
type lonelyWriter struct {
	busy atomic.Bool
	to   io.Writer
}

func (w *lonelyWriter) Write(p []byte) (int, error) {
	if !w.busy.CompareAndSwap(false, true) {
		return 0, errors.New("two Writes at once")
	}
	defer w.busy.Store(false)
	runtime.Gosched()
	return w.to.Write(p)
}

// A buffer calls Write for one batch at a time, but two buffers may share a sink.
func TestTwoBuffers(t *testing.T) {
	var out bytes.Buffer
	sink := sinkFor(&lonelyWriter{to: &out})
	const flushes = 200
	var flushing sync.WaitGroup
	for i := range 2 {
		flushing.Go(func() {
			buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink))
			if err != nil {
				t.Error(err)
				return
			}
			for range flushes {
				buffer.IncrCounter(fmt.Sprint("buffer", i), 1)
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
	for i := range 2 {
		require.Equal(t, flushes, bytes.Count(out.Bytes(), fmt.Appendf(nil, `"name":"buffer%d","count":1}`, i)))
	}
	require.Equal(t, 2*flushes, bytes.Count(out.Bytes(), []byte("\n")))
}

// misleading is a writer that breaks the rules of io.Writer.
type misleading struct{ more int }

func (m misleading) Write(p []byte) (int, error) { return len(p) + m.more, errors.New("full") }

func TestWriterThatBreaksTheRules(t *testing.T) {
	for _, more := range []int{1, -1 << 20} {
		sink, err := jsonsink.New(misleading{more})
		require.NoError(t, err)
		batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{{Name: "x"}}}
		require.ErrorContains(t, sink.Write(t.Context(), batch), "full")
	}
}
