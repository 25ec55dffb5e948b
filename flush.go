package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"
	"weak"

	"github.com/metricsbuffer/metricsbuffer/internal/clock"
	"github.com/metricsbuffer/metricsbuffer/internal/exemplar"
	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// The flusher's half of the protocol in shard.go, and the way of the drained values.
//
//	bank ── collect ──▶ pending of sink 1 ── deliver ──▶ Sink.Write ── settle ──▶ acknowledged: gone
//	                    pending of sink 2                                         else: merged into pending
//
// One goroutine, run, owns all of it: series, outlets and everything they point to. Others hand it functions to call,
// and read only fields that do not change. It never waits for a sink: each Write has a goroutine of its own, which owns
// the batch it writes until it hands it back.
//
// Guarantees: an update that was recorded before a Flush is in a bank when run calls flush for it, hence in the pending
// of every sink when collect returns. From there it goes with a batch, and comes back with it unless the sink
// acknowledged or dropped it.
//
// Progress: run waits for writers that are inside a gate (shard.go) and for nothing else.

// A flusher moves the recorded updates to the sinks. It knows nothing of the Buffer it belongs to, so that the buffer
// can be collected while the flusher runs.
type flusher struct {
	shards *shards
	catalog

	calls    chan func()    // for run to call
	returned chan *delivery // from the goroutines that write
	done     chan struct{}  // closed when run has ended; from then on nothing here changes

	// Attached sinks reach the flusher through tap, which is empty when run has ended: a sink that lives on, in a
	// registry of collectors, say, does not keep the memory of a closed buffer.
	tap *atomic.Pointer[flusher]

	polls   weak.Pointer[polls] // the buffer's
	polling bool                // before a batch that is due

	sinks     []*outlet
	arriving  []*series // registered, but not published yet
	set       slotSet   // gauges that have a value
	collected time.Time // just after the latest flip: the end of the batches made from it
	drained   *pending  // from the banks in this collection; empty otherwise
	dropped   dropped
	recorded  Totals // collected so far
	expiry    expiry
	overflows overflows
	flips     int64
	self      *selfMetrics // nil if not asked for

	// Deliveries are cut off by stop. From closing on, no delivery begins but the last of each outlet.
	context context.Context
	stop    context.CancelFunc
	closing bool
}

// A catalog has the series by slot: those that are published, and those whose end is pending. Deliveries have copies of
// it. An entry does not change while anything is pending for its slot.
type catalog struct {
	registry *registry
	series   [storages][]*series
	tags     [storages][][]Tag // of the points; nil if there are no constant tags
}

// grow makes room for all slots there are, and a little more: doubling would cost more memory than the series' counts.
func (c *catalog) grow() {
	for in := range c.series {
		slots := int(c.registry.slots[in].Load())
		if slots <= len(c.series[in]) {
			continue
		}
		size := slots + slots/256
		c.series[in] = append(make([]*series, 0, size), c.series[in]...)[:size]
		if c.registry.constant != nil {
			c.tags[in] = append(make([][]Tag, 0, size), c.tags[in]...)[:size]
		}
	}
}

func (c *catalog) enlist(s *series) {
	storage, slot := s.Value.kind.storage(), s.Value.slot
	c.series[storage][slot] = s
	if c.registry.constant != nil {
		c.tags[storage][slot] = c.registry.delivered(s.Tags())
	}
}

func (c *catalog) delist(storage storage, slot uint32) {
	c.series[storage][slot] = nil
	if c.registry.constant != nil {
		c.tags[storage][slot] = nil
	}
}

// identify makes p a point of the series in the slot, without a value.
func (c *catalog) identify(p *Point, storage storage, slot uint32) {
	s := c.series[storage][slot]
	described := c.registry.descriptionOf(s.Name)
	*p = Point{} // and then each field: a literal would be made on the stack and copied, in halves that wait for it
	p.Name, p.Tags, p.Kind, p.ID, p.Help = s.Name, s.Tags(), s.Value.kind, slot, described.help
	switch p.Kind {
	case KindCounter, KindGauge:
		p.Unit = described.unit
		if s.Value.family >= kinds {
			p.Decimals = c.registry.familyOf(s).decimals
		}
	case KindHistogram:
		p.Unit = c.registry.familyOf(s).unit
	}
	if c.registry.constant != nil {
		p.Tags = c.tags[storage][slot]
	}
}

func newFlusher(s *shards, r *registry, c *config) *flusher {
	f := &flusher{
		shards: s, catalog: catalog{registry: r}, sinks: c.sinks, drained: new(pending), expiry: expiry{after: c.idleExpiry},
		self:  newSelfMetrics(s, r, c),
		calls: make(chan func()), returned: make(chan *delivery), done: make(chan struct{}),
	}
	f.tap = new(atomic.Pointer[flusher])
	f.tap.Store(f)
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
	defer f.tap.Store(nil)
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

// do makes the flusher's goroutine call the function, and returns true after that. It returns false, and the function
// is not called, if ctx ends before its turn comes, or the flusher has ended.
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
		if o.isDue(now) && !f.closing {
			// Intervals that were missed are skipped: their updates are in this batch.
			o.due = o.due.Add(o.interval * (1 + now.Sub(o.due)/o.interval))
			o.ready, due = true, true
		}
	}
	polls := f.polls.Value()
	switch {
	case !due || f.polling:
	case polls.isEmpty():
		f.deliverReady()
	default: // functions may take their time, and must not hold up the flusher
		f.polling = true
		go func() {
			polls.poll(f.context)
			f.do(context.Background(), func() { f.polling = false; f.deliverReady() })
		}()
	}
}

// deliverReady delivers to the sinks whose interval is over.
func (f *flusher) deliverReady() {
	if f.closing { // the last batch has all
		return
	}
	f.collect()
	for _, o := range f.sinks {
		if o.ready {
			o.ready = false
			f.deliver(o)
		}
	}
}

// collect empties all banks into the pending of every sink.
func (f *flusher) collect() {
	clock.Check()
	if f.self != nil {
		f.self.record(f)
	}
	drained := f.flip()
	f.collected = time.Now()
	f.expiry.begin()
	f.adopt()
	f.drainDropped(drained)
	f.drainCommon(drained)
	f.shards.each(func(s *shard) { f.drainShard(s, drained) })
	f.drainExemplars(drained)
	f.drainGauges(drained)
	f.book(f.drained)
	f.share()
	f.expiry.end(f)
}

// flip makes the other bank the active one, at every gate, and returns the bank to be drained, to which nobody writes
// any more. A long commit may be inside the common gate. So all gates are flipped before that one is awaited. A shard
// that is made meanwhile may begin with the old bank. When the common gate has been left it is in the table, and the
// second round flips it.
func (f *flusher) flip() (drained uint32) {
	common := &f.shards.common.gate
	drained = common.Active()
	common.Flip(1 - drained)
	f.flipShards(1 - drained)
	common.Await(drained)
	f.flips += 1 + f.flipShards(1-drained)
	fence.Process()
	f.shards.each(func(s *shard) { s.gate.Await(drained) })
	return drained
}

// flipShards makes a bank the active one at the gate of every shard in the table, and returns their number.
func (f *flusher) flipShards(to uint32) (shards int64) {
	f.shards.each(func(s *shard) {
		s.gate.Flip(to)
		shards++
	})
	return shards
}

// dropped has chunks that no writer can find any more. A writer that found one before may write to it until the next
// flip. So the next collection drains them once more.
type dropped struct {
	counters      []numbered[counterChunk]
	distributions []numbered[distributionChunk]
	total         int64
}

type numbered[C any] struct {
	number uint32
	chunk  *C
}

func (d *dropped) addCounters(number uint32, chunk *counterChunk) {
	d.counters = append(d.counters, numbered[counterChunk]{number, chunk})
	d.total++
}

func (d *dropped) addDistributions(number uint32, chunk *distributionChunk) {
	d.distributions = append(d.distributions, numbered[distributionChunk]{number, chunk})
	d.total++
}

// peek returns the totals in the chunks, which are exact if nobody writes.
func (d *dropped) peek() (t Totals) {
	for _, c := range d.counters {
		t.Increments += c.chunk.total()
	}
	for _, c := range d.distributions {
		t.Observations += c.chunk.total()
	}
	return t
}

// amount returns the amount in a slot, as it counts in Totals. It is exact if nobody writes.
func (d *dropped) amount(storage storage, slot uint32) (n int64) {
	for _, c := range d.counters {
		if storage == sums && c.number == slot/countersPerChunk {
			n += c.chunk.amount(slot)
		}
	}
	for _, c := range d.distributions {
		if storage == distributed && c.number == slot/distributionsPerChunk {
			n += c.chunk.amount(slot)
		}
	}
	return n
}

// adopt takes over the series registered since the last time. It comes after the flip: see registry. A series is
// registered, then published, then written to. So it is adopted at the latest when the drained bank has its updates.
func (f *flusher) adopt() {
	arrived := f.arriving
	for a := f.registry.fresh.Swap(nil); a != nil; a = a.older {
		arrived = append(arrived, a.series)
	}
	f.arriving = nil
	f.grow()
	for _, s := range arrived {
		in, slot := s.Value.kind.storage(), s.Value.slot
		switch {
		case s.Value.state.Load() == gone: // lost the race for its name: see registry.store
			f.registry.giveBack(in, slot)
		case !f.registry.isPublished(s):
			f.arriving = append(f.arriving, s)
		default:
			f.enlist(s)
			f.expiry.welcome(in, slot)
			if s.Value.class != ordinary {
				f.overflows.welcome(in, slot)
			}
			// The last resort exists before a program needs it. A gauge has no value before it is set.
			if s.Value.class != lastResort && in != gauges {
				f.drained.mark(in, slot)
			}
		}
	}
}

func (f *flusher) drainDropped(bank uint32) {
	for _, d := range f.dropped.counters {
		f.drainCounters(d.number, d.chunk, bank)
	}
	for _, d := range f.dropped.distributions {
		f.drainDistributions(d.number, d.chunk, bank)
	}
	clear(f.dropped.counters)
	clear(f.dropped.distributions)
	f.dropped.counters, f.dropped.distributions = f.dropped.counters[:0], f.dropped.distributions[:0]
}

func (f *flusher) drainCommon(bank uint32) {
	f.shards.common.counters.drain(func(i uint32, chunk *counterChunk) bool {
		return f.drainCounters(i, chunk, bank)
	}, f.dropped.addCounters)
	f.shards.common.distributions.drain(func(i uint32, chunk *distributionChunk) bool {
		return f.drainDistributions(i, chunk, bank)
	}, f.dropped.addDistributions)
}

func (f *flusher) drainShard(s *shard, bank uint32) {
	s.counters.drain(func(chunk *counterChunk) bool {
		return f.drainCounters(chunk.number(), chunk, bank)
	}, func(chunk *counterChunk) { f.dropped.addCounters(chunk.number(), chunk) })
	s.distributions.drain(func(chunk *distributionChunk) bool {
		return f.drainDistributions(chunk.number(), chunk, bank)
	}, func(chunk *distributionChunk) { f.dropped.addDistributions(chunk.number(), chunk) })
}

// drainCounters moves the counts in a bank of a chunk to drained, and leaves zeros. It returns true if there were none.
func (f *flusher) drainCounters(number uint32, chunk *counterChunk, bank uint32) (empty bool) {
	if chunk.isEmpty(bank) { // as most are, at most times
		return true
	}
	into := f.drained.counterChunk(number)
	first, words := chunk.words(bank)
	for i := range words {
		into[first+i] += words[i].Peek()
	}
	owner.Clear(words)
	return false
}

// drainDistributions moves the observations in a bank of a chunk to drained, and leaves the bank empty. It returns true
// if there were none. It gives back the window of a cell that was empty often enough in a row.
func (f *flusher) drainDistributions(number uint32, chunk *distributionChunk, bank uint32) (empty bool) {
	empty = true
	for i := uint32(unusedDistributions); i < distributionsPerChunk; i++ {
		cell := chunk.cell(bank, i)
		if !cell.isEmpty() {
			empty, cell.idle = false, 0
			f.drained.distribution(number*distributionsPerChunk + i).addCell(cell)
			cell.reset()
		} else if cell.idle++; cell.idle == idleLimit/2 { // its bank is drained every other time
			cell.window.Store(nil)
		}
	}
	return empty
}

// drainExemplars moves the exemplars in a bank to drained, which has their observations. So a slot without observations
// has no exemplars either. It gives back the memory of a series that had none often enough in a row: an exemplar that a
// writer puts there meanwhile is lost.
func (f *flusher) drainExemplars(bank uint32) {
	f.shards.eachExemplars(func(slot uint32, at *atomic.Pointer[exemplar.Cells[traced]]) {
		cells := at.Load()
		found := cells.Take(bank, func(e *traced) { f.drained.distribution(slot).keep(e) })
		if isIdle(&cells.Idle, !found) {
			at.Store(nil)
		}
	})
}

func (f *flusher) drainGauges(drained uint32) {
	for slot, s := range f.series[gauges] {
		if s != nil && f.registry.gauge(uint32(slot)).take(drained) {
			f.drained.mark(gauges, uint32(slot))
			f.set.add(uint32(slot))
		}
	}
}

// book enters everything that was drained into the accounts.
func (f *flusher) book(drained *pending) {
	for storage, slot := range drained.all() {
		n := drained.amount(storage, slot)
		drained.totals.count(storage, n)
		f.expiry.touch(storage, slot)
		if f.overflows.has(storage, slot) {
			f.overflows.count(storage, slot, n)
		}
	}
	f.recorded.add(drained.totals)
}

// share gives the drained values to every sink. The last sink takes them as they are, if nothing else is pending for
// it.
func (f *flusher) share() {
	for i, o := range f.sinks {
		if i == len(f.sinks)-1 && o.pending.isEmpty() {
			f.drained.start = o.pending.start
			f.drained, o.pending = o.pending, f.drained
		} else {
			o.pending.absorb(f.drained)
		}
	}
	f.drained.reset(time.Time{})
}

// flush collects, and has the sinks deliver and answer on replies. If it is the last flush, run ends as soon as all
// sinks have returned from their last Write.
func (f *flusher) flush(sinks []*outlet, replies chan<- reply, last bool) {
	f.collect()
	for _, o := range sinks {
		f.request(o, replies, last)
	}
	f.closing = last
}

// closeSinks closes the sinks that have returned from their last Write, and says whether all sinks have.
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

// isPending says whether any sink has yet to acknowledge updates of the slot.
func (f *flusher) isPending(storage storage, slot uint32) bool {
	return f.anyPending(func(p *pending) bool { return p.has(storage, slot) })
}

// isEndPending says whether any sink has yet to acknowledge that the series in the slot has expired.
func (f *flusher) isEndPending(storage storage, slot uint32) bool {
	return f.anyPending(func(p *pending) bool { return p.ended[storage].has(slot) })
}

// anyPending says whether it is true of anything that a sink has yet to acknowledge.
func (f *flusher) anyPending(is func(*pending) bool) bool {
	for _, o := range f.sinks {
		if is(o.pending) || o.writing != nil && is(o.writing.content) {
			return true
		}
	}
	return false
}

// end tells every sink that the series in the slot has expired.
func (f *flusher) end(storage storage, slot uint32) {
	for _, o := range f.sinks {
		o.pending.ended[storage].add(slot)
	}
}

// forget gives back slots whose series have ended. Their ends were in a batch that is settled. It keeps the slots whose
// end a sink has yet to acknowledge: this one, if its Write failed, or another one.
func (f *flusher) forget(settled *pending) {
	for i := range settled.ended {
		for slot := range settled.ended[i].all() {
			if !f.isEndPending(storage(i), slot) {
				f.vacate(storage(i), slot)
			}
		}
	}
}

// vacate gives a slot back. No writer can reach it any more, and it holds nothing.
func (f *flusher) vacate(storage storage, slot uint32) {
	f.registry.unreserve(storage, f.series[storage][slot].Value.class)
	f.delist(storage, slot)
	f.overflows.forget(storage, slot)
	if storage == gauges {
		f.set.remove(slot)
		f.registry.gauge(slot).bits.Store(0) // a new gauge is zero; banks are zeroed as they are drained
	}
	f.registry.giveBack(storage, slot)
}

// announce has every series with the name delivered, with its description, to every sink. Series that are not collected
// yet are delivered anyway.
func (f *flusher) announce(name string) {
	for storage := range f.series {
		for slot, s := range f.series[storage] {
			if s == nil || s.Name != name || s.Value.state.Load() == gone {
				continue
			}
			if storage == int(gauges) && !f.set.has(uint32(slot)) {
				continue
			}
			for _, o := range f.sinks {
				o.pending.mark(s.Value.kind.storage(), uint32(slot))
			}
		}
	}
}

// account states the updates that the flusher has collected, and those that it still holds.
func (f *flusher) account(late map[*series]int64) Stats {
	stats := f.accountInShort()
	stats.Overflowed, stats.Overflows = f.overflows.account(&f.series, late, f.registry)
	return stats
}

// accountInShort leaves out the names of overflow series. To find those with the most updates takes time with all of
// them, and with self-metrics each collection needs an account.
func (f *flusher) accountInShort() Stats {
	stats := Stats{Recorded: f.recorded, Overflowed: f.overflows.totals, Flips: f.flips, Demotions: f.dropped.total}
	stats.Bytes = f.shards.bytes()
	for _, o := range f.sinks {
		s := o.stats
		s.Name = o.name
		s.Drops = maps.Clone(s.Drops)
		stats.Bytes += o.pending.bytes()
		if o.writing != nil {
			s.Pending.add(o.writing.content.totals)
			s.PendingSeries += o.writing.content.series()
			stats.Bytes += o.writing.content.bytes()
		} else {
			stats.Bytes += o.next.bytes()
		}
		if f.closing && o.writing == nil {
			s.Dropped.add(o.pending.totals)
			s.DroppedSeries = o.pending.series()
		} else {
			s.Pending.add(o.pending.totals)
			for storage, slot := range o.pending.all() {
				if o.writing == nil || !o.writing.content.has(storage, slot) {
					s.PendingSeries++
				}
			}
		}
		stats.Sinks = append(stats.Sinks, s)
	}
	return stats
}

// shutdown closes the flusher, in at most the given time.
func (f *flusher) shutdown(timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout,
		fmt.Errorf("%w after %v: %w", errTimeToClose, timeout, context.DeadlineExceeded))
	defer cancel()
	err := f.deliverTo(ctx, f.sinks, true)
	if err == nil {
		<-f.done // comes at once: no Write is under way
	} else {
		f.stop() // done follows when the last sink returns from Write
		f.do(context.Background(), func() {
			for _, o := range f.sinks {
				answer(o, &o.waiting, errTimeToClose)
			}
		})
	}
	errs := []error{err}
	for _, o := range f.sinks {
		errs = append(errs, o.awaitClosed(ctx))
	}
	return errors.Join(errs...)
}

// attach gives every sink that is an [Attacher] its flush. New calls it when run has begun.
func (f *flusher) attach() error {
	attached := false
	defer func() {
		if !attached { // also if Attach ends the goroutine
			f.abandon()
		}
	}()
	for i, o := range f.sinks {
		attacher, ok := optional[Attacher](o.sink)
		if !ok {
			continue
		}
		tap := f.tap
		err := o.attach(attacher, func(ctx context.Context) error {
			if f := tap.Load(); f != nil {
				return f.deliverTo(ctx, f.sinks[i:i+1], false)
			}
			return ErrClosed
		})
		if err != nil {
			return o.wrap(fmt.Errorf("it refused to be attached: %w", err))
		}
	}
	attached = true
	return nil
}

// abandon ends a flusher whose buffer New does not return, as soon as no sink is being written to. It closes no sink:
// they are the caller's still.
func (f *flusher) abandon() {
	f.stop()
	f.do(context.Background(), func() {
		for _, o := range f.sinks {
			o.closer = nil
		}
		f.closing = true
	})
}
