package slogsink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/slogsink"
)

func Example() {
	withoutTimes := func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.TimeKey || attr.Key == "over" {
			return slog.Attr{}
		}
		return attr
	}
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes})
	sink, err := slogsink.New(handler)
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer.FractionCounter("cost.usd", 3).Add(0.125)
	for i := range 100 {
		buffer.IncrCounter("jobs", 1, metricsbuffer.Tag{Key: "queue", Value: "mail"})
		buffer.IncrTimer("latency", time.Duration(i+1)*time.Millisecond)
	}
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=INFO msg=metric kind=counter name=cost.usd delta=0.125
	// level=INFO msg=metric kind=counter name=jobs tags.queue=mail delta=100
	// level=INFO msg=metric kind=timer name=latency count=100 sum=5.05s min=1ms p50=50.639155ms p99=96.984442ms max=100ms
}

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

func sinkFor(handler slog.Handler, opts ...slogsink.Option) *slogsink.Sink {
	sink, err := slogsink.New(handler, opts...)
	if err != nil {
		panic(err)
	}
	return sink
}

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func TestRecords(t *testing.T) {
	var out strings.Builder
	sink := sinkFor(slog.NewJSONHandler(&out, nil), slogsink.WithLevel(slog.LevelWarn))
	require.NoError(t, sink.Write(t.Context(), second(
		metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "low\n", Count: math.MinInt64},
		metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "cost", Count: math.MaxInt64, Decimals: 2},
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "nan", Value: math.NaN()},
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 0.5},
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "size", Unit: "bytes", Count: 2, Sum: 5, Min: 2, Max: 3},
	)))
	const prefix = `{"time":"2025-11-23T12:00:01Z","level":"WARN","msg":"metric",`
	require.Equal(t, strings.Join([]string{
		`"kind":"counter","name":"low\n","over":1000000000,"delta":-9223372036854775808}`,
		`"kind":"counter","name":"cost","over":1000000000,"delta":92233720368547758.07}`,
		`"kind":"gauge","name":"nan","over":1000000000,"value":"NaN"}`,
		`"kind":"gauge","name":"depth","over":1000000000,"value":0.5}`,
		`"kind":"histogram","name":"size","over":1000000000,"count":2,"sum":5,"min":2,"max":3,"unit":"bytes"}`,
		"",
	}, "\n"), strings.ReplaceAll(out.String(), prefix, ""))
}

// A timer without observations has no minimum and no maximum, and no quantiles.
func TestNewSeries(t *testing.T) {
	var out strings.Builder
	sink := sinkFor(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	batch := second(metricsbuffer.Point{
		Kind: metricsbuffer.KindTimer, Name: "latency", Buckets: new(metricsbuffer.Buckets),
	})
	batch.Ended = []metricsbuffer.Point{{Name: "gone"}}
	require.NoError(t, sink.Write(t.Context(), batch))
	require.Equal(t, "level=INFO msg=metric kind=timer name=latency over=1s count=0 sum=0s\n", out.String())
}

func TestLevel(t *testing.T) {
	var out strings.Builder
	batch := second(metricsbuffer.Point{Name: "jobs", Count: 1})
	sink := sinkFor(slog.NewTextHandler(&out, nil), slogsink.WithLevel(slog.LevelDebug))
	require.NoError(t, sink.Write(t.Context(), batch))
	_, dropped := batch.Dropped(0)
	require.True(t, dropped)
	require.Empty(t, out.String())
}

func TestNew(t *testing.T) {
	_, err := slogsink.New(nil)
	require.EqualError(t, err, "slogsink: New: the handler is nil; give it slog.Default().Handler(), for example")
	_, err = slogsink.New((*slog.JSONHandler)(nil))
	require.ErrorContains(t, err, "the handler is a nil *slog.JSONHandler")
	_, err = slogsink.New(slog.DiscardHandler, slogsink.WithLevel(slog.LevelWarn), nil)
	require.EqualError(t, err, "slogsink: New: option 2 of 2 is nil; leave it out")
	require.Equal(t, "slog", sinkFor(slog.DiscardHandler).String())
}

// A failing handler fails after a number of records.
type failing struct {
	slog.Handler
	left int
}

var errFull = errors.New("disk full")

func (f *failing) Handle(context.Context, slog.Record) error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return nil
}

func TestFailure(t *testing.T) {
	handler := &failing{slog.NewTextHandler(new(strings.Builder), nil), 1}
	batch := second(metricsbuffer.Point{Name: "a", Count: 1}, metricsbuffer.Point{Name: "b", Count: 1})
	err := sinkFor(handler).Write(t.Context(), batch)
	require.ErrorIs(t, err, errFull)
	require.ErrorContains(t, err, `counter "b"`)
	require.Equal(t, 1, batch.Acknowledged())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sinkFor(handler).Write(ctx, batch), context.Canceled)
}
