package metricsbuffer

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
)

func entry(b *Buffer, kind Kind, name string) *series {
	return b.registry.families[kind].series.Load(atomicmap.HashName(name), name, nil)
}

func TestWriteByNameOpensAnIdleSeries(t *testing.T) {
	write := map[Kind]func(b *Buffer){
		KindCounter: func(b *Buffer) { b.IncrCounter("x", 1) },
		KindTimer:   func(b *Buffer) { b.IncrTimer("x", 1) },
		KindGauge:   func(b *Buffer) { b.SetGauge("x", 1) },
	}
	for kind, write := range write {
		synctest.Test(t, func(t *testing.T) {
			var batches []Batch
			b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(keep(&batches)))
			require.NoError(t, err)
			for range 100 {
				write(b)
				require.NoError(t, b.Flush(t.Context()))
			}
			s := entry(b, kind, "x")
			time.Sleep(2 * time.Second)
			require.NoError(t, b.Flush(t.Context()))
			require.EqualValues(t, idle, s.Value.state.Load(), "the first step: it is still to be found")
			require.Same(t, s, entry(b, kind, "x"))
			write(b)
			require.EqualValues(t, open, s.Value.state.Load(), "who writes to it opens it first")
			require.NoError(t, b.Flush(t.Context()))
			require.Same(t, s, entry(b, kind, "x"))
			time.Sleep(2 * time.Second)
			require.NoError(t, b.Flush(t.Context()))
			require.NoError(t, b.Flush(t.Context()))
			require.EqualValues(t, gone, s.Value.state.Load())
			require.Nil(t, entry(b, kind, "x"))
			require.NoError(t, b.Close())
		})
	}
}

func TestSeriesInUseNowAndThenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithIdleExpiry(10*time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		const names = 2 * countersPerChunk // so that every storage has several chunks
		var first [names][3]*series
		for round := range 20 {
			for i := range names {
				name := fmt.Sprint(i)
				b.IncrCounter(name, 1)
				b.IncrTimer(name, 1)
				b.SetGauge(name, 1)
				now := [3]*series{entry(b, KindCounter, name), entry(b, KindTimer, name), entry(b, KindGauge, name)}
				if round == 0 {
					first[i] = now
				}
				for storage := range now {
					require.Same(t, first[i][storage], now[storage], "storage %d, series %d", storage, i)
				}
			}
			time.Sleep(5 * time.Second)
		}
		require.NoError(t, b.Close())
	})
}

// TestNewSeriesInAnOldSlot is as good as touched, and has nothing of the one that was there before.
func TestNewSeriesInAnOldSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Point
		b, err := New(WithInterval(0), WithIdleExpiry(10*time.Second),
			WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
				got = append([]Point(nil), batch.Points...)
				got[0].Buckets = got[0].Buckets.Clone()
				return nil
			})))
		require.NoError(t, err)
		b.IncrTimer("old", 1)
		b.IncrTimer("old", time.Hour)
		slot := entry(b, KindTimer, "old").Value.slot
		for range 3 {
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(20 * time.Second)
		}
		require.Nil(t, entry(b, KindTimer, "old"))
		s := b.registry.hold(&b.registry.families[KindTimer], "new", nil)
		require.Equal(t, slot, s.Value.slot)
		b.registry.release(s)
		require.NoError(t, b.Flush(t.Context()))
		require.EqualValues(t, open, s.Value.state.Load(), "not idle yet, although nothing was recorded")
		b.IncrTimer("new", 1000)
		require.NoError(t, b.Flush(t.Context()))
		require.Len(t, got, 1)
		p := got[0]
		require.Equal(t, [4]int64{1, 1000, 1000, 1000}, [4]int64{p.Count, p.Sum, p.Min, p.Max})
		for bucket := range p.Buckets.All() {
			require.True(t, bucket.Lower < 1000 && 1000 <= bucket.Upper && bucket.Count == 1, "%v", bucket)
		}
		require.NoError(t, b.Close())
	})
}

func TestExpiredSeriesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithMaxSeries(2), WithIdleExpiry(2*time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		for i := range 20 {
			b.IncrCounter(fmt.Sprint(i), 1)
			time.Sleep(10 * time.Second)
		}
		require.NoError(t, b.Close())
		for _, batch := range batches {
			for _, p := range batch.Points {
				require.Empty(t, p.Tags, "overflow")
			}
		}
	})
}

func TestLostRaceForAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		r, f, hash := b.registry, &b.registry.families[KindCounter], atomicmap.HashName("x")
		s := r.store(f, hash, "x", nil, ordinary)
		used, slots := r.series[ordinary].used.Load(), r.slots[sums].Load()
		require.Same(t, s, r.store(f, hash, "x", nil, ordinary))
		require.Equal(t, used, r.series[ordinary].used.Load())
		require.Equal(t, slots+1, r.slots[sums].Load())
		for range 5 {
			b.IncrCounter("x", 1)
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(800 * time.Millisecond)
		}
		slot, ok := r.takeSlot(sums)
		require.True(t, ok)
		require.Equal(t, slots, slot, "the loser's")
		slot, ok = r.takeSlot(sums)
		require.True(t, ok)
		require.Equal(t, slots+1, slot, "the loser's slot was given back once")
		require.NoError(t, b.Close())
	})
}

// TestLostRaceWithoutAFlusher: nobody else would give the slot back.
func TestLostRaceWithoutAFlusher(t *testing.T) {
	b, err := New()
	require.NoError(t, err)
	r, f, hash := b.registry, &b.registry.families[KindCounter], atomicmap.HashName("x")
	s := r.store(f, hash, "x", nil, ordinary)
	slots := r.slots[sums].Load()
	for range 10 {
		require.Same(t, s, r.store(f, hash, "x", nil, ordinary))
	}
	require.Equal(t, slots+1, r.slots[sums].Load())
}

func TestSeriesBeingRegisteredStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithInterval(0), WithIdleExpiry(time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		r := b.registry
		slot, _ := r.takeSlot(sums)
		s := atomicmap.NewEntry(atomicmap.HashName("x"), "x", []Tag(nil), place{slot: slot})
		r.fresh.Store(&arrival{series: s, older: r.fresh.Load()}) // as store does, which is then put off its core
		for range 5 {
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(time.Second)
		}
		require.EqualValues(t, open, s.Value.state.Load())
		r.families[KindCounter].series.LoadOrStore(s)
		b.IncrCounter("x", 1)
		require.NoError(t, b.Close())
		require.Equal(t, "x", batches[0].Points[0].Name)
	})
}

func TestEveryInstrumentHoldsItsSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []Batch
		b, err := New(WithIdleExpiry(time.Second), WithSink(keep(&batches)))
		require.NoError(t, err)
		c, ti, g, h := b.Counter("c"), b.Timer("t"), b.Gauge("g"), b.Histogram("h", "")
		time.Sleep(time.Minute)
		series, slots := known(b)
		require.Equal(t, [2]int{4, 4}, [2]int{series, slots})
		c.Inc()
		ti.Observe(1)
		g.Set(1)
		h.Observe(1)
		require.NoError(t, b.Close())
		require.Len(t, batches[0].Points, 4)
	})
}

// TestCopyOfAnInstrumentHoldsItsSeries: all copies of an instrument hold its series.
func TestCopyOfAnInstrumentHoldsItsSeries(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithIdleExpiry(time.Millisecond), WithSink(keep(&batches)))
	require.NoError(t, err)
	requests := *b.Counter("requests")
	for range 10 {
		runtime.GC()
		time.Sleep(2 * time.Millisecond)
		require.NoError(t, b.Flush(t.Context()))
	}
	b.IncrCounter("other", 1)
	requests.Add(1000)
	require.NoError(t, b.Close())
	got := make(map[string]int64)
	for _, p := range batches[len(batches)-1].Points {
		got[p.Name] = p.Count
	}
	require.Equal(t, map[string]int64{"requests": 1000, "other": 1}, got)
}
