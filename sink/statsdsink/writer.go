package statsdsink

import (
	"context"
	"fmt"
	"io"

	"github.com/metricsbuffer/metricsbuffer"
)

// writeTo writes the batch to the writer, packet by packet, and acknowledges the points of each.
func (s *Sink) writeTo(ctx context.Context, batch *metricsbuffer.Batch) error {
	var written place
	defer func() { s.settle(batch, written) }() // also after a panic: a packet that was taken must not be written again
	err := s.pack(batch, func(packet []byte, end place) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.writeWhole(packet); err != nil {
			return err
		}
		written = end
		return nil
	})
	if err != nil {
		return fmt.Errorf("statsdsink: batch not written, or only in part: %w", err)
	}
	written = place{points: len(batch.Points)}
	return nil
}

// writeWhole writes a packet. If the packet before was cut off inside a line, that line gets its end first. Otherwise
// it would swallow the first line of this packet.
func (s *Sink) writeWhole(packet []byte) error {
	if s.torn {
		if _, err := s.writer.Write([]byte{'\n'}); err != nil {
			return err
		}
		s.torn = false
	}
	s.torn = true // in case that the writer panics
	n, err := s.writer.Write(packet)
	if err == nil && n < len(packet) {
		err = io.ErrShortWrite
	}
	s.torn = err != nil && n > 0 && n <= len(packet) && packet[n-1] != '\n'
	return err
}
