// Package jsonsink writes batches as JSON lines: one object, in one line, for each point.
//
//	{"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":"gauge","name":"depth","value":0.5}
//	{"start":…,"end":…,"kind":"counter","name":"jobs","tags":{"queue":"mail"},"count":3}
//	{"start":…,"end":…,"kind":"timer","name":"latency","unit":"ns","count":2,"sum":5,"min":2,"max":3,
//	 "buckets":{"scale":4,"zeros":0,"offset":15,"counts":[1,0,0,0,0,0,0,0,0,0,1]}}
//
// The last one stands in one line, too. A counter's count is the sum of its deltas. The counts of buckets are those
// of [metricsbuffer.Buckets], beginning with the one at offset. Integers have all their digits, of which programs that
// read numbers as floating point, as JavaScript does, keep 15. Gauges that are NaN or infinite are the strings "NaN",
// "Infinity" and "-Infinity". A key with several values has them all, in an array.
//
// Strings that are not UTF-8 cannot be written in JSON: points with one are dropped, which [metricsbuffer.SinkStats]
// counts. All others can be read back as they were.
package jsonsink

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink writes batches to a writer. [New] makes one.
type Sink struct {
	w     io.Writer
	lines []byte // reused
	ends  []int  // of points' lines, in lines
	cut   bool   // the last Write ended within a line
}

// New returns a sink that writes to w, each batch with one call of its Write.
func New(w io.Writer) *Sink { return &Sink{w: w} }

// String returns "json".
func (s *Sink) String() string { return "json" }

// Write writes a line for each point. If the writer fails, the points whose lines it took as a whole leave the buffer;
// the others are written again with the next batch, and a line that was cut off is ended first, so that it is the only
// one that is not JSON.
//
// An [io.Writer] knows no context: Write lasts as long as the writer does, whatever becomes of ctx.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.lines, s.ends = s.lines[:0], s.ends[:0]
	if s.cut {
		s.lines = append(s.lines, '\n')
	}
	times := appendTimes(nil, batch.Start, batch.End)
	for i := range batch.Points {
		p := &batch.Points[i]
		if reason := unfit(p); reason != "" {
			batch.Drop(i, reason)
		} else {
			s.lines = append(appendPoint(append(s.lines, times...), p), '\n')
		}
		s.ends = append(s.ends, len(s.lines))
	}
	if len(s.lines) == 0 {
		return nil
	}

	n, err := s.w.Write(s.lines)
	if err == nil && n < len(s.lines) {
		err = io.ErrShortWrite
	}
	if err == nil {
		s.cut = false
		return nil
	}
	whole := 0
	for whole < len(s.ends) && s.ends[whole]-1 <= n { // the end of a line that has no more than that to come, comes
		whole++
	}
	batch.Acknowledge(whole)
	if n > 0 {
		s.cut = s.lines[n-1] != '\n'
	}
	return fmt.Errorf("jsonsink: after %d of %d lines: %w", whole, len(batch.Points), err)
}

// appendTimes appends the beginning of each line.
func appendTimes(dst []byte, start, end time.Time) []byte {
	dst = start.AppendFormat(append(dst, `{"start":"`...), time.RFC3339Nano)
	dst = end.AppendFormat(append(dst, `","end":"`...), time.RFC3339Nano)
	return append(dst, '"')
}
