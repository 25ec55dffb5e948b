package sinktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// apples is zero before any were delivered.
func apples(recorder *sinktest.Recorder) int64 {
	total, _ := recorder.Find(metricsbuffer.KindCounter, "apples")
	return total.Count
}

func TestFailing(t *testing.T) {
	recorder := new(sinktest.Recorder)
	sink := sinktest.Failing(recorder, sinktest.Every(3))
	for write := int64(1); write <= 7; write++ {
		err := sink.Write(t.Context(), second(counter("apples", write)))
		if write%3 == 0 {
			require.ErrorIs(t, err, sinktest.ErrInjected)
		} else {
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 1+2+4+5+7, apples(recorder))
}

func TestPanicking(t *testing.T) {
	recorder := new(sinktest.Recorder)
	sink := sinktest.Panicking(recorder, func(write int64) bool { return write == 1 })
	require.PanicsWithValue(t, sinktest.ErrInjected, func() {
		_ = sink.Write(t.Context(), second(counter("apples", 1)))
	})
	require.NoError(t, sink.Write(t.Context(), second(counter("apples", 2))))
	require.EqualValues(t, 2, apples(recorder))
}

func TestEvery(t *testing.T) {
	require.Panics(t, func() { sinktest.Every(0) })
	require.True(t, sinktest.Every(1)(1))
	require.False(t, sinktest.Every(2)(1))
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		sink := sinktest.Slow(recorder, time.Minute)

		began := time.Now()
		require.NoError(t, sink.Write(t.Context(), second(counter("apples", 1))))
		require.Equal(t, time.Minute, time.Since(began))

		tooLate := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, tooLate)
		defer cancel()
		require.ErrorIs(t, sink.Write(ctx, second(counter("apples", 2))), tooLate)
		require.Equal(t, time.Minute+time.Second, time.Since(began))
		require.EqualValues(t, 1, apples(recorder))
	})
}

func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		sink, release := sinktest.Hanging(recorder)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- sink.Write(ctx, second(counter("apples", 1))) }()

		cancel()
		synctest.Wait()
		require.Empty(t, result, "Write returned although nobody released it")
		require.Zero(t, apples(recorder))

		release()
		release()
		require.NoError(t, <-result)
		require.NoError(t, sink.Write(t.Context(), second(counter("apples", 2))))
		require.EqualValues(t, 3, apples(recorder))
	})
}

// Sinks that wrap each other go wrong from the outermost inwards.
func TestNested(t *testing.T) {
	recorder := new(sinktest.Recorder)
	sink := sinktest.Failing(sinktest.Panicking(recorder, sinktest.Every(2)), sinktest.Every(2))
	require.NoError(t, sink.Write(t.Context(), second(counter("apples", 1))))
	require.ErrorIs(t, sink.Write(t.Context(), second(counter("apples", 2))), sinktest.ErrInjected)
	require.Panics(t, func() { _ = sink.Write(t.Context(), second(counter("apples", 3))) })
	require.EqualValues(t, 1, apples(recorder))
}
