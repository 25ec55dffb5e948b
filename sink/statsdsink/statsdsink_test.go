package statsdsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func graphite(opts ...Option) []Option { return append(opts, WithGraphiteTags()) }

// An error about options names the mistake and the remedy.
func TestOptionsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		says string
		opts []Option
	}{
		{"option 1 of 1 is nil: leave it out", []Option{nil}},
		{"option 2 of 3 is nil: leave it out", []Option{WithPrefix("a."), nil, nil}},
		{`prefix "a b": use letters`, []Option{WithPrefix("a b")}},
		{`prefix "_sc": use letters`, []Option{WithPrefix("_sc")}},
		{"maximum packet of 0 bytes: use 1 to 65507", []Option{WithMaxPacket(0), WithPrefix("")}},
		{"maximum packet of 65508 bytes: use 1 to 65507", []Option{WithMaxPacket(65508)}},
		{`has no room for any line: the shortest, "a:1|c\n", has 6 bytes: shorten`, []Option{WithMaxPacket(5)}},
		{`"p.a:1|c|#k:v\n", has 13`, []Option{WithMaxPacket(12), WithPrefix("p."), WithTags(tag("k", "v"))}},
		{"the form of timers 200 is unknown: use Timings, Parts,", []Option{WithTimers(200)}},
		{"quantile 1: use numbers between", []Option{WithTimers(Parts), WithQuantiles(0.5, 1)}},
		{"quantile NaN: use numbers between", []Option{WithQuantiles(math.NaN())}},
		{"WithQuantiles adds gauges to Parts: use WithTimers(Parts), too", []Option{WithQuantiles(0.5)}},
		{"WithQuantiles adds gauges to Parts", []Option{WithQuantiles(0.5), WithTimers(Sum)}},
		{`container id "": use letters`, []Option{WithContainerID("")}},
		{`container id "a|b": use letters`, []Option{WithContainerID("a|b")}},
		{"WithPacking has nothing to pack: use WithTimers(Timings,", []Option{WithPacking(), WithTimers(Parts)}},
		{"WithPacking has nothing to pack", []Option{WithPacking(), WithTimers(Sum)}},
		{"WithContainerID and WithGraphiteTags: no server reads both", graphite(WithContainerID("a"))},
		{"WithTimestamps and WithGraphiteTags: no server reads both", graphite(WithTimestamps())},
		{"WithPacking and WithGraphiteTags: no server reads both", graphite(WithPacking())},
		{"Histograms or Distributions) and WithGraphiteTags: servers", graphite(WithTimers(Histograms))},
		{"for counters: use WithTimers(Timings)", graphite(WithTimers(Distributions))},
		{"WithKeptConnection is for targets of tcp and unix: leave it out", []Option{WithKeptConnection()}},
	} {
		_, err := New("udp://127.0.0.1:8125", test.opts...)
		require.ErrorContains(t, err, test.says)
		require.True(t, strings.HasPrefix(err.Error(), "statsdsink: "), err)
		_, err = NewWriter(io.Discard, test.opts...)
		require.ErrorContains(t, err, test.says)
		require.True(t, strings.HasPrefix(err.Error(), "statsdsink: "), err)
	}
	for _, target := range []string{"unixgram:///run/x.sock", "udp://localhost:8125"} {
		_, err := New(target, WithKeptConnection())
		require.ErrorContains(t, err, "WithKeptConnection is for targets of tcp and unix")
	}
}

// buffer returns a buffer that flushes to s on demand only, with a short timeout.
func buffer(t *testing.T, s *Sink, err error) *metricsbuffer.Buffer {
	t.Helper()
	require.NoError(t, err)
	b, err := metricsbuffer.New(
		metricsbuffer.WithSink(s, metricsbuffer.SinkTimeout(300*time.Millisecond)), metricsbuffer.WithInterval(0),
	)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close(); require.NoError(t, s.Close()) })
	return b
}

// record adds 1 to the counter c0, 2 to c1, and so on.
func record(b *metricsbuffer.Buffer, series int) {
	for i := range series {
		b.IncrCounter("c"+strconv.Itoa(i), int64(i+1))
	}
}

func requireRecorded(t *testing.T, lines string, series, times int) {
	t.Helper()
	require.True(t, strings.HasSuffix(lines, "\n"))
	got := values(t, lines)
	for i := range series {
		require.Equal(t, times*(i+1), got["c"+strconv.Itoa(i)])
	}
	require.Len(t, got, series)
}

// values adds up the counters in the lines.
func values(t *testing.T, lines string) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "|c\n"), ":")
		n, err := strconv.Atoi(value)
		require.NoError(t, err, line)
		got[name] += n
	}
	return got
}

func pending(b *metricsbuffer.Buffer) int64 { return b.Stats().Sinks[0].Pending.Increments }

// requireTimeout flushes and requires a timeout. It returns after the Write has returned, too.
func requireTimeout(t *testing.T, b *metricsbuffer.Buffer) {
	t.Helper()
	failures := b.Stats().Sinks[0].Failures
	require.ErrorIs(t, b.Flush(t.Context()), context.DeadlineExceeded)
	settled := func() bool { return b.Stats().Sinks[0].Failures > failures }
	require.Eventually(t, settled, 5*time.Second, time.Millisecond)
	require.ErrorIs(t, b.Stats().Sinks[0].LastError, context.DeadlineExceeded)
}

// A batch over a stream is delivered if and only if the server has closed the stream after reading everything.
func TestStreamIsDeliveredWhenTheReceiverSaysSo(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = socket(t)
			}
			listener, err := net.Listen(network, address)
			require.NoError(t, err)
			defer listener.Close()
			serve := func(conversation func(net.Conn)) {
				go func() {
					conn, err := listener.Accept()
					if err == nil {
						conversation(conn)
						_ = conn.Close()
					}
				}()
			}
			s, err := New(network + "://" + listener.Addr().String())
			b := buffer(t, s, err)
			const series = 20_000 // more than the sockets' buffers hold
			record(b, series)
			all := pending(b)
			require.EqualValues(t, series*(series+1)/2, all)

			serve(func(conn net.Conn) {}) // reads nothing
			require.Error(t, b.Flush(t.Context()))
			require.Equal(t, all, pending(b))

			serve(func(conn net.Conn) { _, _ = io.CopyN(io.Discard, conn, 100_000) }) // not all
			require.Error(t, b.Flush(t.Context()))
			require.Equal(t, all, pending(b))

			silent := make(chan struct{})
			serve(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn); <-silent }) // all, without a word
			requireTimeout(t, b)
			require.ErrorContains(t, b.Stats().Sinks[0].LastError, "did not close the connection")
			require.Equal(t, all, pending(b))
			close(silent)

			read := make(chan string, 1)
			serve(func(conn net.Conn) {
				text, _ := io.ReadAll(conn)
				read <- string(text)
			})
			require.NoError(t, b.Flush(t.Context()))
			require.Zero(t, pending(b))
			requireRecorded(t, <-read, series, 1)
		})
	}
}

// socket returns a path for a socket: t.TempDir's can be too long for one.
func socket(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no unix datagrams on Windows")
	}
	dir, err := os.MkdirTemp("", "statsd")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// A server of unix datagrams is too slow for one Write. It gets every packet once, by several Writes.
func TestUnixgramWaitsForTheReceiver(t *testing.T) {
	path := socket(t)
	receiver, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	defer receiver.Close()
	const series, limit = 1000, 64
	s, err := New("unixgram://"+path, WithMaxPacket(limit))
	b := buffer(t, s, err)
	record(b, series)
	all := pending(b)

	requireTimeout(t, b) // nobody reads
	require.Less(t, pending(b), all, "nothing was acknowledged")
	require.NotZero(t, pending(b))

	read := make(chan string)
	go func() {
		var lines strings.Builder
		packet := make([]byte, 2*limit)
		for strings.Count(lines.String(), "\n") < series {
			n, err := receiver.Read(packet)
			if err != nil || n > limit {
				fmt.Fprintf(&lines, "a packet of %d bytes, %v\n", n, err)
				break
			}
			lines.Write(packet[:n])
		}
		read <- lines.String()
	}()
	require.NoError(t, b.Flush(t.Context()))
	require.Zero(t, pending(b))
	requireRecorded(t, <-read, series, 1)
}

// On one machine the sink hears of a refused UDP packet at once, also if there is only one.
func TestUDPRefused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("when a refusal is known depends on the system")
	}
	for _, series := range []int{1, 5000} {
		receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		address := receiver.LocalAddr().String()
		require.NoError(t, receiver.Close())

		s, err := New("udp://" + address)
		b := buffer(t, s, err)
		record(b, series)
		all := pending(b)
		for range 3 {
			require.ErrorIs(t, b.Flush(t.Context()), syscall.ECONNREFUSED)
			require.Equal(t, all, pending(b))
		}

		receiver, err = net.ListenPacket("udp", address)
		require.NoError(t, err)
		require.NoError(t, receiver.(*net.UDPConn).SetReadBuffer(1<<20))
		require.NoError(t, b.Flush(t.Context()))
		var lines strings.Builder
		packet := make([]byte, 2000)
		for strings.Count(lines.String(), "\n") < series {
			require.NoError(t, receiver.SetReadDeadline(time.Now().Add(5*time.Second)))
			n, _, err := receiver.ReadFrom(packet)
			require.NoError(t, err)
			require.LessOrEqual(t, n, 1432)
			lines.Write(packet[:n])
		}
		requireRecorded(t, lines.String(), series, 1)
		require.NoError(t, receiver.Close())
	}
}

// The sink pauses after each burst. A small batch has one pause, at its end.
func TestUDPPauses(t *testing.T) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer receiver.Close()
	s, err := New("udp://"+receiver.LocalAddr().String(), WithMaxPacket(64))
	require.NoError(t, err)
	batch := hundredThousand(counter)
	for packets, pauses := range map[int]int{1: 1, burst: 1, burst + 1: 2, 5 * burst: 5} {
		batch.Points = batch.Points[:packets] // of which a packet has room for one
		began := time.Now()
		require.NoError(t, s.Write(t.Context(), batch))
		require.GreaterOrEqual(t, time.Since(began), time.Duration(pauses)*pause)
		batch.Points = batch.Points[:100]
	}
	require.NoError(t, s.Close())
}

// A server's buffer holds fewer large packets. So the sink sends no more bytes per second in large packets.
func TestUDPPausesAfterLargePackets(t *testing.T) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer receiver.Close()
	for _, limit := range []int{4096, 8192, 32768} {
		s, err := New("udp://"+receiver.LocalAddr().String(), WithMaxPacket(limit))
		require.NoError(t, err)
		batch := hundredThousand(counter)
		batch.Points = batch.Points[:5000]
		bytes := 0
		require.NoError(t, s.pack(batch, func(packet []byte, _ place) error { bytes += len(packet); return nil }))
		began := time.Now()
		require.NoError(t, s.Write(t.Context(), batch))
		bursts := bytes / (burst * 1432)
		require.GreaterOrEqual(t, time.Since(began), time.Duration(bursts-1)*pause, limit)
		require.NoError(t, s.Close())
	}
}

// A point that can never be sent is dropped and counted. The points around it are sent.
func TestDrops(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	read := make(chan string, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			text, _ := io.ReadAll(conn)
			_ = conn.Close()
			read <- string(text)
		}
	}()
	s, err := New("tcp://"+listener.Addr().String(), WithMaxPacket(32))
	b := buffer(t, s, err)
	b.IncrCounter("before", 1)
	b.IncrCounter(strings.Repeat("a", 27), 1) // 32 bytes
	b.IncrCounter(strings.Repeat("b", 28), 1)
	b.IncrCounter(strings.Repeat("c", 1000), 1)
	b.SetGauge("g", math.NaN())
	b.IncrTimer("t", time.Second) // four lines never fit
	b.IncrCounter("after", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.ElementsMatch(t, []string{"before:1|c", strings.Repeat("a", 27) + ":1|c", "after:1|c", ""},
		strings.Split(<-read, "\n"))
	stats := b.Stats().Sinks[0]
	require.Equal(t, map[string]int64{tooLong: 3, notFinite: 1}, stats.Drops)
	require.Equal(t, metricsbuffer.Totals{Increments: 2, Observations: 1}, stats.Dropped)
	require.Equal(t, metricsbuffer.Totals{Increments: 3}, stats.Acknowledged)
}

// A Write returns when its context ends, also if the server does nothing. The next Write is not affected.
func TestWriteReturnsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	s, err := New("tcp://" + listener.Addr().String())
	require.NoError(t, err)
	batch := hundredThousand(counter)

	reason := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
	require.ErrorIs(t, s.Write(ctx, batch), reason)
	require.ErrorIs(t, s.Write(ctx, batch), context.Canceled) // from the beginning

	require.NoError(t, s.Write(ctx, new(metricsbuffer.Batch)), "nothing to send needs nobody")
}

// Series that come and go, some of them back under other IDs, while Writes fail: every update arrives once, under its
// own name.
func TestChurnWithFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines strings.Builder
		s, err := NewWriter(&lines)
		require.NoError(t, err)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithIdleExpiry(time.Second),
			metricsbuffer.WithSink(sinktest.Failing(s, func(write int64) bool { return write%3 > 0 })))
		require.NoError(t, err)
		const rounds = 700
		for i := range rounds {
			b.IncrCounter("c"+strconv.Itoa(i%7), int64(i%7+1))
			b.IncrCounter("once", 1, tag("i", strconv.Itoa(i)))
			time.Sleep(time.Second)
			_ = b.Flush(t.Context()) // two of three fail
		}
		for b.Flush(t.Context()) != nil {
		}
		_ = b.Close() // it may fail to deliver ends, and has nothing else
		once := regexp.MustCompile(`once:1\|c\|#i:\d+\n`)
		require.Len(t, once.FindAllString(lines.String(), -1), rounds)
		requireRecorded(t, once.ReplaceAllString(lines.String(), ""), 7, rounds/7)
	})
}
