package jsonsink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/jsonsink"
)

type tag = metricsbuffer.Tag

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func counter(name string, count int64, tags ...tag) metricsbuffer.Point {
	return metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Count: count, Tags: tags}
}

func gauge(value float64) metricsbuffer.Point {
	return metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "g", Value: value}
}

func ExampleSink_Write() {
	err := jsonsink.New(os.Stdout).Write(context.Background(), second(counter("jobs", 3), gauge(0.5)))
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":"counter","name":"jobs","count":3}
	// {"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":"gauge","name":"g","value":0.5}
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, jsonsink.New(&out).Write(t.Context(), second(
		counter("lowest", math.MinInt64),
		counter("twice", 1, tag{Key: "a", Value: ""}, tag{Key: "k", Value: "1"}, tag{Key: "k", Value: "2"}, tag{Key: "z"}),
		gauge(math.NaN()), gauge(math.Inf(1)), gauge(math.Inf(-1)), gauge(1e300),
		metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: "t", Count: 4, Sum: 5, Min: 0, Max: 3,
			Buckets: &metricsbuffer.Buckets{Zeros: 1, Offset: -1, Counts: []uint64{0, 2, 0, 1, 0}}},
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "h", Unit: "bytes", Count: 1,
			Buckets: &metricsbuffer.Buckets{Zeros: 1}},
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "\"\\\n\u2028é"},
	)))
	const prefix = `{"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":`
	require.Equal(t, strings.Join([]string{
		`"counter","name":"lowest","count":-9223372036854775808}`,
		`"counter","name":"twice","tags":{"a":"","k":["1","2"],"z":""},"count":1}`,
		`"gauge","name":"g","value":"NaN"}`,
		`"gauge","name":"g","value":"Infinity"}`,
		`"gauge","name":"g","value":"-Infinity"}`,
		`"gauge","name":"g","value":1e+300}`,
		`"timer","name":"t","unit":"ns","count":4,"sum":5,"min":0,"max":3,` +
			`"buckets":{"scale":4,"zeros":1,"offset":0,"counts":[2,0,1]}}`,
		`"histogram","name":"h","unit":"bytes","count":1,"sum":0,"min":0,"max":0,` +
			`"buckets":{"scale":4,"zeros":1,"offset":0,"counts":[]}}`,
		`"histogram","name":"\"\\\u000a\u2028é","count":0,"sum":0,"min":0,"max":0}`,
		"",
	}, "\n"), strings.ReplaceAll(out.String(), prefix, ""))
}

// A writer that takes so many bytes more.
type limited struct {
	bytes.Buffer
	left int
}

var errFull = errors.New("disk full")

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	_, _ = l.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// Wherever the writer fails, every point is in one whole line.
func TestFailure(t *testing.T) {
	var whole bytes.Buffer
	points := []metricsbuffer.Point{
		counter("\xff", 1), counter("a", 1), counter("b", 2), counter("\xfe", 1), counter("c", 3),
	}
	require.NoError(t, jsonsink.New(&whole).Write(t.Context(), second(points...)))
	for at := range whole.Len() {
		w := &limited{left: at}
		sink := jsonsink.New(w)
		batch := second(points...)
		require.ErrorIs(t, sink.Write(t.Context(), batch), errFull)
		rest := points[batch.Acknowledged():]
		require.ErrorIs(t, sink.Write(t.Context(), second(rest...)), errFull, "again, with nothing taken")
		w.left = math.MaxInt
		require.NoError(t, sink.Write(t.Context(), second(rest...)))
		got := make(map[string]int64)
		bad := 0
		for line := range strings.Lines(w.String()) {
			var p struct {
				Name  string
				Count int64
			}
			if json.Unmarshal([]byte(line), &p) != nil {
				bad++
				continue
			}
			got[p.Name] += p.Count
		}
		require.Equal(t, map[string]int64{"a": 1, "b": 2, "c": 3}, got, "cut at byte %d: %s", at, w.String())
		require.LessOrEqual(t, bad, 1)
	}
}

// Whatever the strings, a line is read back as the point it was made of, by Go's decoder.
func FuzzLine(f *testing.F) {
	f.Add("jobs", "queue", "a", "", int64(1), 1.5)
	f.Fuzz(func(t *testing.T, name, key, value, other string, count int64, v float64) {
		var out bytes.Buffer
		tags := []tag{{Key: key, Value: other}, {Key: key, Value: value}}
		g := gauge(v)
		g.Name = name
		batch := second(counter(name, count, tags...), g, counter("last", 1))
		require.NoError(t, jsonsink.New(&out).Write(t.Context(), batch))
		lines := strings.Split(out.String(), "\n")
		if _, dropped := batch.Dropped(0); !dropped {
			var p struct {
				Name  string
				Count int64
				Tags  map[string][]string
			}
			require.NoError(t, json.Unmarshal([]byte(lines[0]), &p))
			require.Equal(t, name, p.Name)
			require.Equal(t, count, p.Count)
			require.Equal(t, map[string][]string{key: {other, value}}, p.Tags)
			lines = lines[1:]
		}
		if _, dropped := batch.Dropped(1); !dropped {
			var p struct {
				Name  string
				Value any
			}
			require.NoError(t, json.Unmarshal([]byte(lines[0]), &p))
			require.Equal(t, name, p.Name)
			if number, ok := p.Value.(float64); ok {
				require.Equal(t, math.Float64bits(v), math.Float64bits(number))
			} else {
				require.True(t, math.IsNaN(v) || math.IsInf(v, 0))
			}
			lines = lines[1:]
		}
		require.Len(t, lines, 2)
		require.Contains(t, lines[0], `"last"`)
	})
}
