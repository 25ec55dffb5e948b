package sinktest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// nothingPending is the flush function of a buffer in which nothing was recorded.
func nothingPending(context.Context) error { return nil }

// newBuffer returns a buffer that delivers on demand only. It is closed at the end of the test.
func (s Subject) newBuffer(t *testing.T) *metricsbuffer.Buffer {
	t.Helper()
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(s.Sink, metricsbuffer.SinkInterval(0)))
	if err != nil {
		t.Fatalf("a buffer with the sink: %v", err)
	}
	t.Cleanup(func() { _ = buffer.Close() }) // the test has closed it, or has failed
	return buffer
}

// record records [some] of n.
func record(buffer *metricsbuffer.Buffer, n int) {
	for range n {
		buffer.IncrCounter(jobs, 1, workerTag(0))
		buffer.IncrTimer(latency, typical)
	}
}

func testClose(t *testing.T, s Subject) {
	closer, ok := optional[io.Closer](s.Sink)
	if !ok {
		t.Skip("the sink has no Close")
	}
	buffer := s.newBuffer(t)
	record(buffer, 5)
	if err := buffer.Close(); err != nil {
		t.Errorf("Close of the buffer: %v", err)
	}
	closeWithin(t, closer, "the closed sink", Grace)
	s.expectOrdinary(t, 5)
}

// closeWithin fails the test if Close panics or takes longer than the limit. An error is no harm.
func closeWithin(t *testing.T, closer io.Closer, what string, limit time.Duration) {
	t.Helper()
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		_ = closer.Close()
	}()
	select {
	case p := <-panicked:
		if p != nil {
			t.Errorf("Close of %s panicked: %v", what, p)
		}
	case <-time.After(limit):
		t.Fatalf("Close of %s has not returned after %v: limit how long it waits for the backend", what, limit)
	}
}

// testAbandoned closes the sink while its backend does not answer. A buffer that is closed leaves the goroutine behind
// which closes the sink, if that takes longer than the buffer has time.
func testAbandoned(t *testing.T, s Subject) {
	closer, ok := optional[io.Closer](s.Sink)
	switch {
	case !ok:
		t.Skip("the sink has no Close")
	case s.Break == nil:
		t.Skip("the subject has no Break and Mend")
	}
	s.stall()
	defer s.Mend()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_ = s.writeUntil(ctx, t, some(5)) // the backend may have taken it
	closeWithin(t, closer, "the sink, while its backend fails,", patience)
}

func testAttach(t *testing.T, s Subject) {
	if _, ok := optional[metricsbuffer.Attacher](s.Sink); !ok {
		t.Skip("the sink has no Attach")
	}
	buffer := s.newBuffer(t)
	record(buffer, 5)
	s.expectOrdinary(t, 5)
	record(buffer, 5)
	s.expectOrdinary(t, 10)
	if other, err := metricsbuffer.New(metricsbuffer.WithSink(s.Sink)); err == nil {
		t.Error("the sink was accepted by a second buffer: Attach must return an error the second time")
		_ = other.Close()
	}
	record(buffer, 5)
	if err := buffer.Close(); err != nil {
		t.Errorf("Close of the buffer: %v", err)
	}
	s.expectOrdinary(t, 15)
}
