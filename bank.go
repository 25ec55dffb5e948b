package metricsbuffer

import (
	"math"
	"unsafe"

	"github.com/metricsbuffer/metricsbuffer/internal/atomic"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A chunk holds the values of some neighbouring slots, each of them twice: in bank 0 and in bank 1. Writers add to the
// active bank of a gate while the flusher drains the other one. A shard's own chunks are written by the P that owns the
// shard, with plain instructions. Those of the common column are written by every P, with atomic additions.
//
// Slots begin at one chunk's length, so that no slot is in chunk 0, and a zero number means no chunk.
const (
	countersPerChunk      = 128 // in each bank; the first unusedCounters are not counters
	numberWord            = 8   // the word in bank 0 that has the chunk's number
	unusedCounters        = 9   // the first eight are in the bytes of each KiB that are kept for gates: see internal/owner
	distributionsPerChunk = 4   // in each bank; the first unusedDistributions are none
	unusedDistributions   = 1

	chunksPerPage  = 256
	pagesPerColumn = 512

	// Where the slots of each storage end.
	maxCounters      = pagesPerColumn * chunksPerPage * countersPerChunk      // 16,777,216
	maxDistributions = pagesPerColumn * chunksPerPage * distributionsPerChunk // 524,288
)

// A counterChunk is 2 KiB of words, which the allocator aligns to their size. The number stands beside counters: a load
// from the bytes that are kept for gates would wait for a gate's store, even at another place of the same line.
type counterChunk [2 * countersPerChunk]owner.Word

// A distributionChunk is 512 bytes of cells, which the allocator aligns to their size. The first cell of each bank is
// no distribution: it may stand in the bytes that are kept for gates.
type distributionChunk [2 * distributionsPerChunk]distributionCell

func newCounterChunk(number uint32) *counterChunk {
	c := new(counterChunk)
	c[numberWord].Add(int64(number))
	return c
}

func newDistributionChunk(number uint32) *distributionChunk {
	c := new(distributionChunk)
	for i := range c {
		c[i].number = number
	}
	return c
}

func (c *counterChunk) number() uint32 { return uint32(c[numberWord].Peek()) }

func (c *distributionChunk) number() uint32 { return c[len(c)-1].number }

// word returns the counter in a bank.
func (c *counterChunk) word(bank, slot uint32) *owner.Word {
	return &c[(bank*countersPerChunk|slot%countersPerChunk)%uint32(len(c))]
}

// cell returns the distribution in a bank.
func (c *distributionChunk) cell(bank, slot uint32) *distributionCell {
	return &c[(bank*distributionsPerChunk|slot%distributionsPerChunk)%uint32(len(c))]
}

// words returns the counters of a bank, the first of which has the given place in the chunk.
func (c *counterChunk) words(bank uint32) (first int, words []owner.Word) {
	return unusedCounters, c[bank*countersPerChunk+unusedCounters:][:countersPerChunk-unusedCounters]
}

// isEmpty says that nothing was recorded in the bank, or nothing that did not cancel out. It looks at eight words at a
// time: the flusher spends its time on this where little is touched.
func (c *counterChunk) isEmpty(bank uint32) bool {
	_, words := c.words(bank)
	for ; len(words)%8 != 0; words = words[1:] {
		if words[0].Peek() != 0 {
			return false
		}
	}
	for ; len(words) > 0; words = words[8:] {
		w := words[:8]
		if w[0].Peek()|w[1].Peek()|w[2].Peek()|w[3].Peek()|w[4].Peek()|w[5].Peek()|w[6].Peek()|w[7].Peek() != 0 {
			return false
		}
	}
	return true
}

// A distributionCell is a timer's or a histogram's block in one bank: one cache line. The zero cell has no
// observations: the least value is kept as its distance from the greatest possible one, so that both extremes grow from
// zero.
type distributionCell struct {
	sum      owner.Word
	greatest owner.Word
	least    owner.Word // math.MaxInt64 - least
	zeros    owner.Word // observations of zero, which has no bucket
	window   atomic.Pointer[window]
	number   uint32 // of the chunk: writers read it in the line that they write to
	idle     uint32 // the flusher's: how often in a row the cell was empty when its bank was drained
	_        [16]byte
}

// A window counts observations in the buckets from first on. Its range covers all values of the series so far. A wider
// window takes its place when a value is outside; the counts of the older one stay there for the drain.
type window struct {
	first  int
	counts []owner.Tally
	older  *window
}

const (
	// ownStep is the granularity of a window that one P writes to: two octaves of 4-byte tallies are 128 bytes, the pair
	// of cache lines that processors fetch together.
	ownStep = 2 * bucket.PerOctave

	// commonStep is the granularity of a window that all Ps write to.
	commonStep = bucket.PerOctave

	// wide is as many buckets as few series have.
	wide = 16 * bucket.PerOctave
)

// widen returns an empty window that covers all that w does, and n buckets from first on, in whole steps. Indexes begin
// at [bucket.Lowest], which is negative. A window that takes the place of a wide one is twice as wide. So all windows of
// a bank take at most four times the memory of the widest, however the values come.
func widen(w *window, first, n, step int) *window {
	end := (first + n + step - 1) &^ (step - 1)
	first &^= step - 1
	if w == nil {
		return &window{first: first, counts: owner.NewTallies(end - first)}
	}
	down := first < w.first
	first, end = min(first, w.first), max(end, w.first+len(w.counts))
	if len(w.counts) >= wide {
		for range 2 { // to the side of the new buckets, and to the other one where there are no more buckets
			if down {
				first = max(min(first, end-2*len(w.counts)), bucket.Lowest&^(step-1))
			} else {
				end = min(max(end, first+2*len(w.counts)), (bucket.Highest+step)&^(step-1))
			}
			down = !down
		}
	}
	return &window{first: first, counts: owner.NewTallies(end - first), older: w}
}

// isEmpty says that nothing was recorded: a positive observation raises greatest.
func (c *distributionCell) isEmpty() bool { return c.greatest.Peek() == 0 && c.zeros.Peek() == 0 }

// count adds one to the bucket, if the window has room for it. Owner only.
func (c *distributionCell) count(index int) bool {
	if w := c.window.Load(); w != nil {
		if i := uint(index - w.first); i < uint(len(w.counts)) && !w.counts[i].Full() {
			w.counts[i].Inc()
			return true
		}
	}
	return false
}

// tally returns the tally of a bucket, or nil if the window has no room for an observation in it.
func (c *distributionCell) tally(index int) *owner.Tally {
	w := c.window.Load()
	if w == nil {
		return nil
	}
	i := uint(index - w.first)
	if i >= uint(len(w.counts)) || w.counts[i].Full() {
		return nil
	}
	return &w.counts[i]
}

// hasRoom says whether the window has room for an observation in the bucket.
func (c *distributionCell) hasRoom(index int) bool { return c.tally(index) != nil }

// add adds a counted observation to the sum and the extremes. Owner only.
func (c *distributionCell) add(v int64) {
	c.sum.Add(v)
	c.greatest.Raise(v)
	c.least.Raise(math.MaxInt64 - v)
}

// observeShared records a positive observation in a cell that has no owner, if the window has room for it.
func (c *distributionCell) observeShared(v int64, index int) bool {
	w := c.window.Load()
	if w == nil {
		return false
	}
	i := uint(index - w.first)
	if i >= uint(len(w.counts)) || w.counts[i].Full() {
		return false
	}
	w.counts[i].AddShared(1)
	c.sum.AddShared(v)
	c.greatest.RaiseShared(v)
	c.least.RaiseShared(math.MaxInt64 - v)
	return true
}

// make records an observation that the cell was found to have room for. The window may be another one by now, which
// covers all that the one before did; and a tally that is full has as much room again (internal/owner).
func (c *distributionCell) make(v int64, index int, own bool) {
	if v <= 0 {
		c.zeroShared()
		return
	}
	w := c.window.Load()
	tally := &w.counts[index-w.first]
	if own {
		tally.Inc()
		c.add(v)
		return
	}
	tally.AddShared(1)
	c.sum.AddShared(v)
	c.greatest.RaiseShared(v)
	c.least.RaiseShared(math.MaxInt64 - v)
}

// addManyShared records n observations that the cell was found to have room for: see make.
func (c *distributionCell) addManyShared(v int64, index int, n int64) {
	if v == 0 {
		c.zeros.AddShared(n)
	} else {
		w := c.window.Load()
		w.counts[index-w.first].AddShared(uint32(n))
		c.sum.AddShared(v * n)
		c.greatest.RaiseShared(v)
	}
	c.least.RaiseShared(math.MaxInt64 - v)
}

// zeroShared records an observation of zero in a cell that has no owner.
func (c *distributionCell) zeroShared() {
	c.zeros.AddShared(1)
	c.least.RaiseShared(math.MaxInt64)
}

// covers says whether the cell has room for all counts.
func (c *distributionCell) covers(b *Buckets) bool {
	w := c.window.Load()
	for i, n := range b.Counts {
		if n == 0 {
			continue
		}
		if w == nil {
			return false
		}
		if at := uint(b.Offset + i - w.first); at >= uint(len(w.counts)) || w.counts[at].Full() {
			return false
		}
	}
	return true
}

// addShared adds all counts; covers has found room for them.
func (c *distributionCell) addShared(d *localDistribution) {
	w := c.window.Load()
	for i, n := range d.buckets.Counts {
		if n != 0 {
			w.counts[d.buckets.Offset+i-w.first].AddShared(uint32(n))
		}
	}
	if d.buckets.Zeros != 0 {
		c.zeros.AddShared(int64(d.buckets.Zeros))
	}
	c.sum.AddShared(d.sum)
	c.greatest.RaiseShared(d.greatest)
	c.least.RaiseShared(d.least)
}

// total returns the number of observations.
func (c *distributionCell) total() int64 {
	n := c.zeros.Peek()
	for w := c.window.Load(); w != nil; w = w.older {
		for i := range w.counts {
			n += int64(w.counts[i].Peek())
		}
	}
	return n
}

// reset makes the cell empty, and keeps its widest window. The caller owns the cell.
func (c *distributionCell) reset() {
	c.sum.Reset()
	c.greatest.Reset()
	c.least.Reset()
	c.zeros.Reset()
	if w := c.window.Load(); w != nil {
		owner.Clear(w.counts)
		w.older = nil
	}
}

// bytes returns the memory of the cell's windows.
func (c *distributionCell) bytes() (n int64) {
	for w := c.window.Load(); w != nil; w = w.older {
		n += int64(unsafe.Sizeof(*w)) + int64(len(w.counts))*int64(unsafe.Sizeof(w.counts[0]))
	}
	return n
}

// total returns the sum of all counters in both banks.
func (c *counterChunk) total() (sum int64) {
	for bank := range uint32(2) {
		_, words := c.words(bank)
		for i := range words {
			sum += words[i].Peek()
		}
	}
	return sum
}

// total returns the number of observations in both banks.
func (c *distributionChunk) total() (n int64) {
	for i := range c {
		n += c[i].total()
	}
	return n
}

func (c *counterChunk) bytes() int64 { return int64(unsafe.Sizeof(*c)) }

func (c *distributionChunk) bytes() int64 {
	n := int64(unsafe.Sizeof(*c))
	for i := range c {
		n += c[i].bytes()
	}
	return n
}

// A column finds chunks by their number in two steps. It has a fixed size so that finding needs no bounds check, which
// might fail inside a pinned section, and growing moves nothing.
type column[C any] struct {
	pages [pagesPerColumn]atomic.Pointer[page[C]]
}

type page[C any] struct {
	chunks [chunksPerPage]atomic.Pointer[C]
	idle   [chunksPerPage]uint8 // the flusher's: how often in a row the chunk's drained bank was empty
}

// at returns chunk number i, or nil if there is none.
func (c *column[C]) at(i uint32) *C {
	if p := c.pages[i/chunksPerPage%pagesPerColumn].Load(); p != nil {
		return p.chunks[i%chunksPerPage].Load()
	}
	return nil
}

// put makes the given chunk number i, unless there is one.
func (c *column[C]) put(i uint32, chunk *C) {
	at := &c.pages[i/chunksPerPage%pagesPerColumn]
	if at.Load() == nil {
		at.CompareAndSwap(nil, new(page[C]))
	}
	if p := at.Load(); p != nil {
		p.chunks[i%chunksPerPage].CompareAndSwap(nil, chunk)
	}
}

// drain calls drain with every chunk and its number, and drops those that were empty often enough in a row: it calls
// drop with them. A writer that has found such a chunk before may still write to it until the next flip. Flusher only.
func (c *column[C]) drain(drain func(i uint32, chunk *C) (empty bool), drop func(i uint32, chunk *C)) {
	if yield.On {
		yield.ReadAll(c.pages[:])
	}
	for n := range c.pages {
		p := atomic.Peek(&c.pages[n])
		if p == nil {
			continue
		}
		if yield.On {
			yield.ReadAll(p.chunks[:])
		}
		for m := range p.chunks {
			chunk := atomic.Peek(&p.chunks[m])
			if chunk == nil {
				continue
			}
			i := uint32(n*chunksPerPage + m)
			if isIdle(&p.idle[m], drain(i, chunk)) {
				p.chunks[m].Store(nil)
				drop(i, chunk)
			}
		}
	}
}

// each calls f with every chunk and its number.
func (c *column[C]) each(f func(i uint32, chunk *C)) {
	for n := range c.pages {
		if p := c.pages[n].Load(); p != nil {
			for m := range p.chunks {
				if chunk := p.chunks[m].Load(); chunk != nil {
					f(uint32(n*chunksPerPage+m), chunk)
				}
			}
		}
	}
}

// bytes returns the memory of the pages.
func (c *column[C]) bytes() (n int64) {
	for i := range c.pages {
		if p := c.pages[i].Load(); p != nil {
			n += int64(unsafe.Sizeof(*p))
		}
	}
	return n
}

// idleLimit is after how many collections without an update the memory of a chunk is given back.
const idleLimit = 32

// isIdle counts a collection in which a chunk was empty or not, and says that the limit is reached.
func isIdle(count *uint8, empty bool) bool {
	if !empty {
		*count = 0
		return false
	}
	if *count++; *count < idleLimit {
		return false
	}
	*count = 0
	return true
}
