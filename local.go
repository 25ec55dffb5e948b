package metricsbuffer

import (
	"math"
	"runtime"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// A Local accumulates updates privately, for inner loops in which even a few nanoseconds matter, and for updates that
// must arrive together. Recording in it costs about as much as adding to a variable; nothing reaches the buffer before
// [Local.Commit].
//
// A Local, and what its methods return, belongs to one goroutine at a time. Using it from two is a data race like any
// other, which the race detector reports. If it becomes unreachable with updates that were not committed, they are
// recorded when the garbage collector notices. Commit before [Buffer.Close]: what comes later is counted as dropped.
// Make one with [Buffer.Local]; a nil *Local does nothing.
type Local struct {
	buffer        *Buffer
	latest        *Counter // what Counter was called with, and returned
	latestLocal   *LocalCounter
	counters      []*LocalCounter
	distributions []*localDistribution

	// The same by slot, to find them in a few instructions.
	counterAt   localIndex[LocalCounter]
	timerAt     localIndex[LocalTimer]
	histogramAt localIndex[LocalHistogram]
}

// A LocalCounter is the part of a [Counter] that is private to a [Local]. A nil *LocalCounter does nothing.
type LocalCounter struct {
	n      int64
	slot   uint32
	buffer *Buffer
	lease  *lease
}

// A LocalTimer is the part of a [Timer] that is private to a [Local]. A nil *LocalTimer does nothing.
type LocalTimer struct{ localDistribution }

// A LocalHistogram is the part of a [Histogram] that is private to a [Local]. A nil *LocalHistogram does nothing.
type LocalHistogram struct{ localDistribution }

type localDistribution struct {
	distribution

	negatives int64
	slot      uint32
	buffer    *Buffer
	lease     *lease
}

// Local returns a new, empty accumulator.
func (b *Buffer) Local() *Local {
	if b == nil {
		return nil
	}
	return &Local{buffer: b}
}

// Counter returns the counter's private part, the same at every call. It panics if the counter is another buffer's. It
// costs next to nothing for the counter of the call before; a loop that uses several may keep what is returned.
func (l *Local) Counter(c *Counter) *LocalCounter {
	if l != nil && l.latest == c {
		return l.latestLocal
	}
	return l.counterSlow(c)
}

func (l *Local) counterSlow(c *Counter) *LocalCounter {
	if l == nil || c == nil {
		return nil
	}
	local := l.counterAt.at(c.slot)
	if local == nil || local.buffer != c.lease.buffer {
		l.check(c.lease.buffer)
		local = &LocalCounter{slot: c.slot, buffer: c.lease.buffer, lease: c.lease}
		// Finalizers are on the parts, not on the Local: whoever keeps a part may go on using it, and a Local would be
		// in a cycle with its parts, if they were to keep it.
		runtime.SetFinalizer(local, func(local *LocalCounter) { commit(local.buffer, []*LocalCounter{local}, nil) })
		l.counters = append(l.counters, local)
		l.counterAt.put(c.slot, local)
	}
	l.latest, l.latestLocal = c, local
	return local
}

// Timer returns the timer's private part, the same at every call. It panics if the timer is another buffer's.
func (l *Local) Timer(t *Timer) *LocalTimer {
	if l == nil || t == nil {
		return nil
	}
	if local := l.timerAt.at(t.slot); local != nil && local.buffer == t.lease.buffer {
		return local
	}
	l.check(t.lease.buffer)
	local := &LocalTimer{localDistribution{slot: t.slot, buffer: t.lease.buffer, lease: t.lease}}
	runtime.SetFinalizer(local, func(local *LocalTimer) { local.commit() })
	l.distributions = append(l.distributions, &local.localDistribution)
	l.timerAt.put(t.slot, local)
	return local
}

// Histogram returns the histogram's private part, the same at every call. It panics if the histogram is another
// buffer's.
func (l *Local) Histogram(h *Histogram) *LocalHistogram {
	if l == nil || h == nil {
		return nil
	}
	if local := l.histogramAt.at(h.slot); local != nil && local.buffer == h.lease.buffer {
		return local
	}
	l.check(h.lease.buffer)
	local := &LocalHistogram{localDistribution{slot: h.slot, buffer: h.lease.buffer, lease: h.lease}}
	runtime.SetFinalizer(local, func(local *LocalHistogram) { local.commit() })
	l.distributions = append(l.distributions, &local.localDistribution)
	l.histogramAt.put(h.slot, local)
	return local
}

func (l *Local) check(b *Buffer) {
	if b != l.buffer {
		panic("metricsbuffer: an instrument of one buffer was given to a Local of another: use a Local for each buffer")
	}
}

// Add adds delta.
func (c *LocalCounter) Add(delta int64) {
	if c != nil {
		c.n += delta
	}
}

// Inc adds one.
func (c *LocalCounter) Inc() { c.Add(1) }

// Observe records a duration, as [Timer.Observe] does.
func (t *LocalTimer) Observe(d time.Duration) {
	if t != nil {
		t.observe(int64(d))
	}
}

// Observe records a value, as [Histogram.Observe] does.
func (h *LocalHistogram) Observe(v int64) {
	if h != nil {
		h.observe(v)
	}
}

// maxLocal is how many observations are kept back at most, so that their number always fits a [owner.Tally].
const maxLocal = 1 << 24

func (d *localDistribution) observe(v int64) {
	if v <= 0 {
		if v < 0 {
			d.negatives++
		}
		d.buckets.Zeros++
		v = 0
	} else {
		i := uint(bucket.Index(v) - d.buckets.Offset)
		if i >= uint(len(d.buckets.Counts)) {
			d.buckets.cover(floor(bucket.Index(v)), windowStep)
			i = uint(bucket.Index(v) - d.buckets.Offset)
		}
		d.buckets.Counts[i]++
		d.sum += v
		d.greatest = max(d.greatest, v)
	}
	d.least = max(d.least, math.MaxInt64-v)
	if d.count++; d.count == maxLocal {
		d.commit()
	}
}

func (d *localDistribution) commit() { commit(d.buffer, nil, []*localDistribution{d}) }

// Commit records in the buffer what was accumulated, all of it in one batch. (Only a timer or histogram with 16 million
// observations goes ahead of the rest.) The Local is empty then, and can be used again.
func (l *Local) Commit() {
	if l != nil {
		commit(l.buffer, l.counters, l.distributions)
	}
}

// commit moves everything into one bank, in one section: first it sees that there is room for all of it, and if not it
// leaves, makes room, and begins anew, perhaps in another bank.
func commit(b *Buffer, counters []*LocalCounter, distributions []*localDistribution) {
	for {
		shard, bank := b.shards.enterAny()
		counter, dist := missing(bank, counters, distributions)
		if counter == nil && dist == nil {
			for _, c := range counters {
				if c.n != 0 {
					bank.counters.at(c.slot / countersPerChunk)[c.slot%countersPerChunk].Add(c.n)
					c.n = 0
				}
			}
			for _, d := range distributions {
				if d.count != 0 {
					bank.distributions.at(d.slot / distributionsPerChunk)[d.slot%distributionsPerChunk].addAll(&d.distribution)
					d.empty()
				}
			}
		}
		shard.leave(bank)
		owner.Unpin()
		switch {
		case counter != nil:
			b.shards.addSlow(counter.slot, 0)
		case dist != nil:
			b.shards.cover(dist.slot, dist.buckets.Offset, len(dist.buckets.Counts))
		default:
			for _, d := range distributions {
				if d.negatives != 0 {
					b.shards.negatives.Add(d.negatives)
					d.negatives = 0
				}
			}
			return
		}
	}
}

// missing returns something that the bank has no room for yet, if there is anything.
func missing(
	b *bank, counters []*LocalCounter, distributions []*localDistribution,
) (*LocalCounter, *localDistribution) {
	for _, c := range counters {
		if c.n != 0 && b.counters.at(c.slot/countersPerChunk) == nil {
			return c, nil
		}
	}
	for _, d := range distributions {
		if d.count == 0 {
			continue
		}
		chunk := b.distributions.at(d.slot / distributionsPerChunk)
		if chunk == nil || !chunk[d.slot%distributionsPerChunk].covers(&d.buckets) {
			return nil, d
		}
	}
	return nil, nil
}

// covers says whether the cell has room for all counts.
func (c *distributionCell) covers(b *Buckets) bool {
	if len(b.Counts) == 0 {
		return true // zeros need no window
	}
	w := c.window.Load()
	if w == nil || w.first > b.Offset || w.first+len(w.counts) < b.Offset+len(b.Counts) {
		return false
	}
	for i, n := range b.Counts {
		if n != 0 && w.counts[b.Offset-w.first+i].Full() {
			return false
		}
	}
	return true
}

// addAll adds what covers has found room for.
func (c *distributionCell) addAll(d *distribution) {
	w := c.window.Load()
	for i, n := range d.buckets.Counts {
		if n != 0 {
			w.counts[d.buckets.Offset-w.first+i].Add(uint32(n))
		}
	}
	c.zeros.Add(int64(d.buckets.Zeros))
	c.sum.Add(d.sum)
	c.greatest.Raise(d.greatest)
	c.least.Raise(d.least)
}

// cover makes room for n buckets from first on, in the bank of whatever shard this is.
func (s *shards) cover(slot uint32, first, n int) {
	var wider *window
	for range 2 { // look, and put what is missing in place; the caller sees whether that was the right place
		page, fresh := new(page[distributionChunk]), new(distributionChunk)
		shard, bank := s.enterAny()
		cell := &bank.distributions.put(slot/distributionsPerChunk, page, fresh)[slot%distributionsPerChunk]
		seen := cell.window.Load()
		if wider != nil && wider.older == seen {
			cell.window.CompareAndSwap(seen, wider)
		}
		shard.leave(bank)
		owner.Unpin()
		if n == 0 {
			return
		}
		wider = widen(seen, first, n)
	}
}

// A localIndex finds by slot what is private to a Local.
type localIndex[L any] []*[countersPerChunk]*L

func (x localIndex[L]) at(slot uint32) *L {
	if i := int(slot / countersPerChunk); i < len(x) && x[i] != nil {
		return x[i][slot%countersPerChunk]
	}
	return nil
}

func (x *localIndex[L]) put(slot uint32, l *L) {
	at((*[]*[countersPerChunk]*L)(x), slot/countersPerChunk)[slot%countersPerChunk] = l
}
