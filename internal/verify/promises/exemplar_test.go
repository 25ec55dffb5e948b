package promises

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// spanOf returns a trace context that tells of which observation it is, in each of its words.
func spanOf(series, v int64) (c metricsbuffer.TraceContext) {
	binary.BigEndian.PutUint64(c.TraceID[:], uint64(v)+1)
	binary.BigEndian.PutUint64(c.TraceID[8:], uint64(series))
	binary.BigEndian.PutUint64(c.SpanID[:], uint64(v)+uint64(series))
	return c
}

// TestExemplars: of each octave, the first observation since the last collection is kept with its span and its time.
func TestExemplars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, recorder := newBuffer(t)
		timer, histogram := b.Timer("t"), b.Histogram("h", "bytes")
		began := time.Now()
		time.Sleep(time.Hour)
		for _, v := range []int64{-5, 0, 1, 2, 3, 4, 5, 1000, 1024, 1025, math.MaxInt64} {
			timer.ObserveExemplar(time.Duration(v), spanOf(1, v))
			histogram.ObserveExemplar(v, spanOf(2, v))
			time.Sleep(time.Nanosecond)
		}
		timer.ObserveExemplar(100, metricsbuffer.TraceContext{SpanID: [8]byte{1}})
		timer.Observe(200)
		require.NoError(t, b.Flush(t.Context()))
		for series, p := range map[int64]metricsbuffer.Point{
			1: recorder.Total(metricsbuffer.KindTimer, "t"), 2: recorder.Total(metricsbuffer.KindHistogram, "h"),
		} {
			require.Equal(t, 15-2*series, p.Count)
			var want []metricsbuffer.Exemplar
			for _, e := range []struct{ recorded, at int64 }{
				{-5, 0}, {2, 3}, {3, 4}, {5, 6}, {1000, 7}, {1025, 9}, {math.MaxInt64, 10},
			} {
				want = append(want, metricsbuffer.Exemplar{
					TraceContext: spanOf(series, e.recorded), Value: max(e.recorded, 0),
					Time: time.Unix(0, began.Add(time.Hour).UnixNano()+e.at),
				})
			}
			require.Equal(t, want, p.Exemplars)
		}
		require.EqualValues(t, 2, b.Stats().Negatives)

		timer.ObserveExemplar(6, spanOf(1, 6))
		require.NoError(t, b.Flush(t.Context()))
		batches := recorder.Batches()
		last := batches[len(batches)-1].Points
		require.Len(t, last, 1)
		require.Len(t, last[0].Exemplars, 1, "those of the batch before are gone")
		require.EqualValues(t, 6, last[0].Exemplars[0].Value)

		timer.Observe(6)
		require.NoError(t, b.Flush(t.Context()))
		batches = recorder.Batches()
		require.Nil(t, batches[len(batches)-1].Points[0].Exemplars)
	})
}

func TestNoExemplars(t *testing.T) {
	span := spanOf(1, 1)
	for _, timer := range []*metricsbuffer.Timer{nil, {}} {
		timer.ObserveExemplar(1, span)
	}
	for _, histogram := range []*metricsbuffer.Histogram{nil, {}} {
		histogram.ObserveExemplar(1, span)
	}
	b, err := metricsbuffer.New() // nobody takes exemplars
	require.NoError(t, err)
	for v := range int64(100) {
		b.Timer("t").ObserveExemplar(time.Duration(v), span)
	}
	require.EqualValues(t, 100, b.Stats().Recorded.Observations)
}

// TestExemplarsStayPending: a sink that fails gets the latest exemplar of each octave with the merged batch. Another
// sink is not affected.
func TestExemplarsStayPending(t *testing.T) {
	first, second := new(sinktest.Recorder), new(sinktest.Recorder)
	broken := true
	failing := metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
		if broken {
			return errors.New("broken")
		}
		return second.Write(ctx, batch)
	})
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(failing),
		metricsbuffer.WithSink(first))
	require.NoError(t, err)
	timer := b.Timer("t")
	const rounds = 100
	for i := range int64(rounds) {
		timer.ObserveExemplar(time.Duration(1025+i), spanOf(1, 1025+i))
		timer.ObserveExemplar(time.Duration(3+i%2), spanOf(1, 3+i%2))
		require.Error(t, b.Flush(t.Context()))
		bytes := b.Stats().Bytes
		require.Less(t, bytes, int64(1<<20))
	}
	broken = false
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Close())
	require.Len(t, first.Batches(), rounds)
	for i, batch := range first.Batches() {
		require.Len(t, batch.Points[0].Exemplars, 2)
		require.EqualValues(t, 1025+i, batch.Points[0].Exemplars[1].Value)
	}
	p := second.Batches()[0].Points[0]
	require.EqualValues(t, 2*rounds, p.Count)
	require.Len(t, p.Exemplars, 2)
	require.EqualValues(t, 4, p.Exemplars[0].Value)
	require.Equal(t, spanOf(1, 1025+rounds-1), p.Exemplars[1].TraceContext)
	require.NoError(t, errors.Join(first.Err(), second.Err()))
}

// TestExemplarsAreTheirObservations: no exemplar is torn, in a batch without its observation, or of another series,
// while several goroutines record, series come and go, and a sink fails.
func TestExemplarsAreTheirObservations(t *testing.T) {
	const writers, each, names = 4, 20_000, 20
	kept := 0
	check := func(batch *metricsbuffer.Batch) {
		for _, p := range batch.Points {
			for _, e := range p.Exemplars {
				kept++
				series := int64(p.Name[0])
				if e.TraceContext != spanOf(series, e.Value) {
					t.Errorf("%s: the exemplar of %d has the span %x", p.Name, e.Value, e.TraceContext)
				}
				if e.Value < p.Min || e.Value > p.Max {
					t.Errorf("%s: the exemplar of %d is not between %d and %d", p.Name, e.Value, p.Min, p.Max)
				}
			}
		}
	}
	recorder := new(sinktest.Recorder)
	checked := metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
		check(batch)
		return recorder.Write(ctx, batch)
	})
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(time.Millisecond),
		metricsbuffer.WithIdleExpiry(time.Millisecond), metricsbuffer.WithSink(sinktest.Failing(checked, sinktest.Every(3))))
	require.NoError(t, err)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				name := string(rune('a' + (i/500+w)%names))
				v := int64(1 + (i*7919+w)%3000)
				b.Timer(name).ObserveExemplar(time.Duration(v), spanOf(int64(name[0]), v))
			}
		})
	}
	writing.Wait()
	for b.Flush(t.Context()) != nil {
	}
	if err := b.Close(); err != nil { // series have ended since, and that batch is one of those that fail
		require.ErrorIs(t, err, sinktest.ErrInjected)
	}
	require.NoError(t, recorder.Err())
	require.Positive(t, kept)
	count := int64(0)
	for _, p := range recorder.Totals() {
		count += p.Count
	}
	require.EqualValues(t, writers*each, count)
}

// TestExemplarsOfTheSeriesBefore: a series that gets the slot of one that has ended has none of its exemplars.
func TestExemplarsOfTheSeriesBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := new(sinktest.Recorder)
		b, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		for i := range int64(10) {
			func() {
				timer := b.Timer("t", tag("i", string(rune('a'+i))))
				timer.ObserveExemplar(time.Duration(1)<<i, spanOf(i, 1<<i))
			}()
			for b.Stats().Series > 0 {
				runtime.GC()
				time.Sleep(time.Minute)
			}
		}
		require.NoError(t, b.Close())
		ids := map[uint32]bool{}
		for _, batch := range recorder.Batches() {
			for _, p := range batch.Points {
				ids[p.ID] = true
				require.Len(t, p.Exemplars, 1)
				i := int64(p.Tags[0].Value[0] - 'a')
				require.Equal(t, spanOf(i, 1<<i), p.Exemplars[0].TraceContext)
			}
		}
		require.Less(t, len(ids), 10, "slots are used again")
	})
}

// TestExemplarsAllocateNothing once their octave was used, and their memory is bounded and given back.
func TestExemplarsAllocateNothing(t *testing.T) {
	b, recorder := newBuffer(t)
	timer := b.Timer("t")
	before := b.Stats().Bytes
	for octave := range 63 {
		timer.ObserveExemplar(1<<octave, spanOf(1, 1<<octave))
	}
	timer.ObserveExemplar(math.MaxInt64, spanOf(1, math.MaxInt64))
	require.NoError(t, b.Flush(t.Context()))
	require.Len(t, recorder.Total(metricsbuffer.KindTimer, "t").Exemplars, 64)
	grown := b.Stats().Bytes - before
	require.Less(t, grown, int64(64<<10))
	n := int64(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		n++
		timer.ObserveExemplar(time.Duration(1)<<(n%60), spanOf(1, n))
	}))
	for range 100 {
		b.Stats()
	}
	require.NoError(t, b.Flush(t.Context()))
	require.Less(t, b.Stats().Bytes-before, grown/2, "idle memory is given back")
	timer.ObserveExemplar(5, spanOf(1, 5))
	require.NoError(t, b.Flush(t.Context()))
	require.Len(t, recorder.Batches()[len(recorder.Batches())-1].Points[0].Exemplars, 1)
}
