package consolesink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Dumper is a sink that prints a table on a signal, and on a call of [Dumper.Dump]. Make one with [DumpOnSignal], one
// for each buffer.
//
// A table shows the updates since the last one, and its first line says how long that is: counts and rates belong to
// this time, not to the whole life of the process. The buffer's interval does not apply to a dumper. The buffer's Close
// prints the last table.
type Dumper struct {
	sink    *Sink
	signals []os.Signal

	flush  atomic.Pointer[func(context.Context) error] // nil until Attach
	cancel context.CancelFunc                          // ends the goroutine; set by Attach
}

// WithSignals replaces the signals of [DumpOnSignal]. They lose their usual effect: [os.Interrupt], for example, no
// longer ends the program. Signals that no program can catch, such as [os.Kill], are an error.
func WithSignals(signals ...os.Signal) Option {
	return func(s *Sink) error {
		if len(signals) == 0 || slices.Contains(signals, nil) {
			return errors.New("WithSignals: no signal is given, or a nil one; write syscall.SIGUSR2, for example")
		}
		for _, sig := range signals {
			if slices.Contains(uncatchable, sig) {
				return fmt.Errorf("WithSignals: no program can catch %q; write syscall.SIGUSR2, for example", sig)
			}
		}
		s.signals = slices.Clone(signals)
		return nil
	}
}

// DumpOnSignal returns a sink that prints to w on the signal SIGUSR1, or on those of [WithSignals]. It takes the
// options of [New], never closes w, and prints each table below the last one. A system without SIGUSR1, such as
// Windows, needs WithSignals.
//
//	dump, err := consolesink.DumpOnSignal(os.Stderr)
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(statsd), metricsbuffer.WithSink(dump))
//
// The signals are caught from [metricsbuffer.New] on until the buffer is closed. If New fails, the sinks are the
// caller's still: call [Dumper.Close]. Otherwise the signals stay caught until one arrives, which has no effect.
func DumpOnSignal(w io.Writer, opts ...Option) (*Dumper, error) {
	const call = "consolesink: DumpOnSignal"
	s, err := newSink(call, w, opts)
	if err != nil {
		return nil, err
	}
	s.scrolling = true
	d := &Dumper{sink: s, signals: s.signals}
	if d.signals == nil {
		d.signals = defaultSignals
	}
	if len(d.signals) == 0 {
		return nil, fmt.Errorf("%s: this system has no SIGUSR1; choose a signal by WithSignals", call)
	}
	return d, nil
}

// Attach implements [metricsbuffer.Attacher]; the buffer calls it.
func (d *Dumper) Attach(flush func(context.Context) error) error {
	if !d.flush.CompareAndSwap(nil, &flush) {
		return errors.New("consolesink: the dumper was given to another buffer; make one for each")
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	arrived := make(chan os.Signal, 1) // signals that arrive during a dump lead to one more
	signal.Notify(arrived, d.signals...)
	go func() {
		defer signal.Stop(arrived)
		for {
			select {
			case <-arrived:
				if errors.Is(d.dump(ctx), metricsbuffer.ErrClosed) { // it failed in New
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// dump is Dump for a signal. The buffer reports a failed Write to its error handler. A line that says that there is no
// update may be lost, and a writer that panics then must not end the process.
func (d *Dumper) dump(ctx context.Context) error {
	defer func() { _ = recover() }()
	return d.Dump(ctx)
}

// Dump prints a table of the updates since the last one, or one line if there are none. It returns when the table is
// printed, or with an error when ctx ends, the writer fails or the buffer is closed.
func (d *Dumper) Dump(ctx context.Context) error {
	flush, tables := d.flush.Load(), d.sink.tables.Load()
	if flush == nil {
		return errors.New("consolesink: Dump: the dumper is in no buffer; give it to metricsbuffer.WithSink")
	}
	if err := (*flush)(ctx); err != nil {
		return fmt.Errorf("consolesink: Dump: %w", err)
	}
	d.sink.mu.Lock()
	defer d.sink.mu.Unlock()
	if d.sink.tables.Load() != tables {
		return nil
	}
	note := time.Now().Format("2006-01-02 15:04:05.000") + "  no update since the last table\n\n"
	cut := d.sink.cut
	if cut { // it was such a note: a table that is torn is printed again
		note = "\n" + note
	}
	d.sink.cut = true // as in Sink.Write
	n, err := io.WriteString(d.sink.w, note)
	if err == nil && n < len(note) {
		err = io.ErrShortWrite
	}
	if err != nil {
		d.sink.cut = cut || n > 0
		return fmt.Errorf("consolesink: Dump: %w", err)
	}
	d.sink.cut = false
	return nil
}

// Write prints the batch, as [Sink.Write] does.
func (d *Dumper) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	return d.sink.Write(ctx, batch)
}

// Close stops catching the signals. The buffer calls it after the last Write.
func (d *Dumper) Close() error {
	if d.cancel != nil {
		d.cancel()
	}
	return nil
}

// String returns "console dump".
func (d *Dumper) String() string { return "console dump" }
