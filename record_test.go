package metricsbuffer

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

func TestRecord(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	other, err := New()
	require.NoError(t, err)
	counter, timer, histogram, gauge := b.Counter("c"), b.Timer("t"), b.Histogram("h", "bytes"), b.Gauge("g")
	for range 1000 { // more than it takes to be promoted
		Record(counter.Delta(2), Update{}, timer.Took(time.Second), other.Counter("c").Delta(3), histogram.Size(7),
			gauge.Level(math.Pi), other.Timer("t").Took(1), counter.Delta(1))
	}
	Record(timer.Took(-1), timer.Took(0), histogram.Size(math.MaxInt64/2))
	Record()
	Record((*Counter)(nil).Delta(1), (*Timer)(nil).Took(1), (*Histogram)(nil).Size(1), (*Gauge)(nil).Level(1))
	Record(new(Counter).Delta(1), new(Timer).Took(1), new(Histogram).Size(1), new(Gauge).Level(1))
	require.Equal(t, Totals{3000, 1000}, other.Stats().Recorded)
	require.EqualValues(t, 1, b.Stats().Negatives)
	require.NoError(t, b.Close())
	points := make(map[string]Point)
	for _, p := range batches[0].Points {
		points[p.Name] = p
	}
	require.EqualValues(t, 3000, points["c"].Count)
	require.Equal(t, []int64{1002, 1000 * int64(time.Second), 0, int64(time.Second)},
		[]int64{points["t"].Count, points["t"].Sum, points["t"].Min, points["t"].Max})
	require.Equal(t, []int64{1001, 7000 + math.MaxInt64/2, 7, math.MaxInt64 / 2},
		[]int64{points["h"].Count, points["h"].Sum, points["h"].Min, points["h"].Max})
	require.InDelta(t, math.Pi, points["g"].Value, 0)
}

// TestRecordPromotes: a counter that is used by Record alone becomes the P's own, too.
func TestRecordPromotes(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	counter, timer := b.Counter("c"), b.Timer("t")
	for range 20_000 {
		Record(counter.Delta(1), timer.Took(1))
	}
	require.GreaterOrEqual(t, b.Stats().OwnChunks, 2)
}

func TestRecordDoesNotAllocate(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the race detector allocates, and shards picked by chance take long to see everything")
	}
	b, err := New()
	require.NoError(t, err)
	c, d, timer, gauge := b.Counter("c"), b.Counter("d"), b.Timer("t"), b.Gauge("g")
	record := func() { Record(c.Delta(1), d.Delta(5), timer.Took(time.Millisecond), gauge.Level(1)) }
	for range 20_000 {
		record()
	}
	require.Zero(t, testing.AllocsPerRun(1000, record))
}

// TestStressRecord: updates that are recorded together arrive together, while chunks are promoted, taken away and made
// anew, and while timers need wider windows.
func TestStressRecord(t *testing.T) {
	const many = 2*maxPinned + 3
	var delivered, manyDelivered int64
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
		counts := make(map[string]int64)
		for _, p := range batch.Points {
			counts[p.Name] += p.Count
		}
		if counts["requests"] != counts["errors"] || counts["requests"] != counts["latency"] {
			t.Errorf("torn: %v", counts)
		}
		for i := range many {
			if n := counts[fmt.Sprint("many ", i)]; n != counts["many 0"] {
				t.Errorf("torn: %d and %d", n, counts["many 0"])
			}
		}
		delivered += counts["requests"]
		manyDelivered += counts["many 0"]
		return nil
	})))
	require.NoError(t, err)
	requests, errors, latency := b.Counter("requests"), b.Counter("errors"), b.Timer("latency")
	counters := make([]*Counter, many)
	for i := range counters {
		counters[i] = b.Counter(fmt.Sprint("many ", i))
	}
	var stopped atomic.Bool
	var recorded, manyRecorded atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for n := int64(0); !stopped.Load(); n++ {
				if n%3000 < 1000 { // and then it rests
					Record(requests.Delta(1), latency.Took(time.Duration(n%1_000_000+1)), errors.Delta(1))
					recorded.Add(1)
				} else {
					runtime.Gosched()
				}
				if n%500 == 0 {
					updates := make([]Update, many)
					for i := range updates {
						updates[i] = counters[i].Delta(1)
					}
					Record(updates...)
					manyRecorded.Add(1)
				}
			}
		})
	}
	for end := time.Now().Add(stressTime(t) / 2); time.Now().Before(end); {
		require.NoError(t, b.Flush(t.Context()))
	}
	stopped.Store(true)
	wait.Wait()
	require.NoError(t, b.Flush(t.Context()))
	stats := b.Stats()
	require.NoError(t, b.Close())
	require.Equal(t, recorded.Load(), delivered)
	require.Equal(t, manyRecorded.Load(), manyDelivered)
	t.Logf("%d and %d records, %d flips, %d promotions, %d demotions", delivered, manyDelivered, stats.Flips,
		stats.Promotions, stats.Demotions)
}
