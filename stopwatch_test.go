package metricsbuffer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// In a bubble, a stopwatch shows the time of the bubble.
func TestStopwatchInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New()
		require.NoError(t, err)
		timer := b.Timer("latency")
		stopwatch, unlabelled := timer.Start(), Start()
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, stopwatch.Stop())
		require.Equal(t, time.Hour, timer.Since(unlabelled))
		require.Equal(t, time.Hour, unlabelled.Stop(), "which no timer records")
		stats := b.Stats()
		require.EqualValues(t, 2, stats.Recorded.Observations)
		require.Equal(t, "runtime", stats.Clock)
		require.Zero(t, stats.ClockFallbacks)
	})
	require.Zero(t, Stopwatch{}.Stop(), "it was not started")
}
