package metricsbuffer

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// ErrClosed says that nothing was flushed, as [Buffer.Close] has been called before.
var ErrClosed = errors.New("metricsbuffer: the buffer is closed")

// A Buffer records updates of counters, timers, histograms and gauges, and delivers them to its sinks. Make one with
// [New]; a nil *Buffer and a zero Buffer are valid and do nothing. All methods may be called concurrently, also while
// it is closed and afterwards.
//
// Close it before the program exits. Otherwise updates since the last delivery are lost.
//
// A buffer that becomes unreachable without having been closed is closed then: its goroutine ends after a last flush
// has been attempted. Instruments keep their buffer reachable.
type Buffer struct {
	shards   *shards
	registry *registry
	timers   *family  // of the registry
	flusher  *flusher // nil without sinks

	cleanup      runtime.Cleanup // closes the flusher of a buffer that nobody closed
	closeTimeout time.Duration
	closing      atomic.Bool
	closed       chan struct{} // closed when closeErr is set
	closeErr     error
}

// New returns a buffer. It delivers to each sink ([WithSink]) at the interval of that sink, until it is closed. Without
// any sink it only counts, and has no goroutine.
func New(opts ...Option) (*Buffer, error) {
	c, err := configure(opts)
	if err != nil {
		return nil, err
	}
	b := &Buffer{
		shards: new(shards), registry: newRegistry(c.maxSeries, len(c.sinks) > 0, c.idleExpiry > 0),
		closeTimeout: c.closeTimeout, closed: make(chan struct{}),
	}
	b.timers = &b.registry.families[KindTimer]
	if len(c.sinks) > 0 {
		b.flusher = newFlusher(b.shards, b.registry, c)
		go b.flusher.run()
		if err := b.flusher.attach(); err != nil {
			return nil, err
		}
		b.cleanup = runtime.AddCleanup(b, func(f *flusher) {
			go func() { _ = f.shutdown(c.closeTimeout) }() // nobody is left to tell; the error handler was told
		}, b.flusher)
	}
	return b, nil
}

// isNil says whether there is no buffer: only New makes one.
func (b *Buffer) isNil() bool { return b == nil || b.shards == nil }

// Counter returns the counter with that name and these tags, in any order. Use it to record the same series often, as
// the series is looked up only here. The name and the tags are copied, as in all other methods.
func (b *Buffer) Counter(name string, tags ...Tag) *Counter {
	if b.isNil() {
		return nil
	}
	return newCounter(b, b.registry.hold(&b.registry.families[KindCounter], name, tags))
}

// FractionCounter returns the counter of fractions with that name and these tags, in any order, that counts in steps of
// 10^-decimals: 2 for cents, 6 for a millionth of a second. A number of decimals outside of 0 to 18 becomes the nearest
// one inside. The same name with other decimals is another series, so use the same everywhere. With 0 decimals it is
// the series of [Buffer.Counter]. There is no method that records a fraction by name: keep the instrument, or a [Vec].
func (b *Buffer) FractionCounter(name string, decimals int, tags ...Tag) *FractionCounter {
	if b.isNil() {
		return nil
	}
	return newFractionCounter(b, b.registry.hold(b.registry.fractions(decimals), name, tags))
}

// Timer returns the timer with that name and these tags, in any order.
func (b *Buffer) Timer(name string, tags ...Tag) *Timer {
	if b.isNil() {
		return nil
	}
	return newTimer(b, b.registry.hold(&b.registry.families[KindTimer], name, tags))
}

// Histogram returns the histogram with that name and these tags, in any order, of values in the given unit, such as
// "bytes". The same name in another unit is another series. A buffer knows 256 units; histograms of any further unit
// get the unit "other".
func (b *Buffer) Histogram(name, unit string, tags ...Tag) *Histogram {
	if b.isNil() {
		return nil
	}
	return newHistogram(b, b.registry.hold(b.registry.family(KindHistogram, unit), name, tags))
}

// Gauge returns the gauge with that name and these tags, in any order.
func (b *Buffer) Gauge(name string, tags ...Tag) *Gauge {
	if b.isNil() {
		return nil
	}
	return newGauge(b, b.registry.hold(&b.registry.families[KindGauge], name, tags))
}

// IncrCounter adds delta to the counter with that name and these tags, in any order. It does not keep tags.
func (b *Buffer) IncrCounter(name string, delta int64, tags ...Tag) {
	if !b.isNil() {
		b.addNamed(name, delta, tags)
		runtime.KeepAlive(b)
	}
}

// IncrTimer records one observation in the timer with that name and these tags, in any order. It does not keep tags.
func (b *Buffer) IncrTimer(name string, d time.Duration, tags ...Tag) {
	if b != nil && b.shards != nil { // written out: isNil would not be inlined here
		b.observeNamed(name, int64(d), tags, b.timers)
		runtime.KeepAlive(b)
	}
}

// ObserveHistogram records a value in the histogram with that name and these tags, in any order, of values in the given
// unit. It does not keep tags.
func (b *Buffer) ObserveHistogram(name, unit string, v int64, tags ...Tag) {
	if !b.isNil() {
		b.observeNamed(name, v, tags, b.registry.family(KindHistogram, unit))
		runtime.KeepAlive(b)
	}
}

// SetGauge sets the gauge with that name and these tags, in any order. It does not keep tags.
func (b *Buffer) SetGauge(name string, v float64, tags ...Tag) {
	if !b.isNil() {
		b.setNamed(name, v, tags)
		runtime.KeepAlive(b)
	}
}

// Local returns a new, empty accumulator.
func (b *Buffer) Local() *Local {
	if b.isNil() {
		return nil
	}
	return &Local{buffer: b}
}

// Flush delivers all updates that were recorded before the call to every sink, and waits until the sinks have
// acknowledged them. It returns nil if all sinks have. Otherwise it returns one error for each sink that failed, or
// that had not answered when ctx ended. The errors are joined, and name the sinks. Updates that were not acknowledged
// stay pending for the next flush.
//
// After [Buffer.Close], Flush returns [ErrClosed]. Without sinks it does nothing and returns nil.
//
// Flushes may be concurrent: each sink writes one batch at a time, and one batch may serve several flushes. The end of
// ctx ends the waiting, not the delivery.
func (b *Buffer) Flush(ctx context.Context) error {
	if b.isNil() || b.flusher == nil {
		return nil
	}
	defer runtime.KeepAlive(b) // it is not to be closed, as one that nobody can reach, while this waits
	return b.flusher.deliverTo(ctx, b.flusher.sinks, false)
}

// Close flushes one last time, writing to each sink once. Then it closes the sinks that have a Close method, and ends
// the buffer's goroutine. To try longer, call [Buffer.Flush] until it returns nil, and then Close. Close waits at most
// as long as [WithCloseTimeout] says. It returns its errors as [Buffer.Flush] does, errors of closing the sinks
// included. Closing again waits for the first Close, and returns the same.
//
// Instruments remain valid. Updates that are recorded after Close, or were not acknowledged by then, are counted as
// dropped in [Stats]. A sink that has not returned from Write may still acknowledge its batch.
func (b *Buffer) Close() error {
	if b.isNil() || b.flusher == nil {
		return nil
	}
	if b.closing.CompareAndSwap(false, true) {
		b.cleanup.Stop()
		b.closeErr = b.flusher.shutdown(b.closeTimeout)
		close(b.closed)
	}
	<-b.closed
	return b.closeErr
}

// Stats returns an account of the buffer. It does not deliver anything, and does not wait for any sink. A nil buffer
// has the zero Stats.
func (b *Buffer) Stats() (stats Stats) {
	switch {
	case b.isNil():
		return stats
	case b.flusher == nil:
		describe(&stats, b.shards, b.registry)
		stats.Recorded, stats.Bytes = b.shards.peek(), b.shards.bytes()
		stats.Overflowed, stats.Overflows = new(overflows).account(nil, b.registry.overflowed(b.shards), b.registry)
		return stats
	case b.flusher.do(context.Background(), func() { b.flusher.collect(); stats = b.flusher.account(nil) }):
		describe(&stats, b.shards, b.registry)
		return stats
	}
	// The flusher has ended, and nobody flips any more. The shards hold the updates since, and so do the chunks that were
	// taken away by the last collection.
	late := b.shards.peek()
	late.add(b.flusher.dropped.peek())
	stats = b.flusher.account(b.registry.overflowed(b.shards))
	stats.Recorded.add(late)
	for i := range stats.Sinks {
		stats.Sinks[i].Dropped.add(late)
	}
	describe(&stats, b.shards, b.registry)
	return stats
}

// Recording by name. The series is looked up inside the section in which it is written to. That keeps its slot from
// being given to another series: see series. If the series is not there, or not open, a slow twin holds it while it
// writes, as an instrument does.

// addNamed adds delta to the counter.
func (b *Buffer) addNamed(name string, delta int64, tags []Tag) {
	hash := atomicmap.HashName(name)
	if len(tags) > 0 {
		hash = atomicmap.WithTags(hash, tags)
	}
	table := &b.shards.table
	if id := owner.Pin(); uint(id) < maxShards {
		if shard := table[id].Load(); shard != nil {
			bank := shard.gate.Enter()
			if s := b.registry.families[KindCounter].series.Load(hash, name, tags); s != nil && s.Value.state.Load() >= open {
				slot := s.Value.slot
				number := slot / countersPerChunk
				chunk := shard.counters.chunks[number%seatsPerShard].Load()
				if chunk != nil {
					if chunk[numberWord].Peek() == int64(number) {
						chunk[uint8(bank*countersPerChunk|slot%countersPerChunk)].Add(delta)
						shard.gate.Leave(bank)
						owner.Unpin()
						return
					}
				}
				if !b.shards.addCommon(shard, bank, slot, delta) {
					b.addNamedSlow(hash, name, delta, tags)
				}
				return
			}
			shard.gate.Leave(bank)
		}
	}
	owner.Unpin()
	b.addNamedSlow(hash, name, delta, tags)
}

func (b *Buffer) addNamedSlow(hash uint64, name string, delta int64, tags []Tag) {
	s := b.registry.holdHashed(&b.registry.families[KindCounter], hash, name, tags)
	b.shards.addSlow(s.Value.slot, delta)
	b.registry.release(s)
}

// observeNamed records a value in the timer or histogram.
func (b *Buffer) observeNamed(name string, v int64, tags []Tag, f *family) {
	hash := atomicmap.HashName(name)
	if len(tags) > 0 {
		hash = atomicmap.WithTags(hash, tags)
	}
	index := bucket.Index(v)
	table := &b.shards.table
	if id := owner.Pin(); uint(id) < maxShards && v > 0 {
		if shard := table[id].Load(); shard != nil {
			bank := shard.gate.Enter()
			if s := f.series.Load(hash, name, tags); s != nil && s.Value.state.Load() >= open {
				slot := s.Value.slot
				number := slot / distributionsPerChunk
				if chunk := shard.distributions.at(number).Load(); chunk != nil && chunk.number() == number {
					if cell := chunk.cell(bank, slot); cell.count(index) {
						cell.add(v)
						shard.gate.Leave(bank)
						owner.Unpin()
						return
					}
				}
				if !b.shards.observeCommon(shard, bank, slot, v, index) {
					b.observeNamedSlow(f, hash, name, v, tags)
				}
				return
			}
			shard.gate.Leave(bank)
		}
	}
	owner.Unpin()
	b.observeNamedSlow(f, hash, name, v, tags)
}

func (b *Buffer) observeNamedSlow(f *family, hash uint64, name string, v int64, tags []Tag) {
	s := b.registry.holdHashed(f, hash, name, tags)
	b.shards.observe(s.Value.slot, v)
	b.registry.release(s)
}

// setNamed sets the gauge. Its cell is in no bank, but its slot can be given to another all the same.
func (b *Buffer) setNamed(name string, v float64, tags []Tag) {
	hash := atomicmap.Hash(name, tags)
	in := b.shards.enter()
	s := b.registry.families[KindGauge].series.Load(hash, name, tags)
	set := s != nil && s.Value.state.Load() >= open
	if set {
		b.registry.gauge(s.Value.slot).set(v)
	}
	b.shards.leave(in)
	if !set {
		s := b.registry.holdHashed(&b.registry.families[KindGauge], hash, name, tags)
		b.registry.gauge(s.Value.slot).set(v)
		b.registry.release(s)
	}
}
