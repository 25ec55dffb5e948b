package metricsbuffer

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
	"weak"

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
// A Buffer may be a scope of another one: see [Buffer.With].
//
// Close it before the program exits. Otherwise updates since the last delivery are lost.
//
// A buffer that becomes unreachable without having been closed is closed then: its goroutine ends after a last flush
// has been attempted. Instruments keep their buffer reachable. In a bubble of testing/synctest, close the buffer: the
// garbage collector does its work outside, and must not touch objects of the bubble.
type Buffer struct {
	shards   *shards // nil in a scope
	registry *registry
	timers   *family  // of the registry
	flusher  *flusher // nil without sinks, and in a scope
	scope    *scope   // nil unless it is one
	polls    *polls   // nil in a scope

	cleanup      runtime.Cleanup // closes the flusher of a buffer that nobody closed
	closeTimeout time.Duration
	closing      atomic.Bool
	closed       chan struct{} // closed when closeErr is set
	closeErr     error
}

// New returns a buffer. It delivers to each sink ([WithSink]) at the interval of that sink, until it is closed. Without
// any sink it only counts, and has no goroutine.
//
// If options are wrong, or if a sink refuses to be attached ([Attacher]), New returns an error that names all of the
// wrong options, or that sink. It has closed no sink then: they are still the caller's.
func New(opts ...Option) (*Buffer, error) {
	c, err := configure(opts)
	if err != nil {
		return nil, err
	}
	b := &Buffer{
		shards: new(shards), registry: newRegistry(c.maxSeries, len(c.sinks) > 0, c.idleExpiry > 0),
		polls: &polls{onError: c.onError}, closeTimeout: c.closeTimeout, closed: make(chan struct{}),
	}
	b.timers = &b.registry.families[KindTimer]
	b.registry.constant = c.tags
	if len(c.sinks) > 0 {
		b.flusher = newFlusher(b.shards, b.registry, c)
		b.flusher.polls = weak.Make(b.polls)
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

// isNil says whether there is no buffer: only New makes one, and scopes of it.
func (b *Buffer) isNil() bool { return b == nil || b.registry == nil }

// root returns the buffer that New has made, or nil.
func (b *Buffer) root() *Buffer {
	switch {
	case b.isNil():
		return nil
	case b.scope != nil:
		return b.scope.root
	}
	return b
}

// With returns a scope of the buffer: a Buffer that records in this one, and adds the tags to every series. All ways to
// record work on a scope, and [Vec] and [Local], too. Its Flush, Close and Stats are those of the whole buffer. A scope
// of a scope adds the tags of both.
//
// If a key is given in several places, only one of them counts: the call, or else the innermost scope that has it, or
// else [WithTags]. Tags with the same key that are given in one place are all taken. An overflow series
// ([WithMaxSeries]) has no tags of scopes.
//
// Make a scope once, and keep it. A call by name on a scope allocates nothing if the call and the scope have up to 16
// tags together, and the whole name has up to 128 bytes. A scope keeps its buffer reachable. A scope of a nil buffer is
// nil.
func (b *Buffer) With(tags ...Tag) *Buffer { return b.within("", tags) }

// WithPrefix returns a scope of the buffer that puts the prefix before every name. It is like [Buffer.With] otherwise.
// The prefix of an outer scope stands before that of an inner one. Nothing is put between prefix and name:
//
//	buffer.WithPrefix("http.").Counter("requests") // http.requests
func (b *Buffer) WithPrefix(prefix string) *Buffer { return b.within(prefix, nil) }

func (b *Buffer) within(prefix string, tags []Tag) *Buffer {
	root := b.root()
	if root == nil {
		return nil
	}
	prefix, tags = b.scope.join(prefix, tags)
	return &Buffer{
		registry: root.registry, timers: root.timers, scope: &scope{root, prefix, tags},
	}
}

// Resolve tells under which name and tags a series of b is delivered: the name with the prefixes of scopes, and the
// given tags with those of scopes and of [WithTags]. It also returns the buffer that b is a scope of, or b itself. It
// is for code that looks for a series in a batch. The tags are sorted, and must not be changed. A nil buffer has no
// series: the buffer that is returned is nil.
func (b *Buffer) Resolve(name string, tags ...Tag) (*Buffer, string, []Tag) {
	root := b.root()
	if root == nil {
		return nil, name, tags
	}
	full, all := b.scope.join(name, tags)
	slices.SortFunc(all, compareTags)
	return root, full, root.registry.delivered(all)
}

// Describe sets a help text and a unit for all series with that name, whether they exist already or not. Sinks get both
// with each [Point]. Backends that know descriptions are told: Prometheus, OpenMetrics and OpenTelemetry. The unit is
// for counters and gauges; timers and histograms have one already. Either may be empty.
//
// A later description of the name replaces an earlier one. Bytes that are not UTF-8 are replaced by U+FFFD. If the
// description is new, the next batch has all series of the name that have a value, also those without updates, so that
// each sink learns of it. Describe looks at all series for that. It waits for the flusher, but not for any sink.
//
// A buffer has descriptions of as many names as it may have series ([WithMaxSeries]), and keeps them for ever.
// Descriptions of further names are ignored, and counted in [Stats].
func (b *Buffer) Describe(name, help, unit string) {
	root := b.root()
	if root == nil {
		return
	}
	full, _ := b.scope.join(name, nil)
	if root.registry.describe(full, help, unit) && root.flusher != nil {
		root.flusher.do(context.Background(), func() { root.flusher.announce(full) })
	}
	runtime.KeepAlive(b)
}

// Counter returns the counter with that name and these tags, in any order. Use it to record the same series often, as
// the series is looked up only here. The name and the tags are copied, as in all other methods.
func (b *Buffer) Counter(name string, tags ...Tag) *Counter {
	root, s := b.hold(KindCounter, "", name, tags)
	if root == nil {
		return nil
	}
	return newCounter(root, s)
}

// FractionCounter returns the counter of fractions with that name and these tags, in any order, that counts in steps of
// 10^-decimals: 2 for cents, 6 for a millionth of a second. A number of decimals outside of 0 to 18 becomes the nearest
// one inside. The same name with other decimals is another series, so use the same everywhere. With 0 decimals it is
// the series of [Buffer.Counter]. There is no method that records a fraction by name: keep the instrument, or a [Vec].
func (b *Buffer) FractionCounter(name string, decimals int, tags ...Tag) *FractionCounter {
	root := b.root()
	if root == nil {
		return nil
	}
	name, tags = b.scope.join(name, tags)
	return newFractionCounter(root, root.registry.hold(root.registry.fractions(decimals), name, tags))
}

// Timer returns the timer with that name and these tags, in any order.
func (b *Buffer) Timer(name string, tags ...Tag) *Timer {
	root, s := b.hold(KindTimer, "", name, tags)
	if root == nil {
		return nil
	}
	return newTimer(root, s)
}

// Histogram returns the histogram with that name and these tags, in any order, of values in the given unit, such as
// "bytes". The same name in another unit is another series. A buffer knows 256 units; histograms of any further unit
// get the unit "other".
func (b *Buffer) Histogram(name, unit string, tags ...Tag) *Histogram {
	root, s := b.hold(KindHistogram, unit, name, tags)
	if root == nil {
		return nil
	}
	return newHistogram(root, s)
}

// Gauge returns the gauge with that name and these tags, in any order.
func (b *Buffer) Gauge(name string, tags ...Tag) *Gauge {
	root, s := b.hold(KindGauge, "", name, tags)
	if root == nil {
		return nil
	}
	return newGauge(root, s)
}

// hold holds a series for an instrument, and returns the buffer that New has made, or nil.
func (b *Buffer) hold(kind Kind, unit, name string, tags []Tag) (*Buffer, *series) {
	if b.isNil() {
		return nil, nil
	}
	root := b
	if b.scope != nil {
		root = b.scope.root
		name, tags = b.scope.join(name, tags)
	}
	return root, root.registry.hold(root.registry.family(kind, unit), name, tags)
}

// IncrCounter adds delta to the counter with that name and these tags, in any order. It does not keep tags: the caller
// may reuse the slice. A program that records the same series often keeps its [Buffer.Counter] instead.
func (b *Buffer) IncrCounter(name string, delta int64, tags ...Tag) {
	if !b.isNil() {
		b.addNamed(name, delta, tags)
		runtime.KeepAlive(b)
	}
}

// IncrTimer records one observation in the timer with that name and these tags, in any order, as [Timer.Observe] does.
// The caller may reuse the slice.
func (b *Buffer) IncrTimer(name string, d time.Duration, tags ...Tag) {
	if b != nil && b.registry != nil { // written out: isNil would not be inlined here
		b.observeNamed(name, int64(d), tags, b.timers)
		runtime.KeepAlive(b)
	}
}

// ObserveHistogram records a value in the histogram with that name and these tags, in any order, of values in the given
// unit, as [Histogram.Observe] does. The caller may reuse the slice.
func (b *Buffer) ObserveHistogram(name, unit string, v int64, tags ...Tag) {
	if !b.isNil() {
		b.observeNamed(name, v, tags, b.registry.family(KindHistogram, unit))
		runtime.KeepAlive(b)
	}
}

// SetGauge sets the gauge with that name and these tags, in any order, as [Gauge.Set] does. The caller may reuse the
// slice.
func (b *Buffer) SetGauge(name string, v float64, tags ...Tag) {
	if !b.isNil() {
		b.setNamed(name, v, tags)
		runtime.KeepAlive(b)
	}
}

// Local returns a new, empty accumulator for instruments of the buffer and of all its scopes.
func (b *Buffer) Local() *Local {
	root := b.root()
	if root == nil {
		return nil
	}
	return &Local{buffer: root}
}

// Flush delivers all updates that were recorded before the call to every sink, and waits until the sinks have
// acknowledged them. It returns nil if all sinks have. Otherwise it returns one error for each sink that failed, or
// that had not answered when ctx ended. The errors are joined. Each names its sink, and wraps the error of the sink or
// of ctx. If ctx ended before the flush began, there is one error for all. Updates that were not acknowledged stay
// pending for the next flush.
//
// After [Buffer.Close], Flush returns [ErrClosed]. Without sinks it does nothing and returns nil.
//
// Flushes may be concurrent: each sink writes one batch at a time, and one batch may serve several flushes. The end of
// ctx ends the waiting, not the delivery.
func (b *Buffer) Flush(ctx context.Context) error {
	if b = b.root(); b == nil || b.flusher == nil {
		return nil
	}
	defer runtime.KeepAlive(b) // it is not to be closed, as one that nobody can reach, while this waits
	return b.flusher.deliverTo(ctx, b.flusher.sinks, false)
}

// Close flushes one last time, with one more batch for each sink at most. Then it closes the sinks that have a Close
// method, and ends the buffer's goroutine. To try longer, call [Buffer.Flush] until it returns nil, and then Close.
// Close waits at most as long as [WithCloseTimeout] says. It returns its errors as [Buffer.Flush] does, errors of
// closing the sinks included. Closing again waits for the first Close, and returns the same.
//
// Instruments remain valid. Updates that are recorded after Close, or were not acknowledged by then, are counted as
// dropped in [Stats]. A sink that has not returned from Write may still acknowledge its batch.
func (b *Buffer) Close() error {
	if b = b.root(); b == nil || b.flusher == nil {
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
	if b = b.root(); b == nil {
		return stats
	}
	defer func() { stats.PollFailures = b.polls.failures.Load() }()
	switch {
	case b.flusher == nil:
		describe(&stats, b.shards, b.registry)
		stats.Recorded, stats.Bytes = b.shards.peek(), b.shards.bytes()
		stats.Overflowed, stats.Overflows = new(overflows).account(nil, b.registry.overflowed(b.shards.amount), b.registry)
		return stats
	case b.flusher.do(context.Background(), func() { b.flusher.collect(); stats = b.flusher.account(nil) }):
		describe(&stats, b.shards, b.registry)
		return stats
	}
	// The flusher has ended, and nobody flips any more. The shards hold the updates since, and so do the chunks that were
	// taken away by the last collection.
	late := b.shards.peek()
	late.add(b.flusher.dropped.peek())
	stats = b.flusher.account(b.registry.overflowed(func(in storage, slot uint32) int64 {
		return b.shards.amount(in, slot) + b.flusher.dropped.amount(in, slot)
	}))
	stats.Recorded.add(late)
	for i := range stats.Sinks {
		stats.Sinks[i].Dropped.add(late)
	}
	describe(&stats, b.shards, b.registry)
	return stats
}

// Recording by name. The series is looked up first. Whether it is open is looked up inside the section in which it is
// written to. That keeps its slot from being given to another series: see series. If the series is not there, or not
// open, a slow twin holds it while it writes, as an instrument does.

// addNamed adds delta to the counter.
func (b *Buffer) addNamed(name string, delta int64, tags []Tag) {
	if b.scope != nil {
		b.scope.record(&b.registry.families[KindCounter], name, delta, tags)
		return
	}
	known := &b.registry.families[KindCounter].series
	s := known.Hint(name)
	if len(tags) > 0 || s == nil || !s.IsPlain() || !atomicmap.Same(s.Name, name) {
		s = known.Find(name, tags)
	}
	if s != nil {
		table := &b.shards.table
		if id := owner.Pin(); uint(id) < maxShards {
			if shard := table[id].Load(); shard != nil {
				bank := shard.gate.Enter()
				if s.Value.state.Load() >= open {
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
						b.addNamedSlow(name, delta, tags)
					}
					return
				}
				shard.gate.Leave(bank)
			}
		}
		owner.Unpin()
	}
	b.addNamedSlow(name, delta, tags)
}

func (b *Buffer) addNamedSlow(name string, delta int64, tags []Tag) {
	s := b.registry.hold(&b.registry.families[KindCounter], name, tags)
	b.shards.addSlow(s.Value.slot, delta)
	b.registry.release(s)
}

// observeNamed records a value in the timer or histogram.
func (b *Buffer) observeNamed(name string, v int64, tags []Tag, f *family) {
	if b.scope != nil {
		b.scope.record(f, name, v, tags)
		return
	}
	if v <= 0 { // rare
		b.observeNamedSlow(f, name, v, tags)
		return
	}
	if s := f.series.Find(name, tags); s != nil {
		index := bucket.Index(v)
		table := &b.shards.table
		if id := owner.Pin(); uint(id) < maxShards {
			if shard := table[id].Load(); shard != nil {
				bank := shard.gate.Enter()
				if s.Value.state.Load() >= open {
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
						b.observeNamedSlow(f, name, v, tags)
					}
					return
				}
				shard.gate.Leave(bank)
			}
		}
		owner.Unpin()
	}
	b.observeNamedSlow(f, name, v, tags)
}

func (b *Buffer) observeNamedSlow(f *family, name string, v int64, tags []Tag) {
	s := b.registry.hold(f, name, tags)
	b.shards.observe(s.Value.slot, v)
	b.registry.release(s)
}

// setNamed sets the gauge. Its cell is in no bank, but its slot can be given to another all the same.
func (b *Buffer) setNamed(name string, v float64, tags []Tag) {
	if b.scope != nil {
		b.scope.record(&b.registry.families[KindGauge], name, int64(math.Float64bits(v)), tags)
		return
	}
	f := &b.registry.families[KindGauge]
	if s := f.series.Find(name, tags); s != nil {
		in := b.shards.enter()
		set := s.Value.state.Load() >= open
		if set {
			b.registry.gauge(s.Value.slot).set(v)
		}
		b.shards.leave(in)
		if set {
			return
		}
	}
	s := b.registry.hold(f, name, tags)
	b.registry.gauge(s.Value.slot).set(v)
	b.registry.release(s)
}
