// Package jsonsink writes batches as JSON lines: one object on one line for each point.
//
//	{"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":"gauge","name":"depth","value":0.5}
//	{"start":…,"end":…,"kind":"counter","name":"jobs","tags":{"queue":"mail"},"count":3}
//	{"start":…,"end":…,"kind":"timer","name":"latency","unit":"ns","count":2,"sum":5,"min":2,"max":3,
//	 "buckets":{"scale":4,"zeros":0,"offset":15,"counts":[1,0,0,0,0,0,0,0,0,0,1]}}
//
// The last object is broken into two lines only here.
//
//   - The count of a counter is the sum of its deltas. That of a [metricsbuffer.FractionCounter] is a decimal number.
//   - A timer's sum, min and max are in nanoseconds, those of a histogram in its unit. A counter or gauge has a unit if
//     its name was described with one.
//   - The counts of buckets are those of [metricsbuffer.Buckets]; the first one belongs to the bucket at offset.
//   - Integers and decimal numbers are written with all their digits. Programs that read numbers as floating point, as
//     JavaScript does, keep 15 of them.
//   - Gauges that are NaN or infinite are the strings "NaN", "Infinity" and "-Infinity".
//   - If a key has several values, they stand in an array.
//   - A new series has a line with zero, or with what was recorded in it. A timer or histogram without observations has
//     no min and max. There is no line for the end of a series ([metricsbuffer.Batch]).
//   - A point with a string that is not UTF-8 cannot be written in JSON. It is dropped, which
//     [metricsbuffer.SinkStats] counts. All other strings can be read back unchanged.
package jsonsink

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/point"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/slot"
)

// A Sink writes batches to a writer. Make one with [New]. If several buffers share it, their batches are written one
// after the other: a writer that hangs then holds up all of them.
type Sink struct {
	w              io.Writer
	withoutBuckets bool

	mu      sync.Mutex // held by Write; guards the fields below
	texts   slot.Cache[text]
	written []byte // scratch, so that a text has no more memory than it needs
	lines   []byte // reused by every Write
	ends    []int  // the end of each point's line in lines
	cut     bool   // the last line in the writer lacks its newline
}

// An Option changes a [Sink]; see [New].
type Option func(*Sink) error

// WithoutBuckets leaves out the buckets of timers and histograms, which are most of their lines' length.
func WithoutBuckets() Option {
	return func(s *Sink) error {
		s.withoutBuckets = true
		return nil
	}
}

// New returns a sink that writes each batch by one call of w.Write. It neither buffers nor closes w. A nil writer or
// option is an error.
func New(w io.Writer, opts ...Option) (*Sink, error) {
	const call = "jsonsink: New"
	if err := option.Target(call, "writer", w, "give it an open file, for example"); err != nil {
		return nil, err
	}
	s := &Sink{w: w}
	if err := option.Apply(call, s, opts); err != nil {
		return nil, err
	}
	return s, nil
}

// String returns "json".
func (s *Sink) String() string { return "json" }

// Write writes one line for each point. If the writer fails, the points whose lines it took leave the buffer. The
// others are written again with the next batch, on a new line: the line that was cut off is the only one that is not
// JSON. A line that lacks only its newline counts as written; the next Write supplies the newline.
//
// An [io.Writer] knows no context: Write returns when the writer does, even if ctx has ended.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.encode(batch)
	if len(s.lines) == 0 {
		return nil
	}
	cut := s.cut
	s.cut = true // in case that the writer panics
	n, err := s.w.Write(s.lines)
	n = min(n, len(s.lines)) // a writer may be wrong
	if err == nil && n < len(s.lines) {
		err = io.ErrShortWrite
	}
	if err == nil {
		s.cut = false
		return nil
	}
	whole := 0
	for whole < len(s.ends) && s.ends[whole]-1 <= n {
		whole++
	}
	batch.Acknowledge(whole)
	s.cut = cut
	if n > 0 {
		s.cut = s.lines[n-1] != '\n'
	}
	return fmt.Errorf("jsonsink: after %d of %d lines: %w", whole, len(batch.Points), err)
}

// encode fills lines and ends. s.mu is locked.
func (s *Sink) encode(batch *metricsbuffer.Batch) {
	if cap(s.lines) > 4*len(s.lines) { // for the last batch it was far too large
		s.lines, s.ends = nil, nil
	}
	s.lines, s.ends = s.lines[:0], s.ends[:0]
	s.texts.Forget(batch.Ended)
	if s.cut {
		s.lines = append(s.lines, '\n')
	}
	times := appendTimes(nil, batch.Start, batch.End)
	for i := range batch.Points {
		p := &batch.Points[i]
		text, known := s.texts.Of(p)
		if !known {
			s.written = appendText(s.written[:0], p)
			*text = append((*text)[:0], s.written...)
		}
		if len(*text) > 0 {
			s.lines = append(append(s.lines, times...), *text...)
			s.lines = append(s.appendValue(s.lines, p), '\n')
		} else {
			batch.Drop(i, point.NotUTF8)
		}
		s.ends = append(s.ends, len(s.lines))
	}
}

// appendTimes appends the beginning of each line.
func appendTimes(dst []byte, start, end time.Time) []byte {
	dst = start.AppendFormat(append(dst, `{"start":"`...), time.RFC3339Nano)
	dst = end.AppendFormat(append(dst, `","end":"`...), time.RFC3339Nano)
	return append(dst, '"')
}
