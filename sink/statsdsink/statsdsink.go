package statsdsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink sends batches to a StatsD or DogStatsD server. [New], [FromEnvironment] and [NewWriter] make one. Its methods
// may be called concurrently.
type Sink struct {
	target    target
	writer    io.Writer // instead of a target
	kept      bool      // a stream's connection carries more than one batch
	maxPacket int
	encoder   encoder

	// The fields below are used under mu. Write holds it from beginning to end, so that Close and the Write of another
	// buffer wait for it.
	mu       sync.Mutex
	conn     net.Conn // nil: the next Write opens one
	names    names    // of the target's host
	packet   []byte   // empty; every Write uses its memory again
	torn     bool     // the last line that writer took has no end
	received credit   // the part of unacknowledged points that servers have
}

// New returns a sink for the server that target names. The target is one of
//
//	udp://host:port        also udp4, udp6
//	tcp://host:port        also tcp4, tcp6
//	unixgram:///path       a unix socket for datagrams, also @name for an abstract one
//	unix:///path           a unix socket for streams
//
// A path is taken as it is, without percent-decoding. The first Write connects; New does not. An error names the wrong
// argument and shows a correct one.
func New(target string, opts ...Option) (*Sink, error) {
	parsed, err := parseTarget(target)
	if err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	return newSink(&Sink{target: parsed}, opts)
}

// NewWriter returns a sink that writes to w: a file, a connection, a buffer in a test. It writes the packets that a
// sink of [New] would send, one w.Write per packet of at most 1432 bytes ([WithMaxPacket]). Each packet ends with a
// newline.
//
// A packet's points are acknowledged when w.Write has returned no error. After an error the rest of the batch stays in
// the buffer, and the failed packet is written again as a whole, even if w took a part of it. If that part ends inside
// a line, the next packet begins on a new line. The sink does not close w.
func NewWriter(w io.Writer, opts ...Option) (*Sink, error) {
	var err error
	switch {
	case w == nil:
		err = errors.New("statsdsink: the writer is nil: give one, such as os.Stdout")
	case isNil(w):
		err = fmt.Errorf("statsdsink: the writer is a nil %T: give one, such as os.Stdout", w)
	default:
		return newSink(&Sink{writer: w}, opts)
	}
	return nil, err
}

func newSink(s *Sink, opts []Option) (*Sink, error) {
	if err := s.configure(opts); err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	return s, nil
}

// isNil reports whether v, which is not nil itself, holds a nil pointer or the like.
func isNil(v any) bool {
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan:
		return value.IsNil()
	}
	return false
}

// String names the sink by its target, "statsd udp://127.0.0.1:8125", or by the type of its writer, "statsd *os.File".
func (s *Sink) String() string {
	if s.writer != nil {
		return fmt.Sprintf("statsd %T", s.writer)
	}
	return "statsd " + s.target.String()
}

// Write sends a batch. The package documentation describes the proof that a nil error gives, for each network, and the
// points that stay in the buffer after an error. Write connects if there is no connection, and closes the connection
// after an error. It returns soon after ctx ends, with ctx's error.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.encoder.begin(batch)
	if len(batch.Points) == 0 {
		return nil
	}
	if s.writer != nil {
		return s.writeTo(ctx, batch)
	}
	if err := s.connect(ctx); err != nil {
		return fmt.Errorf("statsdsink: nothing sent: %w", err)
	}
	conn := s.conn
	longPast := time.Unix(1, 0)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longPast) }) // ends reads and writes

	var err error
	if s.target.isStream() {
		err = s.writeStream(conn.(stream), batch)
	} else {
		err = s.writeDatagrams(ctx, conn, batch)
	}

	// A connection whose deadline has been set is closed as well: the deadline must not hit the next batch. A socket for
	// unixgram leads to a server that may be another one by then, and costs little.
	inTime := stop()
	if err != nil || !inTime || !s.kept && !s.target.isUDP() {
		_ = s.disconnect()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return fmt.Errorf("statsdsink: %w", err)
}

// Close closes the connection, if there is one. It waits for a running Write to end. A later Write connects again. The
// buffer calls Close when it is closed itself; a sink of [NewWriter] has nothing to close.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disconnect()
}
