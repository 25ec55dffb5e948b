package consolesink_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

// openPTY returns both ends of a pseudo terminal of the kernel: the sink writes to the terminal, and the text arrives
// at the master.
func openPTY(t *testing.T, columns, rows uint16) (terminal, master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
	return terminal, master
}

// shown returns the text that a sink writes to a terminal of this size for these batches.
func shown(t *testing.T, columns, rows uint16, opts []consolesink.Option, batches ...*metricsbuffer.Batch) string {
	t.Helper()
	terminal, master := openPTY(t, columns, rows)
	sink := sinkFor(t, terminal, opts...)
	for _, batch := range batches {
		require.NoError(t, sink.Write(t.Context(), batch))
	}
	return readTo(t, terminal, master)
}

// readTo returns the text that was written to the terminal and has not been read.
func readTo(t *testing.T, terminal, master *os.File) string {
	t.Helper()
	const end = "\x00"
	_, err := terminal.WriteString(end)
	require.NoError(t, err)
	var text strings.Builder
	buf := make([]byte, 4096)
	for !strings.HasSuffix(text.String(), end) {
		n, err := master.Read(buf)
		require.NoError(t, err)
		text.Write(buf[:n])
	}
	return strings.TrimSuffix(strings.ReplaceAll(text.String(), "\r\n", "\n"), end)
}

func TestEscapeSequences(t *testing.T) {
	const up, erase, color = "\x1b[", "\r\x1b[J", "\x1b[1;36m"
	two := []*metricsbuffer.Batch{second(counter("requests", 3)), second(counter("requests", 4))}
	table := printed(t, two[0])

	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	text := shown(t, 80, 24, nil, two...)
	require.Contains(t, text, up+"4A"+erase, "the second table replaces the first one")
	require.Contains(t, text, color+"COUNTERS")

	text = shown(t, 80, 24, []consolesink.Option{consolesink.WithScrolling()}, two...)
	require.NotContains(t, text, erase)
	require.Contains(t, text, color)

	t.Setenv("NO_COLOR", "1")
	text = shown(t, 80, 24, nil, two...)
	require.Contains(t, text, erase)
	require.NotContains(t, text, color)

	t.Setenv("TERM", "dumb")
	require.Equal(t, table, shown(t, 80, 24, nil, two[0]))

	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, sinkFor(t, w).Write(t.Context(), two[0]))
	require.NoError(t, w.Close())
	piped := make([]byte, 1000)
	n, err := r.Read(piped)
	require.NoError(t, err)
	require.Equal(t, table, string(piped[:n]), "a pipe is no terminal")
	require.NoError(t, r.Close())
}

// A terminal that says that it has no size gets tables of 80 columns.
func TestTerminalWithoutSize(t *testing.T) {
	t.Setenv("TERM", "xterm")
	require.Contains(t, shown(t, 0, 0, nil, second(counter("requests", 3))), "requests")
}

// No name, tag or unit reaches the terminal as an escape sequence.
func TestHostileNamesOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	hostile := "\x1b[2J\x1b]0;title\a\u009b31m\b\r\n\x7f"
	point := counter(hostile, 1, tag(hostile, hostile))
	histogram := metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: hostile, Unit: hostile, Count: 1}
	text := shown(t, 200, 24, nil, second(point, histogram))
	require.NotRegexp(t, "[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f]", text)
}

// inTMUX runs this test binary in a real terminal of this size. TestInTMUX shows the scene there and waits. It returns
// the lines of the screen when the scene has been shown.
func inTMUX(t *testing.T, columns, rows int, scene string) []string {
	t.Helper()
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("tmux is missing: apt-get install tmux")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	socket := t.TempDir() + "/tmux"
	run := func(args ...string) string {
		cmd := exec.Command(tmux, append([]string{"-f", "/dev/null", "-S", socket}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "NO_COLOR=", "TERM=screen", "TMUX=")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	run("new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows),
		"-e", sceneVariable+"="+scene, self, "-test.run=^TestInTMUX$")
	t.Cleanup(func() { run("kill-server") })
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if screen := run("capture-pane", "-p"); strings.Contains(screen, "the end") {
			return strings.Split(strings.TrimRight(screen, "\n"), "\n")
		}
	}
	t.Fatal("the scene was not shown: ", run("capture-pane", "-p"))
	return nil
}

const sceneVariable = "CONSOLESINK_TEST_SCENE"

// manySeries are more than fit on 24 lines.
func manySeries() (points []metricsbuffer.Point) {
	for i := range 50 {
		points = append(points, counter(fmt.Sprintf("series_%02d", i), int64(1000-i), tag("worker", strconv.Itoa(i))))
	}
	return points
}

var scenes = map[string]func() [][]metricsbuffer.Point{
	"in place": func() (batches [][]metricsbuffer.Point) {
		latency := timer("latency", 1500*time.Microsecond)
		for i := range int64(5) {
			batches = append(batches, []metricsbuffer.Point{
				counter("requests", 1000+i, tag("route", "/"+strings.Repeat("long", 20))), counter("日本語", 10+i), latency,
			})
		}
		return append(batches, []metricsbuffer.Point{latency, gauge("depth", 7)})
	},
	"too many": func() [][]metricsbuffer.Point {
		return [][]metricsbuffer.Point{manySeries(), manySeries(), manySeries()}
	},
}

// TestInTMUX is the program in the terminal.
func TestInTMUX(t *testing.T) {
	scene, ok := scenes[os.Getenv(sceneVariable)]
	if !ok {
		t.Skip("run by other tests, in tmux")
	}
	fmt.Println("the start")
	sink := sinkFor(t, os.Stdout)
	for _, points := range scene() {
		require.NoError(t, sink.Write(t.Context(), second(points...)))
	}
	fmt.Println("the end")
	time.Sleep(time.Minute)
}

func TestInPlace(t *testing.T) {
	const head = "2025-11-23 23:59:58.000 – 23:59:59.000  1s  2 series"
	long := "requests{route=/" + strings.Repeat("long", 20) + "}"
	require.Equal(t, `the start
`+head+`

COUNTERS                  count    per s
`+long[:80]+"\n"+long[80:]+`
                              0        0
日本語                        0        0

TIMERS                    count    per s     p50     p99    mean     min     max
latency [ms]                  1        1       -       -     1.5     1.5     1.5

GAUGES                    value
depth                         7
the end`, strings.Join(inTMUX(t, 80, 24, "in place"), "\n"))
}

// A table is as high as the terminal at most, so that the next one can replace it.
func TestLimitedHeight(t *testing.T) {
	screen := inTMUX(t, 100, 24, "too many")
	require.Len(t, screen, 23, "the line after it made the screen scroll by one line")
	require.Equal(t, "series_00{worker=0}       1,000    1,000", screen[2])
	require.Equal(t, "… and 32 more series, those with the smallest counts", screen[21])
	require.Equal(t, 1, strings.Count(strings.Join(screen, "\n"), "COUNTERS"))
}

func TestNarrowTerminal(t *testing.T) {
	screen := inTMUX(t, 40, 30, "in place")
	text := strings.Join(screen, "\n")
	require.Equal(t, 1, strings.Count(text, "COUNTERS"), text)
	require.Contains(t, text, "TIMERS                    count    per s\n")
	require.Contains(t, text, "latency [ms]                  1        1\n")
}

// A torn terminal fails once after some bytes, or panics then.
type torn struct {
	*os.File
	fails  bool
	after  int
	panics bool
}

var errTorn = errors.New("torn")

func (f *torn) Write(text []byte) (int, error) {
	if !f.fails {
		return f.File.Write(text)
	}
	panics := f.panics
	f.fails, f.panics = false, false
	n, _ := f.File.Write(text[:f.after])
	if panics {
		panic(errTorn)
	}
	return n, errTorn
}

// A sequence is a series of Writes to one terminal. After each of them, written returns the text since the last call.
func sequence(t *testing.T, columns, rows uint16) (terminal, master *os.File, written func() string) {
	t.Helper()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	terminal, master = openPTY(t, columns, rows)
	return terminal, master, func() string { return readTo(t, terminal, master) }
}

// If the writer failed or the terminal was resized, the cursor is not where a table ends: the table is left standing.
func TestCursorElsewhere(t *testing.T) {
	const up = "\x1b["
	terminal, master, written := sequence(t, 80, 24)
	t.Setenv("NO_COLOR", "1")
	file := &torn{File: terminal}
	sink := sinkFor(t, file)
	write := func() error { return sink.Write(t.Context(), second(counter("requests", 3))) }
	for name, disturb := range map[string]func(){
		"nothing written": func() {
			file.fails, file.after = true, 0
			require.ErrorIs(t, write(), errTorn)
		},
		"a part written": func() {
			file.fails, file.after = true, 100
			require.ErrorIs(t, write(), errTorn)
		},
		"panic": func() {
			file.fails, file.panics = true, true
			require.Panics(t, func() { _ = write() })
		},
		"resized": func() {
			size := &unix.Winsize{Col: 100, Row: 24}
			require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, size))
		},
	} {
		require.NoError(t, write())
		require.NoError(t, write())
		require.Contains(t, written(), up+"4A")
		disturb()
		written()
		require.NoError(t, write(), name)
		require.NotContains(t, written(), up, name)
		require.NoError(t, write())
		require.Contains(t, written(), up+"4A", name)
	}
}

// A terminal that is too low for any table scrolls: the cursor cannot go up to a line that has left the screen.
func TestLowTerminal(t *testing.T) {
	terminal, _, written := sequence(t, 80, 4)
	sink := sinkFor(t, terminal)
	for range 3 {
		require.NoError(t, sink.Write(t.Context(), second(counter("requests", 3))))
		require.NotContains(t, written(), "\x1b[4A")
	}
}

// A series without updates stays for sixty batches, in grey: a counter as 0, a gauge with its value, a timer without
// figures. It does not count as left out when there is no room for it.
func TestQuietSeries(t *testing.T) {
	terminal, _, written := sequence(t, 80, 20)
	sink := sinkFor(t, terminal, consolesink.WithMaxRows(4))
	latency, busy := timer("latency", 1500*time.Microsecond), counter("busy", 1)
	require.NoError(t, sink.Write(t.Context(), second(counter("jobs", 3), gauge("depth", 7), latency, busy)))
	written()
	for range 60 {
		require.NoError(t, sink.Write(t.Context(), second(busy)))
		text := written()
		require.Regexp(t, `\x1b\[90mjobs +0 +0\x1b`, text)
		require.Regexp(t, `\x1b\[90mdepth +7\x1b`, text)
		require.Regexp(t, `\x1b\[90mlatency \[ms\] +0 +0 +- +- +- +- +-\x1b`, text)
		require.Equal(t, 1, strings.Count(text, "busy"))
		require.Contains(t, text, "  1 series\n")
	}
	require.NoError(t, sink.Write(t.Context(), second(busy, counter("jobs", 1))))
	text := written()
	require.Regexp(t, `\njobs +1 +1\n`, text)
	require.NotContains(t, text, "depth")

	require.NoError(t, sink.Write(t.Context(), second(busy, counter("x", 1), counter("y", 1), counter("z", 1))))
	text = written()
	require.NotContains(t, text, "jobs")
	require.NotContains(t, text, "more series")
}
