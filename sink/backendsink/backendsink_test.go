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

// A client adapts the client that a program already has, here its standard output, to a Backend.
type client struct{ refuse, unsupported string }

var errRefused = errors.New("refused")

func (c *client) print(name string, v any, tags []metricsbuffer.Tag) error {
	if name == c.refuse {
		return errRefused
	}
	if name == c.unsupported {
		return fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
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

func (c *client) Histogram(name, unit string, count, total int64, tags []metricsbuffer.Tag) error {
	return c.print(name, fmt.Sprintf("%d × %d %s", count, total/count, unit), tags)
}

func sinkFor(backend backendsink.Backend) *backendsink.Sink {
	sink, err := backendsink.New(backend)
	if err != nil {
		panic(err)
	}
	return sink
}

func Example() {
	sink, err := backendsink.New(new(client))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 1000 {
		buffer.IncrCounter("jobs", 1, metricsbuffer.Tag{Key: "queue", Value: "mail"})
		buffer.IncrTimer("latency", time.Millisecond)
	}
	buffer.Histogram("size", "bytes").Observe(512)
	buffer.SetGauge("depth", 7)
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// jobs 1000 [{queue mail}]
	// latency 1s []
	// size 1 × 512 bytes []
	// depth 7 []
}

// A refused metric and those after it stay pending; those before it do not.
func TestRefusal(t *testing.T) {
	c := &client{refuse: "b"}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sinkFor(c), metricsbuffer.SinkInterval(0)))
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

// A histogram arrives with its unit, its count and its sum.
func TestHistogram(t *testing.T) {
	r := new(recording)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sinkFor(r), metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	size := buffer.Histogram("size", "bytes", metricsbuffer.Tag{Key: "queue", Value: "mail"})
	for v := range int64(4) {
		size.Observe(v)
	}
	require.NoError(t, buffer.Close())
	got, err := r.received()
	require.NoError(t, err)
	require.Equal(t, []metricsbuffer.Point{{
		Kind: metricsbuffer.KindHistogram, Name: "size", Unit: "bytes", Count: 4, Sum: 6,
		Tags: []metricsbuffer.Tag{{Key: "queue", Value: "mail"}},
	}}, got)
	require.EqualValues(t, 4, buffer.Stats().Sinks[0].Acknowledged.Observations)
}

// A metric that the backend never takes is dropped and counted; the others are delivered.
// A client may divide by the number of observations.
func TestNoObservations(t *testing.T) {
	batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{
		{Kind: metricsbuffer.KindHistogram, Name: "size"}, {Kind: metricsbuffer.KindTimer, Name: "refused"},
	}}
	require.NoError(t, sinkFor(&client{refuse: "refused"}).Write(t.Context(), batch))
	require.Equal(t, 2, batch.Acknowledged())
}

func TestUnsupported(t *testing.T) {
	batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{
		{Kind: metricsbuffer.KindHistogram, Name: "size", Count: 1},
		{Kind: 200, Name: "newer"},
		{Kind: metricsbuffer.KindCounter, Name: "cost", Count: 1, Decimals: 2},
		{Kind: metricsbuffer.KindCounter, Name: "jobs", Count: 1},
	}}
	require.NoError(t, sinkFor(&client{unsupported: "size"}).Write(t.Context(), batch))
	for i := range 3 {
		reason, dropped := batch.Dropped(i)
		require.True(t, dropped)
		require.Equal(t, "the backend does not support it", reason)
	}
	_, dropped := batch.Dropped(3)
	require.False(t, dropped)
	require.Equal(t, 4, batch.Acknowledged())
}

func TestNew(t *testing.T) {
	_, err := backendsink.New(nil)
	require.EqualError(t, err, "backendsink: New: the backend is nil; give it your implementation of Backend")
	_, err = backendsink.New((*client)(nil))
	require.ErrorContains(t, err, "the backend is a nil *backendsink_test.client")
	_, err = backendsink.New(new(client), nil)
	require.EqualError(t, err, "backendsink: New: option 1 of 1 is nil; leave it out")
	require.Equal(t, "backend *backendsink_test.client", sinkFor(new(client)).String())
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errRefused)
	batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{{Name: "jobs", Count: 1}}}
	require.ErrorIs(t, sinkFor(new(client)).Write(ctx, batch), errRefused)
	require.Zero(t, batch.Acknowledged())
}
