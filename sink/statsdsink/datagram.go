package statsdsink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// UDP has no flow control: if packets come faster than a server reads them, its kernel throws them away silently. On
// Linux a socket's buffer holds about 90 full packets of the default length. The sink pauses after each burst, which is
// a fraction of that. So it sends at most 6 megabytes, some 70,000 series, in a second. A server loses nothing unless
// it does not read for 20 milliseconds, and it never loses a packet of a batch that is smaller than its buffer. Larger
// packets take up more of that buffer: a burst has fewer of them, or the pause after it is longer.
//
// The first packet of a batch is a burst of its own. From another machine a refusal takes longer than some writes. So
// without that pause, nearly all packets of a burst would be lost by each Write while the server is down.
const (
	burst      = 8
	burstBytes = burst * 1432
	pause      = 2 * time.Millisecond
)

// writeDatagrams sends the batch packet by packet, and acknowledges the points of each.
func (s *Sink) writeDatagrams(ctx context.Context, conn net.Conn, batch *metricsbuffer.Batch) error {
	var written, accepted place // the end of the last packet that was written, and of the last that was not refused
	paced := s.target.isUDP()
	packets, bytes := 0, 0 // the bytes are those since the last pause

	err := s.pack(batch, func(packet []byte, end place) error {
		if err := writeDatagram(ctx, conn, packet); err != nil {
			return fmt.Errorf("packet of %d bytes: %w", len(packet), err)
		}
		// The refusal of a UDP packet fails the next write, which then sends nothing. So a write that succeeds proves
		// that the packet before was not refused.
		if paced {
			accepted = written
		} else {
			accepted = end
		}
		written = end
		packets, bytes = packets+1, bytes+len(packet)
		if paced && (packets == 1 || packets%burst == 0 || bytes >= burstBytes) {
			length := pause * time.Duration(max(bytes, burstBytes)) / burstBytes
			bytes = 0
			return listen(conn, length)
		}
		return nil
	})
	if err == nil && paced && bytes > 0 {
		err = listen(conn, pause)
	}
	if err != nil {
		if paced && isOurs(err) && listen(conn, pause) == nil {
			accepted = written
		}
		s.settle(batch, accepted)
		return fmt.Errorf("batch not sent, or only in part: %w", err)
	}
	s.settle(batch, place{points: len(batch.Points)})
	return nil
}

// isOurs reports whether an error of a write certainly comes from this machine. It then says nothing of the packet
// before. A packet that is too long for this machine is not among them: a router between here and the server that has
// thrown the packet before away, because it was too long for the next network, gives the same error, EMSGSIZE.
func isOurs(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EPERM)
}

// listen waits for the length of a pause, and returns an error if the other side refuses packets or has closed the
// connection. A machine without a server at a port answers a UDP packet with a refusal, which fails the next read or
// write. StatsD has no other answers: they are read away.
func listen(conn net.Conn, length time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(length)); err != nil {
		return err
	}
	var answer [64]byte
	for {
		switch _, err := conn.Read(answer[:]); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}

// writeDatagram writes one packet. On Linux a write to a unix socket waits until the server has room. On other systems
// it fails, and so does a write to a network interface without room on all systems: writeDatagram then waits.
func writeDatagram(ctx context.Context, conn net.Conn, packet []byte) error {
	for {
		_, err := conn.Write(packet)
		if !errors.Is(err, syscall.ENOBUFS) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
