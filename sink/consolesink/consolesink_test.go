package consolesink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

var start = time.Date(2025, time.November, 23, 23, 59, 59, 0, time.UTC)

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start.Add(-time.Second), End: start, Points: points}
}

func printed(t *testing.T, batch *metricsbuffer.Batch, opts ...consolesink.Option) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, sinkFor(t, &out, opts...).Write(t.Context(), batch))
	return out.String()
}

func sinkFor(t *testing.T, w io.Writer, opts ...consolesink.Option) *consolesink.Sink {
	t.Helper()
	sink, err := consolesink.New(w, opts...)
	require.NoError(t, err)
	return sink
}

func tag(key, value string) metricsbuffer.Tag { return metricsbuffer.Tag{Key: key, Value: value} }

func counter(name string, count int64, tags ...metricsbuffer.Tag) metricsbuffer.Point {
	return metricsbuffer.Point{Name: name, Kind: metricsbuffer.KindCounter, Count: count, Tags: tags}
}

func timer(name string, observations ...time.Duration) metricsbuffer.Point {
	p := metricsbuffer.Point{Name: name, Kind: metricsbuffer.KindTimer, Min: math.MaxInt64, Max: math.MinInt64}
	for _, d := range observations {
		p.Count++
		p.Sum += int64(d)
		p.Min, p.Max = min(p.Min, int64(d)), max(p.Max, int64(d))
	}
	return p
}

// observed returns a point of these observations, as a buffer makes it.
func observed(t *testing.T, kind metricsbuffer.Kind, name, unit string, values ...int64) (p metricsbuffer.Point) {
	t.Helper()
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			p = batch.Points[0]
			p.Buckets = p.Buckets.Clone()
			return nil
		})))
	require.NoError(t, err)
	for _, v := range values {
		if kind == metricsbuffer.KindTimer {
			buffer.Timer(name).Observe(time.Duration(v))
		} else {
			buffer.Histogram(name, unit).Observe(v)
		}
	}
	require.NoError(t, buffer.Close())
	return p
}

func gauge(name string, value float64) metricsbuffer.Point {
	return metricsbuffer.Point{Name: name, Kind: metricsbuffer.KindGauge, Value: value}
}

func TestTable(t *testing.T) {
	size := observed(t, metricsbuffer.KindHistogram, "size", "bytes", 0, 512, 512, 1_000_000)
	sizes := size
	sizes.Unit = "rows"
	sizes.Tags = []metricsbuffer.Tag{tag("table", "users")}
	points := []metricsbuffer.Point{
		timer("requests", 999, 12_344*time.Microsecond, 1_105_500*time.Microsecond, -4_700*time.Microsecond),
		counter("uneven", 31, tag("key", "b")), counter("uneven", 2500, tag("key", "a")), counter("uneven", 7),
		counter("ordered", 1, tag("key", "a"), tag("key", "b")),
		counter("requests", 0), counter("lowest", math.MinInt64),
		{Kind: metricsbuffer.KindCounter, Name: "cost", Count: 123_456_789, Decimals: 2},
		timer("long", 90*time.Second), size, sizes,
		observed(t, metricsbuffer.KindTimer, "short", "", 60, 61, 62, 1000),
		gauge("balance", -2.5), gauge("big", 12_500_000), gauge("tiny", 1e-9), gauge("strange", math.NaN()),
		gauge("infinite", math.Inf(-1)), gauge("zero", 0),
	}
	require.Equal(t, `
2025-11-23 23:59:59.000 – 2025-11-24 00:00:01.500  2.5s  18 series

COUNTERS                                       count                       per s
cost                                    1,234,567.89                     493,827
lowest                    -9,223,372,036,854,775,808  -3,689,348,814,741,910,528
ordered{key=a,key=b}                               1                         0.4
requests                                           0                           0
uneven                                             7                           3
  {key=a}                                      2,500                       1,000
  {key=b}                                         31                          12

TIMERS                      count    per s     p50     p99    mean     min     max
long [s]                        1      0.4       -       -      90      90      90
requests [ms]                   4        2       -       -     278    -4.7   1,106
short [ns]                      4        2      60   1,000     296      60   1,000

HISTOGRAMS                  count    per s     p50      p99     mean     min        max
size [bytes]                    4        2     501  982,604  250,256       0  1,000,000
size{table=users} [rows]        4        2     501  982,604  250,256       0  1,000,000

GAUGES                         value
balance                         -2.5
big                       12,500,000
infinite                        -Inf
strange                          NaN
tiny                           1e-09
zero                               0

`, "\n"+printed(t, &metricsbuffer.Batch{Start: start, End: start.Add(2500 * time.Millisecond), Points: points}))
}

func TestEmptyBatch(t *testing.T) {
	require.Empty(t, printed(t, second()))
	ended := second()
	ended.Ended = []metricsbuffer.Point{{Name: "jobs"}}
	require.Empty(t, printed(t, ended), "a head without a table tells nothing")
}

// A rate has no more digits than its count. It would say nothing of a batch that was very short.
func TestRates(t *testing.T) {
	rateOf := func(p metricsbuffer.Point, elapsed time.Duration) string {
		batch := second(p)
		batch.Start = batch.End.Add(-elapsed)
		lines := strings.Split(printed(t, batch), "\n")
		cells := strings.Fields(lines[3])
		return cells[2]
	}
	rate := func(count int64, elapsed time.Duration) string { return rateOf(counter("requests", count), elapsed) }
	fraction := counter("cost", 25)
	fraction.Decimals = 2
	require.Equal(t, "0.25", rateOf(fraction, 1001*time.Millisecond))
	require.Equal(t, "1", rate(1, 1001*time.Millisecond))
	require.Equal(t, "-1", rate(-1, 1001*time.Millisecond))
	require.Equal(t, "12", rate(12, 1001*time.Millisecond))
	require.Equal(t, "999", rate(1000, 1001*time.Millisecond))
	require.Equal(t, "1,233", rate(1234, 1001*time.Millisecond))
	require.Equal(t, "0.1", rate(1, 10*time.Second))
	require.Equal(t, "12.3", rate(123, 10*time.Second))
	require.Equal(t, "0.0167", rate(100, 6000*time.Second))
	require.Equal(t, "0", rate(0, time.Second))
	require.Equal(t, "-", rate(1, 262*time.Microsecond))
	require.Equal(t, "-", rate(1000, 0))
	require.Equal(t, "-", rate(1000, -time.Second))
}

// From batch to batch, columns do not move and timers keep their unit.
func TestColumnsDoNotJump(t *testing.T) {
	var out strings.Builder
	sink := sinkFor(t, &out)
	write := func(points ...metricsbuffer.Point) []string {
		out.Reset()
		require.NoError(t, sink.Write(t.Context(), second(points...)))
		return strings.Split(out.String(), "\n")
	}
	tenMillion := write(counter("a_name_of_thirty_characters_____", 10_000_000), timer("t", 1100*time.Microsecond))
	one := write(counter("a", 1), timer("t", 999*time.Microsecond))
	require.Equal(t, tenMillion[2], one[2], "the head of counters")
	require.Equal(t, strings.Index(tenMillion[3], "10,000,000")+9, strings.Index(one[3], "1"))
	require.Equal(t, tenMillion[5], one[5], "the head of timers")
	require.Contains(t, tenMillion[6], "t [ms] ")
	require.Contains(t, one[6], "t [ms] ")
	require.Contains(t, write(timer("t", 99*time.Microsecond))[3], "t [µs] ", "0.099 ms would be hard to read")
}

// The series of a name share its unit: the one in which the smallest median is at least 1.
func TestOneUnitForEachName(t *testing.T) {
	fast, slow := timer("t", 1500*time.Microsecond), timer("t", 2*time.Second)
	fast.Tags, slow.Tags = []metricsbuffer.Tag{tag("speed", "fast")}, []metricsbuffer.Tag{tag("speed", "slow")}
	fields := strings.Fields(printed(t, second(slow, fast)))
	require.Equal(t, []string{
		"t", "[ms]", "{speed=fast}", "1", "1", "-", "-", "1.5", "1.5", "1.5",
		"{speed=slow}", "1", "1", "-", "-", "2,000", "2,000", "2,000",
	}, fields[16:])
}

// A name that is longer than its column is printed whole, with its figures below it.
func TestLongName(t *testing.T) {
	long := strings.Repeat("long", 50)
	lines := strings.Split(printed(t, second(counter(long, 1), counter("short", 12_345))), "\n")
	require.Equal(t, long, lines[3])
	require.Equal(t, strings.Index(lines[5], "12,345")+5, strings.Index(lines[4], "1"))
}

// Characters that take two columns of a terminal, or none, do not shift the figures.
func TestWideNames(t *testing.T) {
	for name, width := range map[string]int{
		"größe": 5, "日本語": 6, "キー": 4, "한국": 4, "Ａ": 2, "e\u0301": 1, "🚀": 2, "–": 1, "。": 2,
		"✅": 2, "⚡": 2, "⚠": 1, "🌡": 1, "㎡": 2, "ㄅ": 2, "𗀀": 2, "\u1112\u1161\u11ab": 2, "\uffa1": 1,
	} {
		line := strings.Split(printed(t, second(counter(name, 1))), "\n")[3]
		require.Equal(t, name+strings.Repeat(" ", 22-width+8)+"1        1", line)
	}
}

// A kind that is added to the library later is printed as far as possible.
func TestUnknownKind(t *testing.T) {
	table := printed(t, second(
		metricsbuffer.Point{Name: "later", Kind: 200, Count: 7},
		metricsbuffer.Point{Name: "latest", Kind: 201, Value: 1.5},
	))
	require.Contains(t, table, `
KIND 200                  count    per s    value
later                         7        7        0

KIND 201                  count    per s    value
latest                        0        0      1.5
`)
}

func TestStrangeWordsAreQuoted(t *testing.T) {
	for word, want := range map[string]string{
		"plain":             "plain",
		"größe/日本.a-b:c%":   "größe/日本.a-b:c%",
		"":                  `""`,
		"two words":         `"two words"`,
		"a\ncounter 1 b":    `"a\ncounter 1 b"`,
		"\x1b[2J":           `"\x1b[2J"`,
		"tab\t":             `"tab\t"`,
		"\u202edetrevni":    `"\u202edetrevni"`, // right-to-left override
		"not UTF-8 \xff":    `"not UTF-8 \xff"`,
		"a{b=c}":            `"a{b=c}"`,
		"a,b=c":             `"a,b=c"`,
		`"quoted"`:          `"\"quoted\""`,
		"csi\u009b":         `"csi\u009b"`, // the one-character form of ESC [
		"no-break\u00a0":    `"no-break\u00a0"`,
		"line\u2028":        `"line\u2028"`,
		`C:\x1b`:            `"C:\\x1b"`,
		"zero\u200bwidth":   `"zero\u200bwidth"`,
		"replacement\ufffd": "replacement\ufffd",
		"filler\u3164":      `"filler\u3164"`, // printable, but blank
		"selector\ufe0f":    `"selector\ufe0f"`,
		"joiner\u034f":      `"joiner\u034f"`,
		"braille\u2800":     `"braille\u2800"`,
	} {
		series := want + "{" + want + "=" + want + "}"
		table := printed(t, second(counter(word, 1, tag(word, word))))
		lines := strings.Split(table, "\n")
		require.True(t, strings.HasPrefix(lines[3], series), "%q is printed as\n%s", word, table)
		require.Equal(t, "1        1", strings.TrimSpace(strings.Join(lines[3:], " ")[len(series):]))
	}
}

func TestLimit(t *testing.T) {
	points := []metricsbuffer.Point{
		counter("d", 4), counter("c", -3), gauge("g", 1e9), timer("a", 1, 1), counter("none", 0),
	}
	kept := func(opts ...consolesink.Option) (names, note string) {
		lines := strings.Split(printed(t, second(points...), opts...), "\n")
		require.Contains(t, lines[0], "  5 series", "the first line counts the whole batch")
		for _, line := range lines[1:] {
			if fields := strings.Fields(line); strings.HasPrefix(line, "…") {
				note = line
			} else if len(fields) > 0 && strings.ToLower(fields[0]) == fields[0] {
				names += fields[0] + " "
			}
		}
		return names, note
	}
	expect := func(names, note string, opts ...consolesink.Option) {
		t.Helper()
		gotNames, gotNote := kept(opts...)
		require.Equal(t, names, gotNames)
		require.Equal(t, note, gotNote)
	}
	expect("c d none a g ", "")
	expect("c d none a g ", "", consolesink.WithMaxRows(5))
	expect("c d none a g ", "", consolesink.WithMaxRows(0))
	expect("c d none a ", "… and 1 more series, those with the smallest counts", consolesink.WithMaxRows(4))
	expect("c d a ", "… and 2 more series, those with the smallest counts", consolesink.WithMaxRows(3))
	expect("d ", "… and 4 more series, those with the smallest counts", consolesink.WithMaxRows(1))

	points = nil
	for i := range 101 {
		points = append(points, counter(strconv.Itoa(i), 1))
	}
	require.Contains(t, printed(t, second(points...)), "… and 1 more series", "100 is the default")
}

// A failingWriter passes on the first limit bytes of a text, and fails with err if there are more.
type failingWriter struct {
	bytes.Buffer
	limit int
	err   error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) <= w.limit {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:w.limit])
	return n, w.err
}

func TestWriteError(t *testing.T) {
	full := errors.New("disk full")
	batch := second(counter("requests", 3))
	table := printed(t, batch)

	out := &failingWriter{err: full}
	sink := sinkFor(t, out)
	err := sink.Write(context.Background(), batch)
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "printing 1 points (0 of ")

	out.limit = len(table)
	require.NoError(t, sink.Write(context.Background(), batch))
	require.Equal(t, table, out.String(), "nothing was printed before, so there is nothing to explain")

	out.Reset()
	out.limit = 10
	require.ErrorIs(t, sink.Write(context.Background(), batch), full)
	out.limit = 0
	require.ErrorIs(t, sink.Write(context.Background(), batch), full)
	out.limit = 1000
	require.NoError(t, sink.Write(context.Background(), batch))
	require.NoError(t, sink.Write(context.Background(), batch))
	require.Equal(t, table[:10]+"\n(writing the table above failed: the next one repeats it)\n"+table+table,
		out.String())
}

// A panicking writer takes ten bytes of the first text and then panics.
type panicking struct{ bytes.Buffer }

func (p *panicking) Write(text []byte) (int, error) {
	if p.Len() == 0 {
		_, _ = p.Buffer.Write(text[:10])
		panic("torn")
	}
	return p.Buffer.Write(text)
}

func TestPanic(t *testing.T) {
	w := new(panicking)
	sink, batch := sinkFor(t, w), second(counter("requests", 3))
	require.Panics(t, func() { _ = sink.Write(t.Context(), batch) })
	require.NoError(t, sink.Write(t.Context(), batch))
	table := printed(t, batch)
	require.Equal(t, table[:10]+"\n(writing the table above failed: the next one repeats it)\n"+table, w.String())
}

func TestNew(t *testing.T) {
	_, err := consolesink.New(nil)
	require.EqualError(t, err, "consolesink: New: the writer is nil; give it os.Stderr, for example")
	_, err = consolesink.New((*os.File)(nil))
	require.EqualError(t, err, "consolesink: New: the writer is a nil *os.File; give it os.Stderr, for example")
	_, err = consolesink.New(io.Discard, consolesink.WithMaxRows(1), nil, consolesink.WithMaxRows(-1))
	require.EqualError(t, err, "consolesink: New: option 2 of 3 is nil; leave it out\n"+
		"consolesink: New: WithMaxRows: -1 is negative; write 0 for no limit")
	_, err = consolesink.New(io.Discard, consolesink.WithSignals(os.Interrupt))
	require.EqualError(t, err,
		"consolesink: New: WithSignals is an option of DumpOnSignal; call that instead")
}

func TestShortWriteIsAnError(t *testing.T) {
	sink := sinkFor(t, &failingWriter{limit: 10})
	require.ErrorIs(t, sink.Write(context.Background(), second(metricsbuffer.Point{Name: "jobs"})), io.ErrShortWrite)
}

func TestString(t *testing.T) {
	require.Equal(t, "console", sinkFor(t, io.Discard).String())
}

// Every series begins one line, its characters are harmless, and its name and tags can be read back.
func FuzzSeries(f *testing.F) {
	f.Add("requests", "status", "ok")
	f.Add("a\nb", "\x1b[31m", `"`)
	f.Add("", "\xff", "\u202e")
	f.Add("日本", "🚀", strings.Repeat("long", 50))
	f.Fuzz(func(t *testing.T, name, key, value string) {
		table := printed(t, second(counter(name, 1, tag(key, value))))
		require.True(t, utf8.ValidString(table))
		for _, r := range table {
			require.True(t, unicode.IsPrint(r) || r == '\n', "%q in %q", r, table)
		}
		lines := strings.Split(table, "\n")
		series := lines[3]
		if len(lines) == 6 {
			series = strings.TrimSuffix(series, "1        1")
			require.NotEqual(t, series, lines[3])
		} else {
			require.Len(t, lines, 7, "the figures of a long name are on the next line")
			require.Equal(t, "1        1", strings.TrimSpace(lines[4]))
		}
		for i, want := range []string{name, key, value} {
			got := word(t, series)
			series = series[len(got):]
			require.Equal(t, "{=}"[i:i+1], series[:1])
			series = series[1:]
			if unquoted, err := strconv.Unquote(got); err == nil {
				got = unquoted
			}
			require.Equal(t, want, got)
		}
		require.Empty(t, strings.TrimSpace(series))
	})
}

// word returns the word that s starts with, quotes and all.
func word(t *testing.T, s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s[:strings.IndexAny(s, "{=}")]
	}
	quoted, err := strconv.QuotedPrefix(s)
	require.NoError(t, err)
	return quoted
}
