// Package consolesink prints batches as tables for people to read.
//
//	2025-11-23 12:00:00.000 – 12:00:01.000  1s  4 series
//
//	COUNTERS                  count    per s
//	produced
//	  {producer=orders}       1,234    1,234
//	  {producer=users}           12       12
//
//	TIMERS                    count    per s     p50     p99    mean     min     max
//	callback_latency [ms]        12       12    1.22    3.03     1.2     0.9    3.14
//
//	GAUGES                    value
//	queue_depth                  42
//
// Series stand below the head of their kind, sorted by name. If several series share a name, the name stands on a line
// of its own, with the tags of its series below it. The unit of a series is in brackets: that of a histogram is the
// one given to the buffer, that of a timer is chosen by its median. A name that is longer than its column stands on a
// line of its own, and its figures on the next line. Columns grow when they have to and do not shrink again.
//
// A new series is in the next table, even if it is zero, and a gauge once it is set. The end of a series is not shown;
// a batch that has nothing else prints no table.
//
// Counts and gauges are exact. All other figures are rounded to three significant digits, but not beyond the decimal
// point. A rate has no more digits than its count, and a batch shorter than 0.1 s shows none.
//
// # On a terminal
//
// If the writer is a terminal, each table replaces the previous one, in colour. It has no more lines than the terminal,
// and fewer columns if the terminal is narrow. A series without an update in the last batch stays for 60 batches, in
// grey, so that lines do not jump: a counter as 0, a gauge with its last value.
//
// The next table overwrites other output to the terminal, such as log lines. If there is any, use [WithScrolling]. If
// the environment variable NO_COLOR is set and not empty, there are no colours. With TERM=dumb, the output is plain
// text as in a file.
//
// # Hostile input
//
// A name, key, value or unit that is anything but one plain word is printed as a quoted Go string: no input can add a
// line, send an escape sequence to the terminal, or look like another series.
package consolesink

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

// defaultMaxRows is about as much as a person scrolls back through.
const defaultMaxRows = 100

// A Sink prints batches to a writer. Make one with [New] for each buffer. Several may share a writer that is safe for
// concurrent use, such as an [os.File]; on a terminal they need [WithScrolling]. If several buffers share a sink, their
// tables are printed one after the other, and on a terminal replace one another.
type Sink struct {
	w         io.Writer
	maxRows   int
	scrolling bool
	signals   []os.Signal

	mu       sync.Mutex // held by Write, and by Dump while it prints a note; guards the fields below
	table    table
	terminal *terminal    // nil if w is none
	out      bytes.Buffer // reused by every Write
	cut      bool         // the writer failed within the last table
	tables   atomic.Int64 // that were printed; read without mu, too
}

// An Option changes a [Sink] or a [Dumper]; see [New] and [DumpOnSignal].
type Option func(*Sink) error

// WithMaxRows limits each table to n series; the default is 100, and 0 means no limit. The table shows the series with
// the largest counts, and the number of the others. A gauge counts as one update. The limit affects only the display:
// all series are acknowledged.
func WithMaxRows(n int) Option {
	return func(s *Sink) error {
		if n < 0 {
			return fmt.Errorf("WithMaxRows: %d is negative; write 0 for no limit", n)
		}
		s.maxRows = n
		return nil
	}
}

// WithScrolling prints each table below the previous one on a terminal, too. Use it if the program prints anything else
// to the same terminal.
func WithScrolling() Option {
	return func(s *Sink) error {
		s.scrolling = true
		return nil
	}
}

// New returns a sink that prints to w, with one call of w.Write for each batch. It neither buffers nor closes w. A nil
// writer or option is an error.
func New(w io.Writer, opts ...Option) (*Sink, error) {
	const call = "consolesink: New"
	s, err := newSink(call, w, opts)
	if err == nil && s.signals != nil {
		return nil, fmt.Errorf("%s: WithSignals is an option of DumpOnSignal; call that instead", call)
	}
	return s, err
}

func newSink(call string, w io.Writer, opts []Option) (*Sink, error) {
	if err := option.Target(call, "writer", w, "give it os.Stderr, for example"); err != nil {
		return nil, err
	}
	s := &Sink{w: w, maxRows: defaultMaxRows}
	if err := option.Apply(call, s, opts); err != nil {
		return nil, err
	}
	s.terminal = openTerminal(w)
	return s, nil
}

// String returns "console".
func (s *Sink) String() string { return "console" }

// Write prints the batch. If the writer fails, Write returns its error and the whole batch stays pending: the rows that
// were printed before the failure may not have reached anybody. The next table then starts on a new line, after a line
// which says that it repeats the torn one.
//
// An [io.Writer] knows no context: Write returns when the writer does, even if ctx has ended. A pipe that nobody reads
// from and a stopped terminal make it wait.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	if len(batch.Points) == 0 { // nothing but the ends of series
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Reset()
	if s.cut {
		s.terminal.forget()
		s.out.WriteString("\n(writing the table above failed: the next one repeats it)\n")
	}
	switch {
	case s.terminal == nil:
		rows, leftOut := limitRows(rowsOf(batch.Points), s.maxRows)
		for _, line := range s.table.lines(batch, rows, leftOut, plainWidth) {
			s.out.WriteString(line.text + "\n")
		}
		s.out.WriteByte('\n')
	case s.scrolling:
		s.terminal.scroll(&s.out, &s.table, batch, s.maxRows)
	default:
		s.terminal.redraw(&s.out, &s.table, batch, s.maxRows)
	}
	cut := s.cut
	s.cut = true // in case that the writer panics
	n, err := s.w.Write(s.out.Bytes())
	if err == nil && n < s.out.Len() {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.cut = cut || n > 0
		s.terminal.forget()
		return fmt.Errorf("consolesink: printing %d points (%d of %d bytes written): %w",
			len(batch.Points), n, s.out.Len(), err)
	}
	s.cut = false
	s.tables.Add(1)
	return nil
}
