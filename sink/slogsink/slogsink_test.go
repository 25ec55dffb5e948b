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
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(slogsink.New(handler, slog.LevelInfo)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 100 {
		buffer.IncrCounter("jobs", 1, metricsbuffer.Tag{Key: "queue", Value: "mail"})
		buffer.IncrTimer("latency", time.Duration(i+1)*time.Millisecond)
	}
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=INFO msg=metric kind=counter name=jobs tags.queue=mail delta=100
	// level=INFO msg=metric kind=timer name=latency count=100 sum=5.05s min=1ms p50=50.639155ms p99=96.984442ms max=100ms
}

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

func second(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func TestRecords(t *testing.T) {
	var out strings.Builder
	sink := slogsink.New(slog.NewJSONHandler(&out, nil), slog.LevelWarn)
	require.NoError(t, sink.Write(t.Context(), second(
		metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "low\n", Count: math.MinInt64},
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "nan", Value: math.NaN()},
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 0.5},
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "size", Unit: "bytes", Count: 2, Sum: 5, Min: 2, Max: 3},
	)))
	const prefix = `{"time":"2025-11-23T12:00:01Z","level":"WARN","msg":"metric",`
	require.Equal(t, strings.Join([]string{
		`"kind":"counter","name":"low\n","over":1000000000,"delta":-9223372036854775808}`,
		`"kind":"gauge","name":"nan","over":1000000000,"value":"NaN"}`,
		`"kind":"gauge","name":"depth","over":1000000000,"value":0.5}`,
		`"kind":"histogram","name":"size","over":1000000000,"count":2,"sum":5,"min":2,"max":3,"unit":"bytes"}`,
		"",
	}, "\n"), strings.ReplaceAll(out.String(), prefix, ""))
}

func TestLevel(t *testing.T) {
	var out strings.Builder
	batch := second(metricsbuffer.Point{Name: "jobs", Count: 1})
	require.NoError(t, slogsink.New(slog.NewTextHandler(&out, nil), slog.LevelDebug).Write(t.Context(), batch))
	_, dropped := batch.Dropped(0)
	require.True(t, dropped)
	require.Empty(t, out.String())
}

// A handler that fails at the n-th record.
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
	err := slogsink.New(handler, slog.LevelInfo).Write(t.Context(), batch)
	require.ErrorIs(t, err, errFull)
	require.ErrorContains(t, err, `counter "b"`)
	require.Equal(t, 1, batch.Acknowledged())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, slogsink.New(handler, slog.LevelInfo).Write(ctx, batch), context.Canceled)
}
