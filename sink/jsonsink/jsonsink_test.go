package jsonsink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/jsonsink"
)

type tag = metricsbuffer.Tag

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

func sinkFor(w io.Writer, opts ...jsonsink.Option) *jsonsink.Sink {
	sink, err := jsonsink.New(w, opts...)
	if err != nil {
		panic(err)
	}
	return sink
}

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
	sink, err := jsonsink.New(os.Stdout)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sink.Write(context.Background(), second(counter("jobs", 3), gauge(0.5))); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":"counter","name":"jobs","count":3}
	// {"start":"2025-11-23T12:00:00Z","end":"2025-11-23T12:00:01Z","kind":"gauge","name":"g","value":0.5}
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sinkFor(&out).Write(t.Context(), second(
		counter("lowest", math.MinInt64),
		metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "cost", Count: math.MaxInt64, Decimals: 2},
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
		`"counter","name":"cost","count":92233720368547758.07}`,
		`"counter","name":"twice","tags":{"a":"","k":["1","2"],"z":""},"count":1}`,
		`"gauge","name":"g","value":"NaN"}`,
		`"gauge","name":"g","value":"Infinity"}`,
		`"gauge","name":"g","value":"-Infinity"}`,
		`"gauge","name":"g","value":1e+300}`,
		`"timer","name":"t","unit":"ns","count":4,"sum":5,"min":0,"max":3,` +
			`"buckets":{"scale":4,"zeros":1,"offset":0,"counts":[2,0,1]}}`,
		`"histogram","name":"h","unit":"bytes","count":1,"sum":0,"min":0,"max":0,` +
			`"buckets":{"scale":4,"zeros":1,"offset":0,"counts":[]}}`,
		`"histogram","name":"\"\\\u000a\u2028é","count":0,"sum":0}`,
		"",
	}, "\n"), strings.ReplaceAll(out.String(), prefix, ""))
}

// A limited writer takes a number of bytes and then fails.
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

func TestWithoutBuckets(t *testing.T) {
	var out bytes.Buffer
	p := metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: "t", Count: 1, Sum: 2, Min: 2, Max: 2,
		Buckets: &metricsbuffer.Buckets{Offset: 15, Counts: []uint64{1}}}
	require.NoError(t, sinkFor(&out, jsonsink.WithoutBuckets()).Write(t.Context(), second(p)))
	require.Contains(t, out.String(), `"name":"t","unit":"ns","count":1,"sum":2,"min":2,"max":2}`+"\n")
}

func TestNew(t *testing.T) {
	_, err := jsonsink.New(nil)
	require.EqualError(t, err, "jsonsink: New: the writer is nil; give it an open file, for example")
	_, err = jsonsink.New((*os.File)(nil))
	require.ErrorContains(t, err, "the writer is a nil *os.File")
	_, err = jsonsink.New(io.Discard, nil, jsonsink.WithoutBuckets())
	require.EqualError(t, err, "jsonsink: New: option 1 of 2 is nil; leave it out")
	require.Equal(t, "json", sinkFor(io.Discard).String())
}

// A panicking writer takes a number of bytes and then panics, once.
type panicking struct {
	bytes.Buffer
	at int
}

func (p *panicking) Write(text []byte) (int, error) {
	if p.at >= 0 {
		_, _ = p.Buffer.Write(text[:p.at])
		p.at = -1
		panic("torn")
	}
	return p.Buffer.Write(text)
}

// A buffer recovers from a panic and delivers the batch again. The torn line must not spoil the first one after it.
func TestPanic(t *testing.T) {
	w := &panicking{at: 20}
	sink := sinkFor(w)
	require.Panics(t, func() { _ = sink.Write(t.Context(), second(counter("a", 1))) })
	require.NoError(t, sink.Write(t.Context(), second(counter("a", 1))))
	lines := strings.Split(w.String(), "\n")
	require.Len(t, lines, 3)
	require.Len(t, lines[0], 20)
	require.True(t, json.Valid([]byte(lines[1])), lines[1])
}

// At whichever byte the writer fails, every point is on one whole line.
func TestFailure(t *testing.T) {
	var whole bytes.Buffer
	points := []metricsbuffer.Point{
		counter("\xff", 1), counter("a", 1), counter("b", 2), counter("\xfe", 1), counter("c", 3),
	}
	require.NoError(t, sinkFor(&whole).Write(t.Context(), second(points...)))
	for at := range whole.Len() {
		w := &limited{left: at}
		sink := sinkFor(w)
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

// Go's decoder reads the same point back from a line, with any strings.
func FuzzLine(f *testing.F) {
	f.Add("jobs", "queue", "a", "", int64(1), 1.5)
	f.Fuzz(func(t *testing.T, name, key, value, other string, count int64, v float64) {
		var out bytes.Buffer
		tags := []tag{{Key: key, Value: other}, {Key: key, Value: value}}
		g := gauge(v)
		g.Name = name
		batch := second(counter(name, count, tags...), g, counter("last", 1))
		require.NoError(t, sinkFor(&out).Write(t.Context(), batch))
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

// The line of a series is the same with its text at hand as without it: also if the ID belongs to another series by
// now.
func TestTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var got, want bytes.Buffer
	known := sinkFor(&got)
	for range 300 {
		batch := second()
		for id := range uint32(20) {
			p := counter([]string{"a", "b", "\xff"}[random.IntN(3)], 1, tag{Key: "k", Value: strconv.Itoa(random.IntN(2))})
			p.Kind, p.ID = metricsbuffer.Kind(random.IntN(5)), id
			p.Unit = []string{"", "b"}[random.IntN(2)]
			if random.IntN(4) > 0 {
				batch.Points = append(batch.Points, p)
			} else {
				batch.Ended = append(batch.Ended, p)
			}
		}
		unknown := *batch
		require.NoError(t, known.Write(t.Context(), batch))
		require.NoError(t, sinkFor(&want).Write(t.Context(), &unknown))
		require.Equal(t, want.String(), got.String())
		for i := range batch.Points {
			_, dropped := batch.Dropped(i)
			require.Equal(t, batch.Points[i].Name == "\xff", dropped)
		}
		got.Reset()
		want.Reset()
	}
}

// A Write allocates nothing for a series that it knows.
func TestAllocations(t *testing.T) {
	batch := second()
	for id := range uint32(100) {
		p := counter("jobs", 1, tag{Key: "k", Value: strconv.Itoa(int(id))})
		p.ID = id
		batch.Points = append(batch.Points, p)
	}
	sink := sinkFor(io.Discard)
	require.Less(t, testing.AllocsPerRun(200, func() { _ = sink.Write(t.Context(), batch) }), 10.)
}

// measuring is a writer that notes how much memory the sink has for lines.
type measuring struct{ memory int }

func (m *measuring) Write(lines []byte) (int, error) {
	m.memory = cap(lines)
	return len(lines), nil
}

// Memory for lines is used again, unless a batch needed little of it.
func TestMemoryOfALargeBatchIsDropped(t *testing.T) {
	w := new(measuring)
	sink := sinkFor(w)
	write := func(points int) int {
		require.NoError(t, sink.Write(t.Context(), second(make([]metricsbuffer.Point, points)...)))
		return w.memory
	}
	large := write(1000)
	require.Equal(t, large, write(900))
	require.Equal(t, large, write(1), "it is dropped after this batch")
	require.Less(t, write(1), large/100)
}

// A counter or gauge has a unit if it was described.
func TestDescribedUnit(t *testing.T) {
	var out bytes.Buffer
	sink, err := jsonsink.New(&out)
	require.NoError(t, err)
	require.NoError(t, sink.Write(t.Context(), &metricsbuffer.Batch{Points: []metricsbuffer.Point{
		{Kind: metricsbuffer.KindCounter, Name: "c", Unit: "By", Count: 1},
		{Kind: metricsbuffer.KindGauge, Name: "g", Unit: "Cel"},
	}}))
	require.Contains(t, out.String(), `"name":"c","unit":"By","count":1}`)
	require.Contains(t, out.String(), `"name":"g","unit":"Cel","value":0}`)
}
