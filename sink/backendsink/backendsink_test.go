package backendsink_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/backendsink"
)

// A client has adapted what a program has already, here its standard output, to a Backend.
type client struct{ refuse string }

var errRefused = errors.New("refused")

func (c *client) print(name string, v any, tags []metricsbuffer.Tag) error {
	if name == c.refuse {
		return errRefused
	}
	fmt.Println(name, v, tags)
	return nil
}

func (c *client) Increment(name string, delta int64, tags []metricsbuffer.Tag) error {
	return c.print(name, delta, tags)
}

func (c *client) Gauge(name string, value float64, tags []metricsbuffer.Tag) error {
	return c.print(name, value, tags)
}

func (c *client) Timing(name string, _ int64, total time.Duration, tags []metricsbuffer.Tag) error {
	return c.print(name, total, tags)
}

func Example() {
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(backendsink.New(new(client))))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 1000 {
		buffer.IncrCounter("jobs", 1, metricsbuffer.Tag{Key: "queue", Value: "mail"})
		buffer.IncrTimer("latency", time.Millisecond)
	}
	buffer.SetGauge("depth", 7)
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// jobs 1000 [{queue mail}]
	// latency 1s []
	// depth 7 []
}

// What the backend refuses, and what comes after it, is pending; what it took is not.
func TestRefusal(t *testing.T) {
	c := &client{refuse: "b"}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(backendsink.New(c), metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	for i, name := range []string{"a", "b", "c"} {
		buffer.IncrCounter(name, int64(i+1))
	}
	err = buffer.Flush(t.Context())
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, `counter "b"`)
	stats := buffer.Stats().Sinks[0]
	require.EqualValues(t, 1, stats.Acknowledged.Increments)
	require.EqualValues(t, 5, stats.Pending.Increments)

	c.refuse = ""
	require.NoError(t, buffer.Close())
	require.EqualValues(t, 6, buffer.Stats().Sinks[0].Acknowledged.Increments)
}

func TestHistogram(t *testing.T) {
	batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{
		{Kind: metricsbuffer.KindHistogram, Name: "size", Count: 1},
	}}
	require.NoError(t, backendsink.New(new(client)).Write(t.Context(), batch))
	reason, dropped := batch.Dropped(0)
	require.True(t, dropped)
	require.Equal(t, "a backend takes no histograms", reason)
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errRefused)
	batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{{Name: "jobs", Count: 1}}}
	require.ErrorIs(t, backendsink.New(new(client)).Write(ctx, batch), errRefused)
	require.Zero(t, batch.Acknowledged())
}
