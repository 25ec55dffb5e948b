package sinktest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A buffer finds the optional methods of a sink behind nested faults.
func TestFaultsUnwrap(t *testing.T) {
	sender, closings := newSender(), 0
	sink := &asked{Sink: sender}
	wrapped := &closable{Sink: sink, onClose: func() error { closings++; return nil }}
	hanging, release := sinktest.Hanging(sinktest.Slow(wrapped, 1))
	release()
	never := func(int64) bool { return false }
	buffer, err := metricsbuffer.New(
		metricsbuffer.WithSink(sinktest.Failing(sinktest.Panicking(hanging, never), never)))
	require.NoError(t, err)

	require.NotNil(t, sink.flush, "the sink was not attached")
	buffer.IncrCounter("c", 1)
	points, err := sink.received(t, sender.server)()
	require.NoError(t, err)
	require.Len(t, points, 1)
	require.NoError(t, buffer.Close())
	require.Equal(t, 1, closings)
}

func otherBuffer(context.Context) error { return nil }

func askedWith(spoil func(*asked)) func(*testing.T) sinktest.Subject {
	return func(t *testing.T) sinktest.Subject {
		sender := newSender()
		sink := &asked{Sink: sender}
		spoil(sink)
		subject := subjectOf(sink, sender.server)
		subject.Received = sink.received(t, sender.server)
		return subject
	}
}

// A closable sink runs a function when it is closed.
type closable struct {
	metricsbuffer.Sink
	onClose func() error
}

func (c *closable) Unwrap() metricsbuffer.Sink { return c.Sink }

func (c *closable) Close() error {
	if c.onClose != nil {
		return c.onClose()
	}
	return nil
}

// An asked sink gets its batches when its server is read.
type asked struct {
	metricsbuffer.Sink
	flush          func(context.Context) error
	shared, silent bool
}

func (a *asked) Attach(flush func(context.Context) error) error {
	if a.flush != nil && !a.shared {
		return errors.New("the sink belongs to another buffer")
	}
	a.flush = flush
	return nil
}

func (a *asked) received(t *testing.T, s *server) func() ([]metricsbuffer.Point, error) {
	return func() ([]metricsbuffer.Point, error) {
		if a.flush != nil && !a.silent {
			if err := a.flush(t.Context()); err != nil && !errors.Is(err, metricsbuffer.ErrClosed) {
				return nil, err
			}
		}
		return s.received()
	}
}
