package statsdsink

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func bufferOf(t *testing.T, s metricsbuffer.Sink) *metricsbuffer.Buffer {
	t.Helper()
	b, err := metricsbuffer.New(metricsbuffer.WithSink(s, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	return b
}

// TestWriterThatTearsALine: the part of a line that a writer took before it failed or panicked does not swallow the
// next line.
func TestWriterThatTearsALine(t *testing.T) {
	for _, panics := range []bool{false, true} {
		var out strings.Builder
		calls := 0
		s, err := NewWriter(writerFunc(func(p []byte) (int, error) {
			if calls++; calls > 1 {
				return out.Write(p)
			}
			n, _ := out.Write(p[:5])
			if panics {
				panic("in a line")
			}
			return n, errors.New("disk full")
		}))
		require.NoError(t, err)
		b := bufferOf(t, s)
		b.IncrCounter("jobs.done", 7)
		require.Error(t, b.Flush(t.Context()))
		require.NoError(t, b.Flush(t.Context()))
		require.NoError(t, b.Close())
		require.Contains(t, strings.Split(out.String(), "\n"), "jobs.done:7|c", "panics: %v", panics)
	}
}

// TestWriterThatIsShort: bytes that a writer did not take are not acknowledged, even if it returns no error.
func TestWriterThatIsShort(t *testing.T) {
	s, err := NewWriter(writerFunc(func([]byte) (int, error) { return 0, nil }))
	require.NoError(t, err)
	b := bufferOf(t, s)
	b.IncrCounter("jobs.done", 7)
	require.ErrorIs(t, b.Flush(t.Context()), io.ErrShortWrite)
}

// TestWriterThatPanics: packets that it took before are not written again.
func TestWriterThatPanics(t *testing.T) {
	var out strings.Builder
	calls := 0
	s, err := NewWriter(writerFunc(func(p []byte) (int, error) {
		if calls++; calls == 2 {
			panic("second")
		}
		return out.Write(p)
	}), WithMaxPacket(20))
	require.NoError(t, err)
	b := bufferOf(t, s)
	b.IncrCounter("aaaaaaaaaa", 1)
	b.IncrCounter("bbbbbbbbbb", 1)
	require.Error(t, b.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Close())
	require.Equal(t, 1, strings.Count(out.String(), "aaaaaaaaaa:1|c\n"), out.String())
}

// TestCreditGoesWithItsBuffer: a closed buffer leaves credit of a point that it dropped. The credit is not taken off
// the observations of the next buffer.
func TestCreditGoesWithItsBuffer(t *testing.T) {
	var out strings.Builder
	calls := 0
	s, err := NewWriter(writerFunc(func(p []byte) (int, error) {
		if calls++; calls >= 2 && calls <= 3 {
			return 0, errors.New("refused")
		}
		return out.Write(p)
	}), WithTimers(Timings), WithMaxPacket(75)) // one share each
	require.NoError(t, err)
	a := bufferOf(t, s)
	a.IncrTimer("t", 1000*time.Millisecond)
	a.IncrTimer("t", 9000*time.Millisecond)
	a.IncrTimer("t", 99000*time.Millisecond)
	for i := range 6 {
		a.IncrTimer("t", time.Duration(1<<i)*time.Millisecond)
	}
	require.Error(t, a.Flush(t.Context()))
	require.Error(t, a.Close()) // its share of the points is counted as dropped
	sent := strings.Count(out.String(), "\n")
	require.Positive(t, sent)
	out.Reset()
	b := bufferOf(t, s)
	for i := range 6 {
		b.IncrTimer("t", time.Duration(1<<i)*time.Millisecond)
	}
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, 6, strings.Count(out.String(), "\n"))
}
