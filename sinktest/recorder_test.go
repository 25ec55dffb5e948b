package sinktest_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

var (
	start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)
	red   = metricsbuffer.Tag{Key: "color", Value: "red"}
	small = metricsbuffer.Tag{Key: "size", Value: "small"}
)

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func counter(name string, count int64, tags ...metricsbuffer.Tag) metricsbuffer.Point {
	return metricsbuffer.Point{Name: name, Tags: tags, Kind: metricsbuffer.KindCounter, Count: count}
}

func timer(name string, count, sum, least, most int64) metricsbuffer.Point {
	return metricsbuffer.Point{Name: name, Kind: metricsbuffer.KindTimer, Count: count, Sum: sum, Min: least, Max: most}
}

func gauge(name string, value float64) metricsbuffer.Point {
	return metricsbuffer.Point{Name: name, Kind: metricsbuffer.KindGauge, Value: value}
}

func TestTotals(t *testing.T) {
	recorder := new(sinktest.Recorder)
	require.Empty(t, recorder.Totals())
	for _, batch := range []*metricsbuffer.Batch{
		second(counter("apples", 3, red, small), counter("apples", 10), timer("ripening", 2, 30, 10, 20), gauge("price", 7)),
		second(),
		second(timer("ripening", 1, 5, 5, 5), counter("apples", -1, red, small), gauge("price", 1), gauge("apples", 2)),
		second(timer("ripening", 1, 25, 25, 25), counter("apples", 1, red)),
	} {
		require.NoError(t, recorder.Write(t.Context(), batch))
	}

	require.Equal(t, []metricsbuffer.Point{
		counter("apples", 10),
		gauge("apples", 2),
		counter("apples", 1, red),
		counter("apples", 2, red, small),
		gauge("price", 1),
		timer("ripening", 4, 60, 5, 25),
	}, recorder.Totals())

	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "apples", red, small).Count)
	require.Equal(t, counter("apples", 2, red, small), recorder.Total(metricsbuffer.KindCounter, "apples", small, red),
		"tags may be given in any order")
	tags := []metricsbuffer.Tag{small, red}
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "apples", tags...).Count)
	require.Equal(t, []metricsbuffer.Tag{small, red}, tags, "the caller's tags stay as they are")
	require.Equal(t, gauge("apples", 2), recorder.Total(metricsbuffer.KindGauge, "apples"))
}

// Series that would be the same if their parts were merely joined are not.
func TestSeriesDoNotMix(t *testing.T) {
	recorder := new(sinktest.Recorder)
	batch := second(
		counter("a", 1), counter("", 2), counter(`a"b"`, 3), counter("ab", 4, metricsbuffer.Tag{}),
		counter("a", 5, metricsbuffer.Tag{Key: "b"}), counter("a", 6, metricsbuffer.Tag{Value: "b"}),
		counter("a", 7, metricsbuffer.Tag{Key: "b", Value: "c"}), counter("a", 8, metricsbuffer.Tag{Key: "bc"}),
		counter("a", 9, metricsbuffer.Tag{Key: "b", Value: `c"d"`}),
		counter("a", 10, metricsbuffer.Tag{Key: "b", Value: "c"}, metricsbuffer.Tag{Key: "d"}),
	)
	require.NoError(t, recorder.Write(t.Context(), batch))
	for _, p := range batch.Points {
		require.Equal(t, p, recorder.Total(p.Kind, p.Name, p.Tags...))
	}
}

// A kind that is added to the library later is recorded like the others.
func TestUnknownKind(t *testing.T) {
	recorder := new(sinktest.Recorder)
	p := metricsbuffer.Point{Name: "later", Kind: 200, Count: 1, Sum: 2, Min: 3, Max: 4, Value: 5}
	require.NoError(t, recorder.Write(t.Context(), second(p)))
	require.NoError(t, recorder.Write(t.Context(), second(p)))
	p.Count, p.Sum = 2, 4
	require.Equal(t, []metricsbuffer.Point{p}, recorder.Totals())
}

// The buffer reuses a batch after Write, and a test may change anything that a Recorder returned.
func TestNothingIsShared(t *testing.T) {
	recorder := new(sinktest.Recorder)
	batch := second(counter("apples", 3, red))
	batch.Ended = []metricsbuffer.Point{counter("apples", 3, red)}
	spoil := func(points []metricsbuffer.Point) {
		points[0].Tags[0].Value = "spoilt"
		points[0].Count = -99
	}
	require.NoError(t, recorder.Write(t.Context(), batch))
	spoil(batch.Points)
	spoil(batch.Ended)
	spoil(recorder.Batches()[0].Points)
	spoil(recorder.Batches()[0].Ended)
	spoil(recorder.Totals())
	spoil([]metricsbuffer.Point{recorder.Total(metricsbuffer.KindCounter, "apples", red)})

	want := []metricsbuffer.Point{counter("apples", 3, red)}
	require.Equal(t, want, recorder.Batches()[0].Points)
	require.Equal(t, want, recorder.Batches()[0].Ended)
	require.Equal(t, want, recorder.Totals())
	require.Equal(t, want[0], recorder.Total(metricsbuffer.KindCounter, "apples", red))
	require.Equal(t, start, recorder.Batches()[0].Start)
	require.Equal(t, start.Add(time.Second), recorder.Batches()[0].End)
}

// Recorder copies, totals and checks field by field. A new field of Point or Tag has to be added to clonePoints, merge
// and perhaps checkPoint, and then here.
func TestEveryFieldIsKnown(t *testing.T) {
	fields := func(v any) (names []string) {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(v)) {
			names = append(names, field.Name+" "+field.Type.String())
		}
		return names
	}
	require.Equal(t, []string{
		"Name string", "Tags []metricsbuffer.Tag", "Kind metricsbuffer.Kind", "ID uint32", "Decimals int",
		"Count int64", "Sum int64", "Min int64", "Max int64", "Value float64", "Unit string", "Help string",
		"Buckets *metricsbuffer.Buckets", "Exemplars []metricsbuffer.Exemplar",
	}, fields(metricsbuffer.Point{}))
	require.Equal(t, []string{"Key string", "Value string"}, fields(metricsbuffer.Tag{}))
}

func TestMalformedBatchesAreRefused(t *testing.T) {
	backwards := second()
	backwards.Start, backwards.End = backwards.End, backwards.Start
	twice := second(counter("apples", 1, red), counter("apples", 1, red))
	miscounted := timer("ripening", 2, 2, 1, 1)
	miscounted.Buckets = &metricsbuffer.Buckets{Offset: -1, Counts: []uint64{1}}
	for complaint, batch := range map[string]*metricsbuffer.Batch{
		"before its start": backwards,
		`point 1 of 2, counter "apples" [{"color" "red"}], is in the batch twice`: twice,

		"tags that are not sorted":                                     second(counter("apples", 1, small, red)),
		"minimum of 2 above its maximum of 1":                          second(timer("ripening", 1, 1, 2, 1)),
		"count of -1":                                                  second(timer("ripening", -1, 0, 0, 0)),
		"no observations, and a minimum of 1":                          second(timer("ripening", 0, 0, 1, 1)),
		"has a count of 2, and 1 observations in its buckets":          second(miscounted),
		"sum of 11, which 2 observations between 1 and 5 cannot have":  second(timer("ripening", 2, 11, 1, 5)),
		"sum of -5, which 2 observations between -2 and 5 cannot have": second(timer("ripening", 2, -5, -2, 5)),
	} {
		recorder := new(sinktest.Recorder)
		require.ErrorContains(t, recorder.Write(t.Context(), batch), complaint)
		require.ErrorContains(t, recorder.Err(), complaint)
		require.Empty(t, recorder.Batches())
		require.Empty(t, recorder.Totals())
	}
}

func TestWellFormedBatchesAreNotRefused(t *testing.T) {
	recorder := new(sinktest.Recorder)
	for _, batch := range []*metricsbuffer.Batch{
		{}, // an instant is a time, too
		second(counter("apples", 0, red, red), gauge("apples", math.NaN()), counter("apples", math.MinInt64)),
		second(timer("ripening", 3, -1, -2, 1), timer("apples", 2, math.MinInt64, 1, math.MaxInt64)), // overflowed
	} {
		require.NoError(t, recorder.Write(t.Context(), batch))
	}
	require.NoError(t, recorder.Err())
}

func TestFirstErrorIsKept(t *testing.T) {
	recorder := new(sinktest.Recorder)
	first := recorder.Write(t.Context(), second(counter("a", 1), counter("a", 1)))
	require.Error(t, recorder.Write(t.Context(), second(counter("b", 1), counter("b", 1))))
	require.NoError(t, recorder.Write(t.Context(), second(counter("c", 1))))
	require.Equal(t, first, recorder.Err())
}

// On one processor, too, where a Write is over before another begins unless it lets others run.
func TestConcurrentWritesAreRefused(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	recorder := new(sinktest.Recorder)
	var accepted atomic.Int64
	var writers sync.WaitGroup
	for range 100 {
		writers.Go(func() {
			if recorder.Write(context.Background(), second(counter("apples", 1))) == nil {
				accepted.Add(1)
			}
		})
	}
	writers.Wait()
	require.ErrorContains(t, recorder.Err(), "while another Write")
	require.Equal(t, accepted.Load(), recorder.Total(metricsbuffer.KindCounter, "apples").Count)
}

func TestReadWhileWritten(t *testing.T) {
	const writes = 1000
	recorder := new(sinktest.Recorder)
	var reader sync.WaitGroup
	reader.Go(func() {
		for total := int64(0); total < writes; {
			p, _ := recorder.Find(metricsbuffer.KindCounter, "apples", red) // an error before the first batch
			total = p.Count
			_, _ = recorder.Batches(), recorder.Totals()[:0]
		}
	})
	batch := second(counter("apples", 1, red))
	for range writes {
		require.NoError(t, recorder.Write(t.Context(), batch))
	}
	reader.Wait()
	require.NoError(t, recorder.Err())
}

func TestNames(t *testing.T) {
	recorder := new(sinktest.Recorder)
	hanging, _ := sinktest.Hanging(recorder)
	require.Equal(t, "panicking(slow(failing(hanging(recorder))))", fmt.Sprint(
		sinktest.Panicking(sinktest.Slow(sinktest.Failing(hanging, sinktest.Every(2)), 1), sinktest.Every(1))))
	require.Equal(t, "slow(metricsbuffer.SinkFunc)", fmt.Sprint(sinktest.Slow(metricsbuffer.SinkFunc(nil), 1)))
}

// The unit of a counter is a description: it does not tell series apart, and the latest one counts.
func TestDescribedTotals(t *testing.T) {
	recorder := new(sinktest.Recorder)
	for _, help := range []string{"", "Old.", "New."} {
		apples, size := counter("apples", 1), counter("size", 1)
		apples.Help, apples.Unit = help, help+"u"
		size.Kind, size.Unit, size.Buckets = metricsbuffer.KindHistogram, help, &metricsbuffer.Buckets{Zeros: 1}
		require.NoError(t, recorder.Write(t.Context(), second(apples, size)))
	}
	apples := recorder.Total(metricsbuffer.KindCounter, "apples")
	require.EqualValues(t, 3, apples.Count)
	require.Equal(t, "New. in New.u", apples.Help+" in "+apples.Unit)
	require.Equal(t, "counter apples 3", sinktest.Line(apples))
	require.Len(t, recorder.Totals(), 1+3)
}
