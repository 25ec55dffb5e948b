package metricsbuffer

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// A drained is a flusher that nobody runs, with one sink that acknowledges all, and n counters in the shards of two Ps.
type drained struct {
	*flusher
	outlet   *outlet
	counters []*Counter
}

func newDrained(tb testing.TB, n int) *drained {
	b, err := New(WithMaxSeries(n))
	require.NoError(tb, err)
	d := &drained{outlet: &outlet{name: "none"}}
	d.flusher = newFlusher(b.shards, b.registry, &config{sinks: []*outlet{d.outlet}})
	for i := range n {
		d.counters = append(d.counters, b.Counter(fmt.Sprint("counter ", i)))
	}
	for id := range 2 {
		b.shards.makeShard(id)
	}
	for range 2 { // both banks
		d.fill(1)
		d.collect()
		d.outlet.pending.reset(time.Time{})
	}
	return d
}

// fill adds to every counter of every shard, as a writer on its P does, without having to get there: to the own chunks
// of shards, or to the common ones.
func (d *drained) fill(delta int64) {
	for _, c := range d.counters {
		number := c.slot / countersPerChunk
		chunk := d.shards.common.counters.at(number)
		if chunk == nil {
			d.shards.common.makeCounters(c.slot)
			chunk = d.shards.common.counters.at(number)
		}
		chunk.word(d.shards.common.gate.Active(), c.slot).Add(delta)
		if number > seatsPerShard {
			continue
		}
		d.shards.each(func(s *shard) {
			seat := s.counters.at(number)
			if seat.Load() == nil {
				seat.Store(newCounterChunk(number))
			}
			bank := s.gate.Enter()
			seat.Load().word(bank, c.slot).Add(delta)
			s.gate.Leave(bank)
		})
	}
}

func TestDrainDoesNotAllocate(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("under the race detector pools forget on purpose")
	}
	d := newDrained(t, 10_000)
	fill := int64(0)
	allocs := testing.AllocsPerRun(10, func() {
		d.fill(fill)
		d.collect()
		d.outlet.pending.reset(time.Time{})
	})
	require.Zero(t, allocs)
	fill = 1
	allocs = testing.AllocsPerRun(10, func() {
		d.fill(fill)
		d.collect()
		d.outlet.pending.reset(time.Time{})
	})
	require.LessOrEqual(t, allocs, 2.0, "the garbage collector may have taken what is kept between two flushes")
}

// TestBatchIsAllocatedOnce: how much a batch takes is known beforehand, and not arrived at by doubling.
func TestBatchIsAllocatedOnce(t *testing.T) {
	if !owner.Exclusive {
		t.Skip("the race detector allocates, too")
	}
	const n = 10_000
	var p pending
	for i := range uint32(n) {
		p.counterChunk(i / countersPerChunk)[i%countersPerChunk] = 1
		d := p.distribution(i)
		d.count = 3
		d.tally(d.cover(10, 20), 3)
	}
	series := [storages][]*series{sums: slices.Repeat([]*series{new(series)}, n)}
	series[distributed] = series[sums]
	var points []Point
	allocs := testing.AllocsPerRun(1, func() { points = new(scratch).fill(&p, series, nil) })
	require.Len(t, points, 2*n)
	require.Equal(t, 3, int(allocs), "points, buckets, counts")
}

// BenchmarkDrain reports nanoseconds per series for collecting a million counters.
func BenchmarkDrain(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n = 1_000_000
	d := newDrained(b, n)
	for _, touched := range []bool{true, false} {
		b.Run(map[bool]string{true: "touched", false: "untouched"}[touched], func(b *testing.B) {
			b.ReportAllocs()
			elapsed := time.Duration(0)
			for range b.N {
				if touched {
					d.fill(1)
				}
				begin := time.Now()
				d.collect()
				elapsed += time.Since(begin)
				d.outlet.pending.reset(time.Time{})
			}
			b.ReportMetric(float64(elapsed.Nanoseconds())/float64(b.N)/n, "ns/series")
		})
	}
}
