package statsdsink

import (
	"context"
	"fmt"

	"github.com/metricsbuffer/metricsbuffer"
)

// writeTo writes the batch packet by packet, and acknowledges what is in those that the writer took.
func (s *Sink) writeTo(ctx context.Context, batch *metricsbuffer.Batch) error {
	var written place
	err := s.pack(batch, func(packet []byte, sent place) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := s.writer.Write(packet); err != nil {
			return err
		}
		written = sent
		return nil
	})
	if err == nil {
		written = place{points: len(batch.Points)}
	}
	s.settle(batch, written)
	if err != nil {
		return fmt.Errorf("statsdsink: batch not written, or not as a whole: %w", err)
	}
	return nil
}
