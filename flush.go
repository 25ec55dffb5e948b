package metricsbuffer

import (
	"context"
	"runtime"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// The flusher's half of the protocol in shard.go, and what becomes of the drained values.
//
//	bank ── collect ──▶ pending of sink 1 ── deliver ──▶ Sink.Write ── settle ──▶ acknowledged: gone
//	                    pending of sink 2                                         else: merged into pending
//
// One goroutine, run, owns all of it: series, sinks and everything they point to. Others hand it functions to call. It
// never waits for a sink: each Write has a goroutine of its own, which owns the batch it writes until it hands it back.
//
// Guarantees: what was recorded before a Flush is in the banks when run comes to it, hence in the pending of every sink
// when collect returns. From there it goes with a batch, and comes back with it unless the sink acknowledged it.
//
// Progress: run waits for writers that are inside a shard (shard.go) and for nothing else.

// A flusher moves what was recorded to the sinks. It knows nothing of the Buffer it belongs to, so that the buffer can
// be collected while the flusher runs.
type flusher struct {
	shards   *shards
	registry *registry

	onError  func(error)    // may be nil
	calls    chan func()    // to be run by the owner of all that follows
	returned chan *delivery // from the goroutines that write
	done     chan struct{}  // closed when run has ended; from then on nothing here changes

	sinks     []*outlet
	series    [storages][]*series // by slot
	collected time.Time           // when the last collection began
	drained   []*bank             // the banks of one collection, kept for the next
	recorded  Totals              // collected so far
	expiry    expiry
	overflows overflows
	flips     int64
	self      *selfMetrics // nil if not asked for

	// Deliveries are cut off by stop. From closing on, no delivery begins but the last of each outlet.
	context context.Context
	stop    context.CancelFunc
	closing bool
}

func newFlusher(s *shards, r *registry, c *config) *flusher {
	f := &flusher{
		shards: s, registry: r, sinks: c.sinks, onError: c.onError, expiry: expiry{after: c.idleExpiry},
		self:  newSelfMetrics(s, r, c),
		calls: make(chan func()), returned: make(chan *delivery), done: make(chan struct{}),
	}
	f.context, f.stop = context.WithCancel(context.Background())
	now := time.Now()
	for _, o := range c.sinks {
		o.pending, o.next = &pending{start: now}, &pending{}
		if o.interval > 0 {
			o.due = now.Add(o.interval)
		}
	}
	return f
}

// run is the flusher's goroutine.
func (f *flusher) run() {
	defer close(f.done)
	defer f.stop()
	timer := time.NewTimer(0)
	for {
		f.sleepUntilNext(timer)
		select {
		case call := <-f.calls:
			call()
		case d := <-f.returned:
			f.settle(d)
		case <-timer.C:
			f.tick(time.Now())
		}
		if f.closing && f.closeSinks() {
			return
		}
	}
}

// do has the flusher's goroutine call f, and returns once it has. It returns false if ctx ended before that began, or
// the flusher has ended.
func (f *flusher) do(ctx context.Context, call func()) bool {
	called := make(chan struct{})
	select {
	case f.calls <- func() { call(); close(called) }:
		<-called
		return true
	case <-ctx.Done():
	case <-f.done:
	}
	return false
}

// sleepUntilNext sets the timer to when the next thing is due.
func (f *flusher) sleepUntilNext(timer *time.Timer) {
	var next time.Time
	for _, o := range f.sinks {
		if t := o.wakeAt(f.closing); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if next.IsZero() {
		timer.Stop()
	} else {
		timer.Reset(time.Until(next))
	}
}

// tick delivers to the sinks whose interval is over, and gives up waiting for those whose timeout is.
func (f *flusher) tick(now time.Time) {
	due := false
	for _, o := range f.sinks {
		f.checkTimeout(o, now)
		due = due || o.isDue(now) && !f.closing
	}
	if !due {
		return
	}
	f.collect()
	for _, o := range f.sinks {
		if o.isDue(now) {
			// Intervals that were missed are skipped: what was recorded in them is in this batch.
			o.due = o.due.Add(o.interval * (1 + now.Sub(o.due)/o.interval))
			f.deliver(o)
		}
	}
}

// collect empties all shards into the pending of every sink.
func (f *flusher) collect() {
	if f.self != nil {
		f.self.record(f)
	}
	f.collected = time.Now()
	table := *f.shards.table.Load()
	drained := f.drained[:0]
	for _, s := range table {
		drained = append(drained, s.flip())
	}
	f.drained = drained
	fence.Process()
	for i, s := range table {
		s.await(drained[i])
	}
	f.flips += int64(len(table))
	f.expiry.begin()
	f.adopt()
	for i, s := range table {
		f.drain(drained[i])
		s.spare = drained[i]
	}
	f.drainGauges()
	f.expiry.end(f)
}

// flip makes the spare bank the active one, and returns what was. The caller may read it after a fence and await.
func (s *shard) flip() *bank {
	if s.spare == nil {
		s.spare = new(bank)
	}
	for {
		if yield.On {
			yield.Read(&s.bank)
		}
		old := s.bank.Load()
		if yield.On {
			yield.Write(&s.bank)
		}
		if s.bank.CompareAndSwap(old, s.spare) {
			return old
		}
	}
}

// adopt takes over the series registered since the last time. It comes after the flip: see registry.
func (f *flusher) adopt() {
	fresh := f.registry.fresh.Swap(nil)
	for in := range f.series {
		// Room for all slots there are, and a little more: doubling would cost more memory than the series' counts.
		if slots := int(f.registry.slots[in].Load()); slots > len(f.series[in]) {
			f.series[in] = append(make([]*series, 0, slots+slots/256), f.series[in]...)[:slots+slots/256]
		}
	}
	for a := fresh; a != nil; a = a.older {
		place := &a.series.Value
		in := place.kind.storage()
		if place.state.Load() == gone { // lost the race for its name: see registry.store
			f.registry.giveBack(in, place.slot)
			continue
		}
		f.series[in][place.slot] = a.series
		f.expiry.welcome(in, place.slot)
		if place.spare {
			f.overflows.welcome(in, place.slot)
		}
	}
}

// drain moves what the bank holds to the pending of every sink. The bank is then all zero.
func (f *flusher) drain(b *bank) {
	b.counters.each(func(i uint32, chunk *counterChunk) {
		if chunk.isEmpty() { // as most are, at most times
			return
		}
		sum := int64(0)
		for j := range chunk {
			sum += chunk[j].Peek()
		}
		f.recorded.Increments += sum
		for _, o := range f.sinks {
			o.pending.totals.Increments += sum
			o.pending.addCounters(i, chunk)
		}
		f.expiry.touchAll(i, chunk)
		f.overflows.countAll(i, chunk)
		if yield.On {
			yield.WriteAll(chunk[:])
		}
		clear(chunk[:])
	})
	b.distributions.each(func(i uint32, chunk *distributionChunk) {
		for j := range chunk {
			cell := &chunk[j]
			if cell.isEmpty() {
				continue
			}
			f.expiry.touch(distributions, i*distributionsPerChunk+uint32(j))
			count := cell.total()
			if slot := i*distributionsPerChunk + uint32(j); f.overflows.has(distributions, slot) {
				f.overflows.count(distributions, slot, count)
			}
			f.recorded.Observations += count
			for _, o := range f.sinks {
				o.pending.totals.Observations += count
				at(&o.pending.distributions, i)[j].addCell(cell)
			}
			cell.reset()
		}
	})
}

func (f *flusher) drainGauges() {
	for slot, s := range f.series[gauges] {
		if s != nil && f.registry.gauge(uint32(slot)).take() {
			f.expiry.touch(gauges, uint32(slot))
			for _, o := range f.sinks {
				o.pending.markGauge(uint32(slot))
			}
		}
	}
}

// flush collects, and has the sinks deliver and answer on replies. After the last flush run ends, as soon as no sink
// is being written to.
func (f *flusher) flush(sinks []*outlet, replies chan<- reply, last bool) {
	f.collect()
	for _, o := range sinks {
		f.request(o, replies)
	}
	f.closing = last
}

// closeSinks closes the sinks that have returned from their last Write, and says whether all have.
func (f *flusher) closeSinks() bool {
	all := true
	for _, o := range f.sinks {
		if o.writing != nil {
			all = false
		} else {
			o.close()
		}
	}
	return all
}

// pause waits for something that is nearly always nanoseconds away. If it is not, the operating system has put away
// the thread that is to do it.
func pause(tries int) {
	switch {
	case tries < 1000:
	case tries < 1100:
		runtime.Gosched()
	default:
		time.Sleep(min(time.Duration(tries)*time.Microsecond, time.Millisecond))
	}
}
