package losses

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	"github.com/stretchr/testify/require"
)

// A datadogWriter counts the values in the lines it is sent, name:value:value|type, or refuses all of it.
type datadogWriter struct {
	mu     sync.Mutex
	values int
	err    error
}

func (w *datadogWriter) Close() error { return nil }

func (w *datadogWriter) Write(payload []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	for line := range bytes.Lines(payload) {
		value, _, _ := bytes.Cut(line, []byte("|"))
		w.values += bytes.Count(value, []byte(":"))
	}
	return len(payload), nil
}

// newDatadog returns a client that flushes only on demand. Its queues hold everything that a test sends.
func newDatadog(t *testing.T, w *datadogWriter, options ...statsd.Option) *statsd.Client {
	client, err := statsd.NewWithWriter(w, append(options, statsd.WithoutTelemetry(), statsd.WithoutOriginDetection(),
		statsd.WithAggregationInterval(time.Hour), statsd.WithSenderQueueSize(1<<16))...)
	require.NoError(t, err)
	return client
}

func TestDatadogSampleDuringFlush(t *testing.T) {
	const writers, samples = 8, 2000
	until(t, func() bool {
		w := new(datadogWriter)
		client := newDatadog(t, w, statsd.WithExtendedClientSideAggregation())
		together(writers+1, func(i int) {
			if i == writers {
				for range 500 {
					require.NoError(t, client.Flush())
				}
				return
			}
			for range samples {
				require.NoError(t, client.Timing("latency", time.Millisecond, nil, 1))
			}
		})
		require.NoError(t, client.Close()) // flushes
		t.Logf("%d of %d timings were sent", w.values, writers*samples)
		return w.values < writers*samples
	})
}

func TestDatadogChannelModeClose(t *testing.T) {
	const samples = 4000 // the channel holds 4096: none is dropped for want of room
	until(t, func() bool {
		w := new(datadogWriter)
		client := newDatadog(t, w, statsd.WithExtendedClientSideAggregation(), statsd.WithChannelMode(),
			statsd.WithChannelModeErrorsWhenFull())
		for range samples {
			require.NoError(t, client.Timing("latency", time.Millisecond, nil, 1))
		}
		require.NoError(t, client.Close())
		t.Logf("%d of %d timings were sent", w.values, samples)
		return w.values < samples
	})
}

func TestDatadogFailedWrite(t *testing.T) {
	w := &datadogWriter{err: errors.New("the agent is away")}
	client := newDatadog(t, w)
	require.NoError(t, client.Count("requests", 1, nil, 1))
	require.NoError(t, client.Flush())
	w.mu.Lock()
	w.err = nil // it is back
	w.mu.Unlock()
	require.NoError(t, client.Close())
	require.Zero(t, w.values)
}
