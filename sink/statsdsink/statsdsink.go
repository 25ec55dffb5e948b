package statsdsink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink sends batches to a StatsD or DogStatsD server. [New] makes one.
type Sink struct {
	network, address string
	maxPacket        int
	encoder          encoder

	// Held by Write from beginning to end, so that a Close (or the Write of a second buffer) waits for it.
	mu     sync.Mutex
	conn   net.Conn // nil: the next Write opens one
	packet []byte   // empty; reused by each Write
}

// An Option is given to [New].
type Option func(*Sink) error

// WithGraphiteTags writes tags as Graphite does, into the name: name;key=value:1|c. Without it they are written as
// DogStatsD does, at the end of the line: name:1|c|#key:value.
func WithGraphiteTags() Option {
	return func(s *Sink) error {
		s.encoder.graphite = true
		return nil
	}
}

// WithPrefix puts prefix in front of each name, as it is: end it with a dot if one is wanted. It may consist of
// letters, digits, '.', '-' and '_' only, and begins with a letter or a digit.
func WithPrefix(prefix string) Option {
	return func(s *Sink) error {
		for i := range len(prefix) {
			if c := class[prefix[i]]; c&special != 0 || i == 0 && c&punctuation != 0 {
				return fmt.Errorf("prefix %q: use letters, digits and, but not first, '.', '-' and '_'", prefix)
			}
		}
		s.encoder.prefix = prefix
		return nil
	}
}

// WithMaxPacket sets how many bytes are sent at once, and therefore the longest point that can be sent; longer ones are
// dropped. The defaults suit most: 1432 for UDP, what Ethernet carries in one piece; 8192 for unixgram (2048 on systems
// whose default buffers are smaller than Linux's); 4096 for tcp and unix, the longest line statsd_exporter reads.
func WithMaxPacket(bytes int) Option {
	return func(s *Sink) error {
		const largestDatagram = 65507
		if bytes < 1 || bytes > largestDatagram {
			return fmt.Errorf("maximum packet of %d bytes: use 1 to %d", bytes, largestDatagram)
		}
		s.maxPacket = bytes
		return nil
	}
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
	for _, opt := range opts {
		if err == nil {
			err = opt(s)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	s.maxPacket = cmp.Or(s.maxPacket, s.defaultMaxPacket())
	// A point is encoded before it is known to be too much for the packet: twice the size, and nothing that is sent
	// ever makes the buffer grow.
	s.packet = make([]byte, 0, 2*s.maxPacket)
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

// String names the sink by its network and address: "statsd udp 127.0.0.1:8125".
func (s *Sink) String() string { return "statsd " + s.network + " " + s.address }

// Write sends a batch; see the package comment for what is known, per network, when it returns nil, and what stays in
// the buffer when it returns an error. It opens a connection if there is none and, after an error, closes it. It
// returns soon after ctx ends, with ctx's error.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(batch.Points) == 0 {
		return nil
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

// pack packs the batch's points into packets and has each sent. All lines of a point are in one packet, so that it is
// sent or not sent as a whole. send is told how many points, from the first, are sent when its packet is.
func (s *Sink) pack(batch *metricsbuffer.Batch, send func(packet []byte, points int) error) error {
	packet := s.packet
	for i := range batch.Points {
		full := len(packet)
		var reason string
		if packet, reason = s.encoder.append(packet, &batch.Points[i]); reason != "" {
			batch.Drop(i, reason)
			continue
		}
		if len(packet) <= s.maxPacket {
			continue
		}
		if full > 0 {
			if err := send(packet[:full], i); err != nil {
				return err
			}
			packet = packet[:copy(packet, packet[full:])]
		}
		if len(packet) > s.maxPacket {
			batch.Drop(i, tooLong)
			packet = s.packet
		}
	}
	if len(packet) == 0 {
		return nil
	}
	return send(packet, len(batch.Points))
}

// Close closes the connection, after the Write under way if there is one. A Write after it opens a connection again.
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
