package statsdsink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// UDP has no flow control: what comes faster than the receiver reads is thrown away by its kernel, in silence. The
// buffer of a socket on Linux holds about 90 full packets by default. After each burst, a fraction of that, the sink
// pauses, so that at most 6 megabytes, some 70,000 series, are sent in a second, and a receiver loses nothing that does
// not read for 20 milliseconds. Smaller batches than the buffer are never lost to it.
const (
	burst = 8
	pause = 2 * time.Millisecond
)

// writeDatagrams sends the batch packet by packet, and acknowledges what is in each.
func (s *Sink) writeDatagrams(ctx context.Context, conn net.Conn, batch *metricsbuffer.Batch) error {
	var written, has place // handed to the kernel, and not refused
	paced := !strings.HasPrefix(s.network, "unix")
	packets := 0

	err := s.pack(batch, func(packet []byte, upTo place) error {
		if err := writeDatagram(ctx, conn, packet); err != nil {
			return fmt.Errorf("packet of %d bytes: %w", len(packet), err)
		}
		// That a UDP packet was refused is known when the next is written, and that one is then not sent: so a write
		// that succeeds vouches for the packet before.
		if paced {
			has = written
		} else {
			has = upTo
		}
		written = upTo
		if packets++; paced && packets%burst == 0 {
			return listen(conn)
		}
		return nil
	})
	if err == nil && paced && packets%burst != 0 {
		err = listen(conn)
	}
	if err != nil {
		s.settle(batch, has)
		return fmt.Errorf("batch not sent, or not as a whole: %w", err)
	}
	s.settle(batch, place{points: len(batch.Points)})
	return nil
}

// listen pauses, and hears if the packets sent so far are refused: the answer of a machine that has no such port is
// an error of the next read or write, whichever comes first. Receivers do not answer otherwise.
func listen(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// writeDatagram writes one packet. Linux lets a unix datagram wait until the receiver has room; other systems have it
// fail, as all do when a network interface has no room, and it waits here.
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
