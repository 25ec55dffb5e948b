package sinktest_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A misspelt name must not pass for a total of zero.
func TestNeverDelivered(t *testing.T) {
	recorder := new(sinktest.Recorder)
	_, err := recorder.Find(metricsbuffer.KindCounter, "apples")
	require.EqualError(t, err, "sinktest: counter apples was not recorded, nor any other series: flush the buffer first")

	require.NoError(t, recorder.Write(t.Context(), second(
		counter("apples", 3, red), counter("apples", 0), counter("pears", 1), gauge("apple", 7),
		timer("ripening", 1, 5, 5, 5),
	)))
	const apples = "counter apples, counter apples{color=red}, gauge apple"
	_, err = recorder.Find(metricsbuffer.KindCounter, "aples", red)
	require.EqualError(t, err, "sinktest: counter aples{color=red} was not recorded; of 5 series, the nearest: "+
		"counter apples{color=red}, counter apples, gauge apple")
	_, err = recorder.Find(metricsbuffer.KindTimer, "apples")
	require.EqualError(t, err, "sinktest: timer apples was not recorded; of 5 series, the nearest: "+apples)

	const all = "gauge apple, counter apples, counter apples{color=red}, counter pears, timer ripening"
	_, err = recorder.FindHistogram("a b", "\n")
	require.EqualError(t, err,
		`sinktest: histogram "a b"["\n"] was not recorded; of 5 series, none with a similar name: `+all)
	require.PanicsWithError(t,
		"sinktest: counter nothing was not recorded; of 5 series, none with a similar name: "+all,
		func() { recorder.Total(metricsbuffer.KindCounter, "nothing") })
	require.Zero(t, recorder.Total(metricsbuffer.KindCounter, "apples").Count, "a delivered total of zero is known")
}

// Histograms of one name in two units are two series.
func TestUnits(t *testing.T) {
	histogram := func(unit string, n int64) metricsbuffer.Point {
		return metricsbuffer.Point{
			Kind: metricsbuffer.KindHistogram, Name: "size", Unit: unit, Count: n, Sum: n, Min: 1, Max: 1,
		}
	}
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	buffer.Histogram("size", "bytes").Observe(1)
	require.NoError(t, buffer.Flush(t.Context()))
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindHistogram, "size").Count, "there is one unit only")
	for range 3 {
		buffer.Histogram("size", "rows").Observe(1)
		buffer.Histogram("size", "bytes").Observe(1)
	}
	require.NoError(t, buffer.Close())
	require.NoError(t, recorder.Err())

	totals := recorder.Totals()
	for i := range totals {
		totals[i].Buckets = nil
	}
	require.Equal(t, []metricsbuffer.Point{histogram("bytes", 4), histogram("rows", 3)}, totals)
	_, err = recorder.Find(metricsbuffer.KindHistogram, "size")
	require.EqualError(t, err,
		`sinktest: the histogram "size" exists in several units, "bytes", "rows": name one with FindHistogram`)
	rows, err := recorder.FindHistogram("size", "rows")
	require.NoError(t, err)
	require.EqualValues(t, 3, rows.Count)
	_, err = recorder.FindHistogram("size", "row")
	require.EqualError(t, err, "sinktest: histogram size[row] was not recorded; "+
		"of 2 series, the nearest: histogram size[rows], histogram size[bytes]")
}

// Of many series with one name, those with similar tags are the nearest.
func TestMisspeltTag(t *testing.T) {
	recorder := new(sinktest.Recorder)
	var points []metricsbuffer.Point
	for fruit := 'a'; fruit <= 'z'; fruit++ {
		points = append(points, counter("sold", 1, metricsbuffer.T("fruit", string(fruit)+" pear")))
	}
	points = append(points, counter("sold", 1, metricsbuffer.T("fruit", "plum")))
	require.NoError(t, recorder.Write(t.Context(), second(points...)))
	_, err := recorder.Find(metricsbuffer.KindCounter, "sold", metricsbuffer.T("fruit", "plumb"))
	require.ErrorContains(t, err, "of 27 series, the nearest: counter sold{fruit=plum}, ")
}

func TestLine(t *testing.T) {
	for want, p := range map[string]metricsbuffer.Point{
		"counter apples{color=red,size=small} 3": counter("apples", 3, red, small),
		"gauge price NaN":                        gauge("price", math.NaN()),
		"gauge price 2.5":                        gauge("price", 2.5),
		"timer ripening 2":                       timer("ripening", 2, 30, 10, 20),
		`histogram size["a b"] 0`:                {Kind: metricsbuffer.KindHistogram, Name: "size", Unit: "a b"},
		"histogram size 0":                       {Kind: metricsbuffer.KindHistogram, Name: "size"},
		`counter "" 1`:                           counter("", 1),
		`counter "a{b=c}" 1`:                     counter("a{b=c}", 1),
		`counter a{"\xff"="\n",b="c\""} 1`: counter("a", 1,
			metricsbuffer.Tag{Key: "\xff", Value: "\n"}, metricsbuffer.Tag{Key: "b", Value: `c"`}),
		`counter "�" 1`:      counter("\ufffd", 1),
		"counter größe/日本 1": counter("größe/日本", 1),
	} {
		require.Equal(t, want, sinktest.Line(p))
	}
}
