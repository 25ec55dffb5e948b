package statsdsink

import (
	"fmt"
	"io"

	"github.com/metricsbuffer/metricsbuffer"
)

// writeStream sends the batch over conn.
//
// A write that succeeds only says that the bytes are in a buffer of this machine. The proof that the server has read
// them comes from the end of the connection. The sink closes its direction. The server learns of that by reading,
// after all bytes before it, and then closes the other direction, which ends the stream that is read here. A server
// that closes a connection with unread bytes resets it instead. So a batch is delivered as a whole or not at all, and
// no point is acknowledged earlier.
//
// A kept connection gives no such proof: see [WithKeptConnection].
func (s *Sink) writeStream(conn stream, batch *metricsbuffer.Batch) error {
	if err := s.pack(batch, func(packet []byte, _ place) error {
		_, err := conn.Write(packet)
		return err
	}); err != nil {
		return fmt.Errorf("batch not delivered: %w", err)
	}
	if s.kept {
		if err := listen(conn, pause); err != nil {
			return fmt.Errorf("batch sent, but the server closed the connection; it may not have read the batch: %w", err)
		}
		return nil
	}
	if err := conn.CloseWrite(); err != nil {
		return fmt.Errorf("batch not delivered: %w", err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return fmt.Errorf("batch sent, but the server did not close the connection, which would prove that it read all: %w",
			err)
	}
	return nil
}
