package consolesink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
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
	require.NoError(t, consolesink.New(&out, opts...).Write(t.Context(), batch))
	return out.String()
}

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

func gauge(name string, value float64) metricsbuffer.Point {
	return metricsbuffer.Point{Name: name, Kind: metricsbuffer.KindGauge, Value: value}
}

func TestTable(t *testing.T) {
	points := []metricsbuffer.Point{
		timer("requests", 999, 12_344*time.Microsecond, 1_105_500*time.Microsecond, -4_700*time.Microsecond),
		counter("uneven", 31, metricsbuffer.Tag{Key: "key", Value: "b"}),
		counter("uneven", 2500, metricsbuffer.Tag{Key: "key", Value: "a"}),
		counter("ordered", 1, metricsbuffer.Tag{Key: "key", Value: "a"}, metricsbuffer.Tag{Key: "key", Value: "b"}),
		counter("requests", 0),
		counter("lowest", math.MinInt64),
		timer("long", 90*time.Second),
		gauge("balance", -2.5), gauge("big", 12_500_000), gauge("tiny", 1e-9), gauge("strange", math.NaN()),
		gauge("infinite", math.Inf(-1)), gauge("zero", 0),
	}
	require.Equal(t, `
2025-11-23 23:59:59.000 – 2025-11-24 00:00:01.500  2.5s  13 points
   KIND                 COUNT                RATE/S   MEAN     MIN    MAX     VALUE  SERIES
  gauge                     -                     -      -       -      -      -2.5  balance
  gauge                     -                     -      -       -      -  12500000  big
  gauge                     -                     -      -       -      -      -Inf  infinite
  timer                     1                   0.4  1m30s   1m30s  1m30s         -  long
counter  -9223372036854775808  -3689348814741910528      -       -      -         -  lowest
counter                     1                   0.4      -       -      -         -  ordered{key=a,key=b}
counter                     0                     0      -       -      -         -  requests
  timer                     4                   1.6  278ms  -4.7ms  1.11s         -  requests
  gauge                     -                     -      -       -      -       NaN  strange
  gauge                     -                     -      -       -      -     1e-09  tiny
counter                  2500                  1000      -       -      -         -  uneven{key=a}
counter                    31                  12.4      -       -      -         -  uneven{key=b}
  gauge                     -                     -      -       -      -         0  zero

`, "\n"+printed(t, &metricsbuffer.Batch{Start: start, End: start.Add(2500 * time.Millisecond), Points: points}))
}

func TestEmptyBatch(t *testing.T) {
	require.Equal(t, "2025-11-23 23:59:58.000 – 23:59:59.000  1s  0 points\n"+
		"KIND  COUNT  RATE/S  MEAN  MIN  MAX  VALUE  SERIES\n\n", printed(t, second()))
}

func TestBatchWithoutDurationHasNoRates(t *testing.T) {
	batch := second(counter("requests", 3))
	batch.Start = batch.End
	require.Contains(t, printed(t, batch), "counter      3       -     -    -    -      -  requests\n")
}

// A kind that is added to the library later is printed as far as it can be understood.
func TestUnknownKind(t *testing.T) {
	table := printed(t, second(
		metricsbuffer.Point{Name: "later", Kind: 200, Count: 7},
		metricsbuffer.Point{Name: "latest", Kind: 201, Value: 1.5},
	))
	require.Contains(t, table, "kind 200      7       7     -    -    -      -  later\n")
	require.Contains(t, table, "kind 201      -       -     -    -    -    1.5  latest\n")
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
	} {
		series := want + "{" + want + "=" + want + "}"
		table := printed(t, second(counter(word, 1, metricsbuffer.Tag{Key: word, Value: word})))
		require.True(t, strings.HasSuffix(table, "  "+series+"\n\n"), "%q is printed as\n%s", word, table)
	}
}

func TestLimit(t *testing.T) {
	points := []metricsbuffer.Point{
		counter("d", 4), counter("c", -3), gauge("g", 1e9), timer("a", 1, 1), counter("none", 0),
	}
	kept := func(opts ...consolesink.Option) string {
		lines := strings.SplitAfter(printed(t, second(points...), opts...), "\n")
		require.Contains(t, lines[0], "  5 points\n", "the header counts the whole batch")
		last := ""
		for i, line := range lines[2:] {
			fields := strings.Fields(line)
			if len(fields) == 8 {
				last += fields[7] + " "
			} else {
				return last + strings.Join(lines[2+i:], "")
			}
		}
		return last
	}
	require.Equal(t, "a c d g none \n", kept())
	require.Equal(t, "a c d g none \n", kept(consolesink.WithMaxRows(5)))
	require.Equal(t, "a c d g none \n", kept(consolesink.WithMaxRows(0)))
	require.Equal(t, "a c d g … and 1 more series, those with the smallest counts\n\n", kept(consolesink.WithMaxRows(4)))
	require.Equal(t, "a c d … and 2 more series, those with the smallest counts\n\n", kept(consolesink.WithMaxRows(3)))
	require.Equal(t, "d … and 4 more series, those with the smallest counts\n\n", kept(consolesink.WithMaxRows(1)))

	points = make([]metricsbuffer.Point, 101)
	require.Contains(t, printed(t, second(points...)), "… and 1 more series", "there is a limit unless told otherwise")
}

// A failingWriter passes on what limit allows, then fails with err.
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
	sink := consolesink.New(out)
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
	require.Equal(t, table[:10]+"\n(writing the table above failed: the next one repeats what it showed)\n"+table+table,
		out.String())
}

func TestShortWriteIsAnError(t *testing.T) {
	sink := consolesink.New(&failingWriter{limit: 10})
	require.ErrorIs(t, sink.Write(context.Background(), second()), io.ErrShortWrite)
}

func TestString(t *testing.T) {
	require.Equal(t, "console", consolesink.New(io.Discard).String())
}

// Whatever a series is called, it takes one line, its characters are harmless, and it can be read back from it.
func FuzzSeries(f *testing.F) {
	f.Add("requests", "status", "ok")
	f.Add("a\nb", "\x1b[31m", `"`)
	f.Add("", "\xff", "\u202e")
	f.Fuzz(func(t *testing.T, name, key, value string) {
		table := printed(t, second(counter(name, 1, metricsbuffer.Tag{Key: key, Value: value})))
		require.Equal(t, 4, strings.Count(table, "\n"))
		require.True(t, utf8.ValidString(table))
		for _, r := range table {
			require.True(t, unicode.IsPrint(r) || r == '\n', "%q in %q", r, table)
		}
		series := strings.TrimSuffix(table[strings.Index(table, "1       1     -    -    -      -  "):], "\n\n")
		series = strings.TrimPrefix(series, "1       1     -    -    -      -  ")
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
		require.Empty(t, series)
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
