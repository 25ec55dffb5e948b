package statsdsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink sends batches to a StatsD or DogStatsD server. [New] makes one. Its methods may be called concurrently.
type Sink struct {
	network, address string
	writer           io.Writer // instead of network and address
	maxPacket        int
	encoder          encoder

	// Held by Write from beginning to end, so that a Close (or the Write of a second buffer) waits for it.
	mu     sync.Mutex
	conn   net.Conn // nil: the next Write opens one
	packet []byte   // empty; reused by each Write
	torn   bool     // what writer took last ended inside a line
	credit credit   // what receivers have of points that were not acknowledged
}

// New returns a sink for the server at address, which is host:port for the networks "udp" and "tcp" (or "udp4", "udp6",
// "tcp4", "tcp6"), and the path of a socket for "unixgram" and "unix". Nothing is opened before the first Write. The
// error says which argument cannot be used.
func New(network, address string, opts ...Option) (*Sink, error) {
	s := &Sink{network: network, address: address}
	var err error
	switch network {
	case "udp", "udp4", "udp6", "tcp", "tcp4", "tcp6":
		_, _, err = net.SplitHostPort(address)
	case "unixgram", "unix":
		if address == "" {
			err = errors.New("no address: give the path of the server's socket")
		}
	default:
		err = fmt.Errorf("unknown network %q: use udp, tcp, unixgram or unix", network)
	}
	if err == nil {
		err = s.configure(opts)
	}
	if err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	return s, nil
}

// NewWriter returns a sink that writes what one of [New] would send to w, packet by packet: for a file, a connection
// of one's own, a test. Each packet ends with a newline and is one call of w.Write, of up to 1432 bytes
// ([WithMaxPacket]). Its points are acknowledged if that returns no error; the rest of the batch stays in the buffer
// otherwise, and what w has written of that packet all the same is written again, after a newline if it ended inside a
// line. w is not closed.
func NewWriter(w io.Writer, opts ...Option) (*Sink, error) {
	s := &Sink{writer: w}
	var err error
	if w == nil {
		err = errors.New("no writer: give one that is not nil")
	} else {
		err = s.configure(opts)
	}
	if err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	return s, nil
}

func (s *Sink) streaming() bool { return s.network == "unix" || strings.HasPrefix(s.network, "tcp") }

func (s *Sink) defaultMaxPacket() int {
	switch {
	case s.streaming():
		return 4096
	case s.network != "unixgram":
		return 1432
	case runtime.GOOS == "linux":
		return 8192
	}
	return 2048
}

// String names the sink by its network and address, "statsd udp 127.0.0.1:8125", or by its writer's type, "statsd
// *os.File".
func (s *Sink) String() string {
	if s.writer != nil {
		return fmt.Sprintf("statsd %T", s.writer)
	}
	return "statsd " + s.network + " " + s.address
}

// Write sends a batch; see the package comment for what is known, per network, when it returns nil, and what stays in
// the buffer when it returns an error. It opens a connection if there is none and, after an error, closes it. It
// returns soon after ctx ends, with ctx's error.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(batch.Points) == 0 {
		return nil
	}
	if s.writer != nil {
		return s.writeTo(ctx, batch)
	}
	if s.conn == nil {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, s.network, s.address)
		if err != nil {
			return fmt.Errorf("statsdsink: nothing sent: %w", err)
		}
		s.conn = conn
	}
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // long past: ends reads and writes

	var err error
	if s.streaming() {
		err = s.writeStream(conn.(stream), batch)
	} else {
		err = s.writeDatagrams(ctx, conn, batch)
	}

	// A stream carries one batch; and a deadline set too late for this batch must not hit the next.
	if inTime := stop(); err != nil || !inTime || s.streaming() {
		_ = s.close()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return fmt.Errorf("statsdsink: %w", err)
}

// Close closes the connection, after the Write under way if there is one. A Write after it opens a connection again. A
// sink of [NewWriter] has none.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *Sink) close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
