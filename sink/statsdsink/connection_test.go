package statsdsink

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A server of unix datagrams that is started again has another socket at the same path. The sink must not go on with
// its connection to the old one.
func TestUnixgramServerIsStartedAgain(t *testing.T) {
	path := socket(t)
	listen := func() *net.UnixConn {
		server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		require.NoError(t, err)
		return server
	}
	read := func(server *net.UnixConn) string {
		packet := make([]byte, 100)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, err := server.Read(packet)
		require.NoError(t, err)
		return string(packet[:n])
	}
	s, err := New("unixgram://" + path)
	b := buffer(t, s, err)
	server := listen()
	for range 3 {
		b.IncrCounter("jobs", 1)
		require.NoError(t, b.Flush(t.Context()))
		require.Equal(t, "jobs:1|c\n", read(server))
		require.NoError(t, server.Close())
		require.NoError(t, os.Remove(path))

		b.IncrCounter("jobs", 2)
		require.Error(t, b.Flush(t.Context()))
		require.EqualValues(t, 2, pending(b))

		server = listen()
		require.NoError(t, b.Flush(t.Context()))
		require.Equal(t, "jobs:2|c\n", read(server))
	}
	require.NoError(t, server.Close())
}

// A unixgram server that was started again between two batches gets the next one, which may be the last: no error tells
// of the restart, and nothing is lost.
func TestUnixgramServerWasStartedAgain(t *testing.T) {
	path := socket(t)
	s, err := New("unixgram://" + path)
	b := buffer(t, s, err)
	for i := range 3 {
		server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		require.NoError(t, err)
		b.IncrCounter("jobs", 1)
		if i < 2 {
			require.NoError(t, b.Flush(t.Context()))
		} else {
			require.NoError(t, b.Close())
		}
		packet := make([]byte, 100)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, err := server.Read(packet)
		require.NoError(t, err)
		require.Equal(t, "jobs:1|c\n", string(packet[:n]))
		require.NoError(t, server.Close())
		_ = os.Remove(path)
	}
}

// A lineServer reads lines from one connection at a time.
type lineServer struct {
	t        *testing.T
	listener net.Listener
	conn     net.Conn
	lines    *bufio.Scanner
	accepted int
}

func startLineServer(t *testing.T, network string) *lineServer {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = socket(t)
	}
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return &lineServer{t: t, listener: listener}
}

func (l *lineServer) target() string {
	return l.listener.Addr().Network() + "://" + l.listener.Addr().String()
}

// next returns the next line. If there is no connection it accepts one.
func (l *lineServer) next() string {
	l.t.Helper()
	if l.conn == nil {
		conn, err := l.listener.Accept()
		require.NoError(l.t, err)
		l.accepted++
		l.conn, l.lines = conn, bufio.NewScanner(conn)
		l.t.Cleanup(func() { _ = conn.Close() })
	}
	require.NoError(l.t, l.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	require.True(l.t, l.lines.Scan(), "%v", l.lines.Err())
	return l.lines.Text()
}

func (l *lineServer) hangUp() {
	require.NoError(l.t, l.conn.Close())
	l.conn = nil
}

// A kept connection carries all batches, until the server closes it: the next batch then goes over a new one, with no
// error and nothing lost. The server may close it cleanly or reset it.
func TestKeptConnection(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			server := startLineServer(t, network)
			s, err := New(server.target(), WithKeptConnection())
			b := buffer(t, s, err)
			send := func(n int) {
				t.Helper()
				b.IncrCounter("jobs", int64(n))
				require.NoError(t, b.Flush(t.Context()))
				require.Zero(t, pending(b))
				require.Equal(t, fmt.Sprintf("jobs:%d|c", n), server.next())
			}
			for i := range 20 {
				send(i + 1)
			}
			require.Equal(t, 1, server.accepted)
			for i := range 20 {
				server.hangUp()
				if i%2 == 0 {
					send(i + 1)
				}
				send(i + 100)
				require.Equal(t, 2+i, server.accepted)
				if i%3 == 0 { // a server that speaks is still there
					_, err := io.WriteString(server.conn, strings.Repeat("hello\n", 100))
					require.NoError(t, err)
					send(1)
				}
				if conn, ok := server.conn.(*net.TCPConn); ok && i%2 == 0 {
					require.NoError(t, conn.SetLinger(0))
				}
			}
			require.NoError(t, b.Close(), "it closes the sink")
			require.Nil(t, s.conn)
			require.False(t, server.lines.Scan())
			require.NoError(t, server.lines.Err(), "the connection ends, and is not reset")
		})
	}
}

// A talkative server has said something before the end of the connection, or before the end of the pause.
type talkative struct {
	net.Conn
	words int
	last  error
}

func (c *talkative) SetReadDeadline(time.Time) error { return nil }

func (c *talkative) Read([]byte) (int, error) {
	if c.words--; c.words < 0 {
		return 0, c.last
	}
	return 1, nil
}

// An answer of the server, such as "too many connections", does not hide that it closes the connection, and does not
// end a pause.
func TestListeningToATalkativeServer(t *testing.T) {
	for _, last := range []error{io.EOF, syscall.ECONNRESET, os.ErrDeadlineExceeded} {
		conn := &talkative{words: 100, last: last}
		err := listen(conn, pause)
		require.Equal(t, -1, conn.words)
		if errors.Is(last, os.ErrDeadlineExceeded) {
			last = nil
		}
		require.Equal(t, last, err)
	}
}

// If the server closes the connection while a batch is under way, the batch is not acknowledged.
func TestKeptConnectionThatBreaksDuringABatch(t *testing.T) {
	server := startLineServer(t, "tcp")
	s, err := New(server.target(), WithKeptConnection())
	b := buffer(t, s, err)
	b.IncrCounter("jobs", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, "jobs:1|c", server.next())

	const series = 100_000 // more than the sockets' buffers hold, which the system would let grow
	require.NoError(t, server.conn.(*net.TCPConn).SetReadBuffer(1<<16))
	require.NoError(t, s.conn.(*net.TCPConn).SetWriteBuffer(1<<16))
	record(b, series)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.CopyN(io.Discard, server.conn, 100_000)
		_ = server.conn.Close()
	}()
	require.Error(t, b.Flush(t.Context()))
	<-closed
	require.Eventually(t, func() bool { // Write may have passed its timeout, and not even have begun to send
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.conn == nil
	}, time.Minute, time.Millisecond)
	require.Equal(t, total(series), pending(b))
}

// A server that reads a batch and then closes the connection at once is noticed while the sink listens. The system may
// let the server wait for longer than that, but not each time.
func TestKeptConnectionThatIsClosedAfterABatch(t *testing.T) {
	server := startLineServer(t, "unix")
	closed := make(chan error, 1)
	go func() {
		for conn, err := server.listener.Accept(); err == nil; conn, err = server.listener.Accept() {
			_, _ = conn.Read(make([]byte, 100))
			closed <- conn.Close()
		}
	}()
	s, err := New(server.target(), WithKeptConnection())
	require.NoError(t, err)
	for range 1000 {
		if err = s.Write(t.Context(), oneJob()); err != nil {
			break
		}
		require.NoError(t, <-closed)
	}
	require.ErrorContains(t, err, "it may not have read the batch")
	require.NoError(t, s.Close())
}

func oneJob() *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Points: []metricsbuffer.Point{{Name: "jobs", Count: 1}}}
}

// A context that ends while a batch is written sets the deadline of the connection. The next batch has another one.
func TestDeadlineOfTheBatchBefore(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	s, err := New("udp://" + server.LocalAddr().String())
	require.NoError(t, err)
	ended, end := context.WithCancel(t.Context())
	end()
	for range 100 {
		require.NoError(t, s.Write(t.Context(), oneJob()))
		_ = s.Write(ended, oneJob()) // it may succeed before the deadline is set
	}
	require.NoError(t, s.Close())
}

// A nameServer answers questions for the addresses of any name.
type nameServer struct {
	conn      net.PacketConn
	address   atomic.Pointer[netip.Addr] // of IPv4; nil: no answer at all
	six       atomic.Bool                // ::1 is an address, too
	questions atomic.Int64
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	n := &nameServer{conn: conn}
	go n.serve()
	return n
}

// serve follows RFC 1035, sections 4.1 and 4.2.1.
func (n *nameServer) serve() {
	const headerSize, typeA, typeAAAA, classIN = 12, 1, 28, 1
	packet := make([]byte, 512)
	for {
		size, from, err := n.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		address := n.address.Load()
		if n.questions.Add(1); address == nil || size < headerSize {
			continue
		}
		end := headerSize
		for packet[end] != 0 { // a label is its length and so many bytes
			end += 1 + int(packet[end])
		}
		end += 1 + 4 // type and class
		kind := binary.BigEndian.Uint16(packet[end-4:])
		answer := append([]byte(nil), packet[:end]...)
		answer[2], answer[3] = 0x84, 0 // an authoritative answer without an error
		copy(answer[4:], []byte{0, 1, 0, 0, 0, 0, 0, 0})
		var ip []byte
		switch {
		case kind == typeA:
			ip = address.AsSlice()
		case kind == typeAAAA && n.six.Load():
			ip = net.IPv6loopback
		}
		if ip != nil {
			answer[7] = 1
			answer = append(answer, 0xc0, headerSize) // the name is the question's
			answer = append(answer, 0, byte(kind), 0, classIN, 0, 0, 0, 0, 0, byte(len(ip)))
			answer = append(answer, ip...)
		}
		_, _ = n.conn.WriteTo(answer, from)
	}
}

func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

// A UDP server that moves to another address gets the batches after the next lookup, although the old address still
// takes them. Without a lookup all went to the old address and were acknowledged.
func TestUDPNameIsLookedUpAgain(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no 127.0.0.2")
	}
	names := startNameServer(t)
	listen := func(address string) net.PacketConn {
		server, err := net.ListenPacket("udp4", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = server.Close() })
		return server
	}
	old := listen("127.0.0.1:0")
	_, port, err := net.SplitHostPort(old.LocalAddr().String())
	require.NoError(t, err)
	moved := listen("127.0.0.2:" + port)
	point := func(server net.PacketConn) {
		ip := netip.MustParseAddrPort(server.LocalAddr().String()).Addr()
		names.address.Store(&ip)
	}
	read := func(server net.PacketConn) string {
		packet := make([]byte, 100)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, _, err := server.ReadFrom(packet)
		require.NoError(t, err)
		return string(packet[:n])
	}

	s, err := New("udp://statsd.test.:" + port)
	require.NoError(t, err)
	s.names.resolver, s.names.interval = names.resolver(), time.Hour
	b := buffer(t, s, nil)
	send := func(to net.PacketConn) {
		t.Helper()
		b.IncrCounter("jobs", 1)
		require.NoError(t, b.Flush(t.Context()))
		require.Equal(t, "jobs:1|c\n", read(to))
	}
	point(old)
	send(old)
	asked := names.questions.Load()
	point(moved)
	send(old) // the lookup is not due
	require.Equal(t, asked, names.questions.Load())

	s.names.interval = time.Nanosecond
	send(moved)
	conn := s.conn
	send(moved)
	require.Same(t, conn, s.conn, "the address is the same")

	names.address.Store(nil) // a name server that is down
	s.names.lookedUp = time.Time{}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.False(t, s.names.haveMoved(ctx, s.target, s.conn.RemoteAddr()), "the last address stays")

	// A write that fails makes the next one look the name up, due or not.
	s.names.interval = time.Hour
	point(old)
	send(moved)
	require.NoError(t, moved.Close())
	b.IncrCounter("jobs", 1)
	require.Error(t, b.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, "jobs:1|c\n", read(old))
}

// named returns a server on 127.0.0.1, a name server that knows it, and a buffer that delivers to that name. The name
// is looked up before each batch.
func named(t *testing.T) (names *nameServer, server net.PacketConn, b *metricsbuffer.Buffer) {
	names = startNameServer(t)
	ip := netip.MustParseAddr("127.0.0.1")
	names.address.Store(&ip)
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	_, port, err := net.SplitHostPort(server.LocalAddr().String())
	require.NoError(t, err)
	s, err := New("udp://statsd.test.:" + port)
	require.NoError(t, err)
	s.names.resolver, s.names.interval = names.resolver(), time.Nanosecond
	return names, server, buffer(t, s, nil)
}

// The name localhost is ::1 and then 127.0.0.1 on most machines, and most servers listen on 127.0.0.1 only. Nobody
// answers when UDP connects, so package net would take ::1, and all batches would be refused.
func TestUDPNameWithAddressesOfBothKinds(t *testing.T) {
	names, server, b := named(t)
	names.six.Store(true)
	for range 2 {
		b.IncrCounter("jobs", 1)
		require.NoError(t, b.Flush(t.Context()))
		packet := make([]byte, 100)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, _, err := server.ReadFrom(packet)
		require.NoError(t, err)
		require.Equal(t, "jobs:1|c\n", string(packet[:n]))
	}
}

// A name server that does not answer leaves half of the time of a Write to the batch: it goes to the address in use.
func TestUDPNameServerThatIsDown(t *testing.T) {
	names, _, b := named(t) // whose Writes have less time than a lookup
	b.IncrCounter("jobs", 1)
	require.NoError(t, b.Flush(t.Context()))
	names.address.Store(nil)
	for range 2 {
		b.IncrCounter("jobs", 1)
		require.NoError(t, b.Flush(t.Context()))
	}
}

// An IP address needs no lookup, and the defaults are those of the documentation.
func TestIPAddressesAreNotLookedUp(t *testing.T) {
	names := startNameServer(t)
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	s, err := New("udp://" + server.LocalAddr().String())
	require.NoError(t, err)
	s.names.resolver, s.names.interval = names.resolver(), time.Nanosecond
	b := buffer(t, s, nil)
	for range 3 {
		b.IncrCounter("jobs", 1)
		require.NoError(t, b.Flush(t.Context()))
	}
	require.Zero(t, names.questions.Load())
	require.Equal(t, 30*time.Second, lookupInterval)
}
