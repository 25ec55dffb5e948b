package statsdsink

import (
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A hooked connection calls before with the number of each packet, from 1, before it is written.
type hooked struct {
	*net.UDPConn
	packets int
	before  func(packet int)
}

func (h *hooked) Write(packet []byte) (int, error) {
	h.packets++
	h.before(h.packets)
	return h.UDPConn.Write(packet)
}

// Each packet of three bursts is once the first that is refused. The packets before it are acknowledged. It and the
// packets after it stay in the buffer, and arrive once when there is a receiver again. The refusal of a packet usually
// fails the next write; after the last packet of a burst, the sink hears it in its pause.
func TestUDPRefusedAroundBursts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("when a refusal is known depends on the system")
	}
	const limit = 13 // of the lines c0:1|c, c1:2|c, … one per packet
	const packets = 3 * burst
	for refused := 1; refused <= packets; refused++ {
		receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		address := receiver.LocalAddr().String()
		received := ""
		read := func(n int) {
			packet := make([]byte, 2*limit)
			for range n {
				require.NoError(t, receiver.SetReadDeadline(time.Now().Add(5*time.Second)))
				n, _, err := receiver.ReadFrom(packet)
				require.NoError(t, err)
				received += string(packet[:n])
			}
		}

		s, err := New("udp://"+address, WithMaxPacket(limit))
		require.NoError(t, err)
		b := buffer(t, s, err)
		record(b, packets)
		sent := &hooked{before: func(packet int) {
			if packet == refused {
				read(refused - 1)
				require.NoError(t, receiver.Close())
			}
		}}
		conn, err := net.Dial("udp", address)
		require.NoError(t, err)
		sent.UDPConn = conn.(*net.UDPConn)
		s.conn = sent
		require.ErrorIs(t, b.Flush(t.Context()), syscall.ECONNREFUSED)
		last := refused + 1 // fails because of the refusal, and is not sent
		if refused == 1 || refused%burst == 0 {
			last = refused
		}
		require.Equal(t, last, sent.packets)
		stats := b.Stats().Sinks[0]
		require.Equal(t, refused-1, strings.Count(received, "\n"))
		require.Equal(t, total(packets)-stats.Pending.Increments, stats.Acknowledged.Increments)
		requireAcknowledged(t, received, stats.Acknowledged.Increments)

		receiver, err = net.ListenPacket("udp", address)
		require.NoError(t, err)
		require.NoError(t, b.Flush(t.Context()))
		read(packets - refused + 1)
		requireRecorded(t, received, packets, 1)
		require.NoError(t, receiver.Close())
	}
}

// A distant connection leads to another machine, to which no packet gets. The error that says so takes so long that
// many packets could be written before it comes, and less than a pause. The system tells it once.
type distant struct {
	*net.UDPConn
	packets int
	err     error
}

func (d *distant) Write(packet []byte) (int, error) { d.packets++; return len(packet), nil }

func (d *distant) Read([]byte) (int, error) {
	err := d.err
	d.err = os.ErrDeadlineExceeded
	return 0, &net.OpError{Op: "read", Err: err}
}

// The first packet of a batch finds out whether there is a server. So no other packet is lost while there is none. Nor
// is any lost if a router throws the first packet away because it is too long for the next network, such as a tunnel:
// the system cuts the packets after that into pieces. That packet was acknowledged once.
func TestUDPRefusedFromAfar(t *testing.T) {
	for _, cause := range []error{syscall.ECONNREFUSED, syscall.EMSGSIZE} {
		for _, packets := range []int{1, 2, burst, 3 * burst} {
			conn, err := net.Dial("udp", "127.0.0.1:9")
			require.NoError(t, err)
			s, err := New("udp://127.0.0.1:9", WithMaxPacket(13))
			require.NoError(t, err)
			server := &distant{UDPConn: conn.(*net.UDPConn), err: cause}
			s.conn = server
			b := buffer(t, s, nil)
			record(b, packets)
			require.ErrorIs(t, b.Flush(t.Context()), cause)
			require.Zero(t, b.Stats().Sinks[0].Acknowledged.Increments, packets)
			require.Equal(t, 1, server.packets)
		}
	}
}

// A cut connection writes no more packets after the first ones, and returns an error that is not the server's.
type cut struct {
	*net.UDPConn
	left   int
	err    error
	before func() // the last packet that is written
}

func (c *cut) Write(packet []byte) (int, error) {
	if c.left--; c.left < 0 {
		return 0, &net.OpError{Op: "write", Err: c.err}
	}
	if c.left == 0 {
		c.before()
	}
	return c.UDPConn.Write(packet)
}

// A Write that runs out of time, or whose packet a firewall of this machine stops, was not refused: the packets before
// are acknowledged, and arrive once. If the last of them is refused, that one is not.
func TestUDPStopsBetweenPackets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("when a refusal is known depends on the system")
	}
	const limit, packets = 13, burst + 2
	for _, cause := range []error{os.ErrDeadlineExceeded, syscall.EPERM} {
		for _, refused := range []int{0, 1} {
			for written := 1; written < packets; written++ {
				receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
				require.NoError(t, err)
				address := receiver.LocalAddr().String()
				conn, err := net.Dial("udp", address)
				require.NoError(t, err)
				s, err := New("udp://"+address, WithMaxPacket(limit))
				require.NoError(t, err)
				s.conn = &cut{conn.(*net.UDPConn), written, cause, func() {
					if refused > 0 {
						require.NoError(t, receiver.Close())
					}
				}}
				b := buffer(t, s, nil)
				record(b, packets)
				require.Error(t, b.Flush(t.Context()))
				require.Equal(t, total(int64(written-refused)), b.Stats().Sinks[0].Acknowledged.Increments, written)
				_ = receiver.Close()
			}
		}
	}
}

func total(n int64) int64 { return n * (n + 1) / 2 }

// requireAcknowledged compares the acknowledged increments with the sum of the lines' values.
func requireAcknowledged(t *testing.T, lines string, acknowledged int64) {
	t.Helper()
	var all int64
	for _, n := range values(t, lines) {
		all += int64(n)
	}
	require.Equal(t, all, acknowledged)
}
