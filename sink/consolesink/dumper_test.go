//go:build unix

package consolesink_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

// dumping returns a buffer whose dumper prints to the screen.
func dumping(t *testing.T, s *screen, opts ...consolesink.Option) (*metricsbuffer.Buffer, *consolesink.Dumper) {
	t.Helper()
	dump, err := consolesink.DumpOnSignal(s, opts...)
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(dump), metricsbuffer.WithInterval(time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	return buffer, dump
}

func TestDumpShowsTheUpdatesSinceTheLastOne(t *testing.T) {
	s := new(screen)
	buffer, dump := dumping(t, s)
	buffer.IncrCounter("jobs", 3)
	time.Sleep(20 * time.Millisecond)
	require.Empty(t, s.text(), "the buffer's interval does not apply to a dumper")

	require.NoError(t, dump.Dump(t.Context()))
	require.Equal(t, map[string]int64{"jobs": 3}, s.counts(t))
	require.NoError(t, dump.Dump(t.Context()))
	require.Regexp(t, `\n\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.\d{3}  no update since the last table\n\n$`, s.text())

	buffer.IncrCounter("jobs", 4)
	require.NoError(t, dump.Dump(t.Context()))
	require.Equal(t, 2, strings.Count(s.text(), "COUNTERS"))
	require.Equal(t, map[string]int64{"jobs": 7}, s.counts(t))

	buffer.IncrCounter("jobs", 5)
	require.NoError(t, buffer.Close())
	require.Equal(t, map[string]int64{"jobs": 12}, s.counts(t), "Close prints the rest")
	require.ErrorIs(t, dump.Dump(t.Context()), metricsbuffer.ErrClosed)
	require.EqualValues(t, 12, buffer.Stats().Sinks[0].Acknowledged.Increments)
	require.Equal(t, "console dump", buffer.Stats().Sinks[0].Name)
}

func TestFailedDumpStaysPending(t *testing.T) {
	s := new(screen)
	buffer, dump := dumping(t, s)
	s.turn(true)
	buffer.IncrCounter("jobs", 3)
	require.ErrorIs(t, dump.Dump(t.Context()), errSwitchedOff)
	require.EqualValues(t, 3, buffer.Stats().Sinks[0].Pending.Increments)
	s.turn(false)
	require.NoError(t, dump.Dump(t.Context()))
	require.Equal(t, map[string]int64{"jobs": 3}, s.counts(t))
	s.turn(true)
	require.ErrorIs(t, dump.Dump(t.Context()), errSwitchedOff, "a line without a table can fail, too")
}

// TestDumpThatIsCut: the table after a note that was written in part says so, and begins with a line of its own.
func TestDumpThatIsCut(t *testing.T) {
	var w cuttingWriter
	dump, err := consolesink.DumpOnSignal(&w)
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(dump))
	require.NoError(t, err)
	w.cut = true
	require.ErrorIs(t, dump.Dump(t.Context()), errSwitchedOff)
	w.cut = false
	buffer.IncrCounter("jobs", 3)
	require.NoError(t, buffer.Close())
	require.Contains(t, w.text.String(), "\n(writing the table above failed")
}

// A line that says that there is no update is torn, too, if the writer takes a part of it. The next one begins below.
func TestNoteThatIsCut(t *testing.T) {
	var w cuttingWriter
	dump, err := consolesink.DumpOnSignal(&w)
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(dump))
	require.NoError(t, err)
	w.cut, w.silent = true, true
	require.ErrorIs(t, dump.Dump(t.Context()), io.ErrShortWrite)
	w.cut = false
	require.NoError(t, dump.Dump(t.Context()))
	require.Regexp(t, `^.{5}\n.*  no update since the last table\n\n$`, w.text.String())
	buffer.IncrCounter("jobs", 3)
	require.NoError(t, buffer.Close())
	require.NotContains(t, w.text.String(), "failed")
}

// A cuttingWriter takes a part of each text only, if cut is set.
type cuttingWriter struct {
	text   strings.Builder
	cut    bool
	silent bool // it breaks the rule that a short write returns an error
}

func (w *cuttingWriter) Write(p []byte) (int, error) {
	if w.cut {
		n, _ := w.text.Write(p[:5])
		if w.silent {
			return n, nil
		}
		return n, errSwitchedOff
	}
	return w.text.Write(p)
}

func TestSignal(t *testing.T) {
	for _, opts := range [][]consolesink.Option{nil, {consolesink.WithSignals(syscall.SIGWINCH, syscall.SIGUSR2)}} {
		s := new(screen)
		buffer, _ := dumping(t, s, opts...)
		sig := syscall.SIGUSR1
		if opts != nil {
			sig = syscall.SIGUSR2
		}
		for n := range int64(3) {
			buffer.IncrCounter("jobs", 1)
			require.NoError(t, syscall.Kill(os.Getpid(), sig))
			require.Eventually(t, func() bool { return s.counts(t)["jobs"] == n+1 }, 10*time.Second, time.Millisecond)
		}
		require.NoError(t, buffer.Close())
	}
}

// A writer that panics when there is no update does not end the process: nobody else recovers from it.
func TestSignalAndPanic(t *testing.T) {
	w := &exploding{writes: make(chan struct{}, 1)}
	dump, err := consolesink.DumpOnSignal(w)
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(dump))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
		<-w.writes
	}
	require.NoError(t, buffer.Close())
}

// An exploding writer panics in each Write.
type exploding struct{ writes chan struct{} }

func (p *exploding) Write([]byte) (int, error) {
	defer func() { p.writes <- struct{}{} }()
	panic("the writer panics")
}

// After Close a signal has its usual effect again.
func TestCloseGivesTheSignalBack(t *testing.T) {
	requireInterrupted(t, func() {
		buffer, _ := dumping(t, new(screen), consolesink.WithSignals(os.Interrupt))
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
		require.NoError(t, buffer.Close())
	})
}

// If New fails because of a later sink, the dumper gives the signal back as soon as one arrives.
func TestFailedNewGivesTheSignalBack(t *testing.T) {
	requireInterrupted(t, func() {
		dump, err := consolesink.DumpOnSignal(new(screen), consolesink.WithSignals(os.Interrupt))
		require.NoError(t, err)
		_, err = metricsbuffer.New(metricsbuffer.WithSink(dump), metricsbuffer.WithSink(refusing{}))
		require.ErrorIs(t, err, errSwitchedOff)
	})
}

// A refusing sink cannot be attached.
type refusing struct{}

func (refusing) Write(context.Context, *metricsbuffer.Batch) error { return nil }
func (refusing) Attach(func(context.Context) error) error          { return errSwitchedOff }

// requireInterrupted runs the test in a process of its own, which an interrupt must end after prepare has run. SIGINT
// ends a Go process; SIGUSR1 would be ignored.
func requireInterrupted(t *testing.T, prepare func()) {
	t.Helper()
	const variable = "CONSOLESINK_TEST_INTERRUPT"
	if os.Getenv(variable) != "" {
		prepare()
		for range 1000 {
			require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
			time.Sleep(10 * time.Millisecond)
		}
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Equal(t, syscall.SIGINT, exit.Sys().(syscall.WaitStatus).Signal(), string(out))
}

func TestDumperErrors(t *testing.T) {
	_, err := consolesink.DumpOnSignal(nil)
	require.EqualError(t, err, "consolesink: DumpOnSignal: the writer is nil; give it os.Stderr, for example")
	_, err = consolesink.DumpOnSignal(io.Discard, nil)
	require.EqualError(t, err, "consolesink: DumpOnSignal: option 1 of 1 is nil; leave it out")
	for _, opt := range []consolesink.Option{consolesink.WithSignals(), consolesink.WithSignals(os.Interrupt, nil)} {
		_, err = consolesink.DumpOnSignal(io.Discard, opt)
		require.EqualError(t, err, "consolesink: DumpOnSignal: WithSignals: no signal is given, or a nil one; "+
			"write syscall.SIGUSR2, for example")
	}
	for _, sig := range []os.Signal{os.Kill, syscall.SIGSTOP} {
		_, err = consolesink.DumpOnSignal(io.Discard, consolesink.WithSignals(syscall.SIGUSR2, sig))
		require.ErrorContains(t, err, "consolesink: DumpOnSignal: WithSignals: no program can catch ")
	}
	dump, err := consolesink.DumpOnSignal(io.Discard)
	require.NoError(t, err)
	require.EqualError(t, dump.Dump(t.Context()),
		"consolesink: Dump: the dumper is in no buffer; give it to metricsbuffer.WithSink")
	require.NoError(t, dump.Close())

	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(dump))
	require.NoError(t, err)
	_, err = metricsbuffer.New(metricsbuffer.WithSink(dump))
	require.ErrorContains(t, err, "consolesink: the dumper was given to another buffer; make one for each")
	require.NoError(t, errors.Join(dump.Dump(t.Context()), buffer.Close()))
}
