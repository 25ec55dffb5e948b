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
// A Local and its instruments belong to one goroutine at a time. Using it from two is a data race like any other, which
// the race detector reports. If it becomes unreachable with updates that were not committed, they are recorded when the
// garbage collector notices. Commit before [Buffer.Close]: later updates are counted as dropped. Make one with
// [Buffer.Local]; a nil *Local does nothing. A Local has no gauges: the value of a gauge is the one that was set last,
// so there is nothing to accumulate.
type Local struct {
	buffer        *Buffer
	latest        *lease // of the counter that Counter was called with last; latestLocal is the result
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
	word   *owner.Word // where it is committed to; valid in that section
	slot   uint32
	buffer *Buffer
	lease  *lease
}

// A LocalTimer is the part of a [Timer] that is private to a [Local]. A nil *LocalTimer does nothing.
type LocalTimer struct{ localDistribution }

// A LocalHistogram is the part of a [Histogram] that is private to a [Local]. A nil *LocalHistogram does nothing.
type LocalHistogram struct{ localDistribution }

type localDistribution struct {
	count, sum, greatest int64
	least                int64 // the distance from the greatest possible value
	buckets              Buckets
	negatives            int64

	cell   *distributionCell // where it is committed to; valid in that section
	narrow bool              // the cell's window has no room for the buckets
	seen   *window           // the cell's when it was found narrow
	wider  *window           // to take its place
	step   int

	slot   uint32
	buffer *Buffer
	lease  *lease
}

// Counter returns the counter's private part, the same at every call. It panics if the counter is another buffer's. It
// is almost free when it is called again with the same counter; a loop that uses several counters may keep the results.
func (l *Local) Counter(c *Counter) *LocalCounter {
	if l != nil && c != nil && l.latest == c.lease { // a program may put another counter where c points to
		return l.latestLocal
	}
	return l.counterSlow(c)
}

func (l *Local) counterSlow(c *Counter) *LocalCounter {
	if l == nil || l.buffer == nil || c == nil || c.lease == nil {
		return nil
	}
	local := l.counterAt.at(c.slot)
	if local == nil || local.buffer != c.lease.buffer {
		l.check(c.lease.buffer)
		local = &LocalCounter{slot: c.slot, buffer: c.lease.buffer, lease: c.lease}
		// Finalizers are on the parts, not on the Local: a part may be used longer than its Local, and a finalizer
		// does not run for objects that refer to each other.
		runtime.SetFinalizer(local, func(local *LocalCounter) { commit(local.buffer, []*LocalCounter{local}, nil) })
		l.counters = append(l.counters, local)
		l.counterAt.put(c.slot, local)
	}
	l.latest, l.latestLocal = c.lease, local
	return local
}

// Timer returns the timer's private part, the same at every call. It panics if the timer is another buffer's.
func (l *Local) Timer(t *Timer) *LocalTimer {
	if l == nil || l.buffer == nil || t == nil || t.lease == nil {
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
	if l == nil || l.buffer == nil || h == nil || h.lease == nil {
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

// maxLocal is how many observations of a series are recorded in one section at most. Then 2,048 sections at the same
// time fit into an [owner.Tally] that was not full before.
const maxLocal = 1 << 20

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
			d.buckets.cover(bucket.Index(v)&^(ownStep-1), ownStep)
			i = uint(bucket.Index(v) - d.buckets.Offset)
		}
		d.buckets.Counts[i]++
		d.sum += v
		d.greatest = max(d.greatest, v)
	}
	d.least = max(d.least, math.MaxInt64-v)
	if d.count++; d.count == maxLocal && d.buffer != nil {
		d.commit()
	}
}

func (d *localDistribution) commit() { commit(d.buffer, nil, []*localDistribution{d}) }

// Commit records all accumulated updates in the buffer. They arrive in one batch, except that a timer or histogram with
// a million observations is committed ahead of the rest. The Local is empty then, and can be used again.
func (l *Local) Commit() {
	if l != nil && l.buffer != nil {
		commit(l.buffer, l.counters, l.distributions)
	}
}

// maxPinned is how many instruments, or ranges of ownStep buckets, are committed in a pinned section, which nothing can
// interrupt. More of them are committed in a section that the flusher alone waits for.
const maxPinned = 64

// commit moves everything into one section, so that all of it is in one batch. First it sees that there is room for
// all of it. Otherwise it leaves, makes room for all that is missing, and begins anew. It returns how often it began.
func commit(b *Buffer, counters []*LocalCounter, distributions []*localDistribution) (attempts int) {
	s := b.shards
	for done := false; !done; attempts++ {
		var in section
		if isLight(counters, distributions) {
			in = s.enter()
		} else {
			in = s.enterUnpinned()
		}
		if done = hasRoom(s, in, counters, distributions); done {
			move(counters, distributions)
		}
		s.leave(in)
		if !done {
			makeRoom(s, counters, distributions)
		}
	}
	for _, d := range distributions {
		if d.negatives != 0 {
			s.negatives.Add(d.negatives)
			d.negatives = 0
		}
	}
	return attempts
}

// isLight says whether a commit may be pinned: it takes time with its instruments and with their buckets.
func isLight(counters []*LocalCounter, distributions []*localDistribution) bool {
	work := len(counters)
	for _, d := range distributions {
		work += 1 + len(d.buckets.Counts)/ownStep
	}
	return work <= maxPinned
}

// hasRoom finds the places of all updates, and says whether there is room at each. It puts the windows in place that
// makeRoom has made. Places are looked up once: the flusher may take a chunk away at any time, and then a second look
// finds another one, or none.
func hasRoom(s *shards, in section, counters []*LocalCounter, distributions []*localDistribution) bool {
	room := true
	for _, c := range counters {
		if c.n != 0 {
			c.word, _ = s.word(in, c.slot)
			room = room && c.word != nil
		}
	}
	for _, d := range distributions {
		if d.count != 0 && !d.fits(s.cell(in, d.slot)) {
			room = false
		}
	}
	return room
}

func makeRoom(s *shards, counters []*LocalCounter, distributions []*localDistribution) {
	for _, c := range counters {
		if c.n != 0 && s.common.counters.at(c.slot/countersPerChunk) == nil {
			s.common.makeCounters(c.slot)
		}
	}
	for _, d := range distributions {
		if d.count == 0 {
			continue
		}
		if s.common.distributions.at(d.slot/distributionsPerChunk) == nil {
			s.common.makeDistributions(d.slot)
		}
		if d.narrow {
			first, n := d.buckets.span()
			d.wider = widen(d.seen, first, n, d.step)
		}
	}
}

// move adds everything at the places that hasRoom has found.
func move(counters []*LocalCounter, distributions []*localDistribution) {
	for _, c := range counters {
		if c.n != 0 {
			c.word.AddShared(c.n)
			c.n, c.word = 0, nil
		}
	}
	for _, d := range distributions {
		if d.count != 0 {
			d.cell.addShared(d)
			d.empty()
		}
	}
}

// fits says whether the cell has room. If it has not, seen and step are for making a wider window.
func (d *localDistribution) fits(cell *distributionCell, step int) bool {
	d.cell, d.narrow = cell, false
	if cell == nil {
		return false
	}
	d.seen, d.step = cell.window.Load(), step
	if d.wider != nil && d.wider.older == d.seen && cell.window.CompareAndSwap(d.seen, d.wider) {
		d.wider = nil // it belongs to this cell now
	}
	d.narrow = !cell.covers(&d.buckets)
	return !d.narrow
}

// empty keeps the range of buckets, which the instrument will need again.
func (d *localDistribution) empty() {
	d.count, d.sum, d.greatest, d.least = 0, 0, 0, 0
	d.buckets.Zeros = 0
	clear(d.buckets.Counts)
	d.cell, d.seen, d.wider = nil, nil, nil
}

// A localIndex finds the parts of a Local by slot.
type localIndex[L any] []*[countersPerChunk]*L

func (x localIndex[L]) at(slot uint32) *L {
	if i := int(slot / countersPerChunk); i < len(x) && x[i] != nil {
		return x[i][slot%countersPerChunk]
	}
	return nil
}

func (x *localIndex[L]) put(slot uint32, l *L) {
	i := int(slot / countersPerChunk)
	for len(*x) <= i {
		*x = append(*x, nil)
	}
	if (*x)[i] == nil {
		(*x)[i] = new([countersPerChunk]*L)
	}
	(*x)[i][slot%countersPerChunk] = l
}
