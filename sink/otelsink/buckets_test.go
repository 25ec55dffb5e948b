package otelsink_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/metricsbuffer/metricsbuffer"
)

// The SDK's own exponential histogram, given the same values, exports the same: every bucket, the zeros, count, sum,
// minimum and maximum.
func TestBucketsAreThoseOfTheSDK(t *testing.T) {
	receiver, exporter := startGRPC(t)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	ours := buffer.Histogram("ours", "")

	reference, theirExporter := startGRPC(t)
	provider := sdk.NewMeterProvider(
		sdk.WithReader(sdk.NewPeriodicReader(theirExporter, sdk.WithInterval(time.Hour))),
		sdk.WithView(sdk.NewView(sdk.Instrument{Name: "*"}, sdk.Stream{
			// As many buckets as the values below can need: with fewer the SDK would make them wider.
			Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 1024, MaxScale: metricsbuffer.BucketScale},
		})))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	theirs, err := provider.Meter("theirs").Int64Histogram("theirs")
	require.NoError(t, err)

	var recording sync.WaitGroup
	for w := range uint64(8) {
		recording.Go(func() {
			random := rand.New(rand.NewPCG(w, 0)) // the same every time
			for i := range 20_000 {
				// Of every magnitude that float64, in which the SDK finds a value's bucket, can tell from its neighbours.
				v := random.Int64N(1 << (1 + random.IntN(48)))
				if i%4 == 0 { // and at the bounds that are whole numbers
					v = 1<<random.IntN(48) + random.Int64N(3) - 1
				}
				ours.Observe(v)
				theirs.Record(context.Background(), v)
			}
		})
	}
	recording.Wait()
	require.NoError(t, buffer.Close())
	require.NoError(t, provider.ForceFlush(t.Context()))

	got, want := receiver.total("ours"), reference.total("theirs")
	require.EqualValues(t, 8*20_000, got.count)
	require.Greater(t, len(got.buckets), 600)
	got.start, got.end = want.start, want.end
	got.cumulative = want.cumulative // the SDK's are, as the exporter wants them
	require.Equal(t, want, got)
}
