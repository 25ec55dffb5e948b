package statsdsink

import (
	"context"
	"fmt"
	"io"

	"github.com/metricsbuffer/metricsbuffer"
)

// writeTo writes the batch packet by packet, and acknowledges what is in those that the writer took.
func (s *Sink) writeTo(ctx context.Context, batch *metricsbuffer.Batch) error {
	var written place
	defer func() { s.settle(batch, written) }() // also if the writer panics: what it took before must not go out again
	err := s.pack(batch, func(packet []byte, sent place) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.writeWhole(packet); err != nil {
			return err
		}
		written = sent
		return nil
	})
	if err == nil {
		written = place{points: len(batch.Points)}
	}
	if err != nil {
		return fmt.Errorf("statsdsink: batch not written, or not as a whole: %w", err)
	}
	return nil
}

// writeWhole writes a packet. If the last one was cut off inside a line, it first ends that line, which would otherwise
// swallow the beginning of this packet.
func (s *Sink) writeWhole(packet []byte) error {
	if s.torn {
		if _, err := s.writer.Write([]byte{'\n'}); err != nil {
			return err
		}
		s.torn = false
	}
	n, err := s.writer.Write(packet)
	if err == nil && n < len(packet) {
		err = io.ErrShortWrite
	}
	if err != nil && n > 0 && n <= len(packet) {
		s.torn = packet[n-1] != '\n'
	}
	return err
}
