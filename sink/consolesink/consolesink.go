// Package consolesink prints batches as tables for people to read: for a first look at what a program records, and
// for development.
//
//	2025-11-23 12:00:00.000 – 12:00:01.000  1s  3 points
//	   KIND  COUNT  RATE/S   MEAN    MIN     MAX  VALUE  SERIES
//	  timer     12      12  1.2ms  900µs  3.14ms      -  callback_latency
//	counter   1234    1234      -      -       -      -  produce_status{producer=orders,status=success}
//	  gauge      -       -      -      -       -     42  queue_depth
//
// Rows are sorted by series. The series stands last, so that neither its length nor the width of its characters can
// push a number out of its column. A name, key or value that is anything but one plain word is printed as a quoted Go
// string: no input can add a line, send an escape sequence to the terminal, or look like another series.
//
// Counts are exact; rates and durations are rounded to three significant digits.
package consolesink

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/metricsbuffer/metricsbuffer"
)

// defaultMaxRows is about what a person scrolls back through.
const defaultMaxRows = 100

// A Sink prints batches to a writer. Make one with [New], one for each buffer: like any sink it must not be written to
// concurrently. Several may share a writer that is safe for concurrent use, such as an [os.File].
type Sink struct {
	w       io.Writer
	maxRows int
	table   bytes.Buffer // reused by every Write

	// cut is set while the last table printed ends in the middle, because the writer failed there.
	cut bool
}

// An Option changes a [Sink]; see [New].
type Option func(*Sink)

// WithMaxRows limits each table to n rows, by default 100; 0 or less means no limit. The series with the largest
// counts are kept, gauges counting as one update, and a last line says how many were left out. Those are acknowledged
// like the rest: the limit is one of the display.
func WithMaxRows(n int) Option {
	return func(s *Sink) { s.maxRows = n }
}

// New returns a sink that prints to w, with one call of w.Write for each batch. It neither buffers nor closes w.
func New(w io.Writer, opts ...Option) *Sink {
	s := &Sink{w: w, maxRows: defaultMaxRows}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// String returns "console".
func (s *Sink) String() string { return "console" }

// Write prints the batch. If the writer fails, its error is returned and the whole batch stays pending, since rows
// that were printed before the failure may not have reached anybody. If part of the table was printed, the next one
// starts on a new line and says that it repeats it.
//
// An [io.Writer] knows no context: Write lasts as long as the writer does (a pipe nobody reads from, a stopped
// terminal), whatever becomes of ctx.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.table.Reset()
	if s.cut {
		s.table.WriteString("\n(writing the table above failed: the next one repeats what it showed)\n")
	}
	printTable(&s.table, batch, s.maxRows)

	n, err := s.w.Write(s.table.Bytes())
	if err == nil && n < s.table.Len() {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.cut = s.cut || n > 0
		return fmt.Errorf("consolesink: printing %d points (%d of %d bytes written): %w",
			len(batch.Points), n, s.table.Len(), err)
	}
	s.cut = false
	return nil
}
