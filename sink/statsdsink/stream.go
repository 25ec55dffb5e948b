package statsdsink

import (
	"fmt"
	"io"
	"net"

	"github.com/metricsbuffer/metricsbuffer"
)

// A stream is a connection that can be closed in one direction: TCP's, and unix sockets' of the same kind.
type stream interface {
	net.Conn
	CloseWrite() error
}

// writeStream sends the batch over a connection of its own and returns nil only if the receiver has read all of it.
//
// A write into a stream says no more than that the bytes are in a buffer of this machine. The receiver's word comes
// from the end of the connection: it learns that no more will come, by reading, only after everything before, and then
// closes its side, which is read here as the end of the stream. A receiver that ends otherwise, with bytes unread,
// resets the connection. So nothing is acknowledged on the way: the batch is, or is not, delivered as a whole.
func (s *Sink) writeStream(conn stream, batch *metricsbuffer.Batch) error {
	if err := s.pack(batch, func(packet []byte, _ place) error {
		_, err := conn.Write(packet)
		return err
	}); err != nil {
		return fmt.Errorf("batch not delivered: %w", err)
	}
	if err := conn.CloseWrite(); err != nil {
		return fmt.Errorf("batch not delivered: %w", err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return fmt.Errorf("batch sent, but the receiver did not close the connection to say that it read it: %w", err)
	}
	return nil
}
