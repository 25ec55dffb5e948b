package otelsink_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A receiver takes a request and crashes before it answers. The request is exported again, because nothing in the
// protocol tells that it has arrived. All other requests arrive exactly once, so the totals are too high by that one.
func TestCrash(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := begin(t)
			crash := make(chan struct{})
			buffer, err := metricsbuffer.New(
				metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(5*time.Millisecond)))
			require.NoError(t, err)
			twice := newReceiver(t) // adds up the request without an answer
			record(buffer, func() {
				receiver.mu.Lock()
				receiver.crash = crash
				receiver.mu.Unlock()
				<-crash
				_, err := twice.Export(t.Context(), receiver.request)
				require.NoError(t, err)
				receiver.kill()
				receiver.Start()
			})
			require.Eventually(t, func() bool { return buffer.Flush(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
			require.NoError(t, buffer.Close())

			require.Positive(t, twice.total("latency").count)
			require.InDelta(t, recordedUpdates+twice.total("jobs queue=a").value, receiver.total("jobs queue=a").value, 0)
			latency, latencyTwice := receiver.total("latency"), twice.total("latency")
			require.Equal(t, recordedUpdates+latencyTwice.count, latency.count)
			require.InDelta(t, recordedSum+latencyTwice.sum, latency.sum, 0)
			require.Equal(t, 2*writers+latencyTwice.zeros, latency.zeros)
		})
	}
}
