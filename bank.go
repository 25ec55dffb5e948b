package metricsbuffer

import (
	"math"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// Words are kept in chunks, 1,024 bytes of counters or 512 of distributions, which the allocator aligns to their size:
// chunks of different shards never share a cache line, nor the pair of lines that processors prefetch together. (It
// puts a header only in front of objects of more than 512 bytes that contain pointers.)
const (
	countersPerChunk      = 128
	distributionsPerChunk = 8

	chunksPerPage  = 128
	pagesPerColumn = 256

	// What one storage can hold.
	maxCounters      = pagesPerColumn * chunksPerPage * countersPerChunk      // 4,194,304
	maxDistributions = pagesPerColumn * chunksPerPage * distributionsPerChunk // 262,144
)

// A column finds chunks by their number in two steps. It has a fixed size so that finding needs no bounds check, which
// might fail inside a pinned section, and growing moves nothing.
type column[C any] struct {
	pages [pagesPerColumn]atomic.Pointer[page[C]]
}

type page[C any] [chunksPerPage]atomic.Pointer[C]

// at returns chunk number i, or nil if it was never touched.
func (c *column[C]) at(i uint32) *C {
	if yield.On {
		yield.Read(&c.pages[i/chunksPerPage%pagesPerColumn])
	}
	if p := c.pages[i/chunksPerPage%pagesPerColumn].Load(); p != nil {
		if yield.On {
			yield.Read(&p[i%chunksPerPage])
		}
		return p[i%chunksPerPage].Load()
	}
	return nil
}

// put returns chunk number i, which becomes the given one, on the given page, if there was none.
func (c *column[C]) put(i uint32, p *page[C], chunk *C) *C {
	pages := &c.pages[i/chunksPerPage%pagesPerColumn]
	if yield.On {
		yield.Write(pages)
	}
	pages.CompareAndSwap(nil, p)
	chunks := &pages.Load()[i%chunksPerPage]
	if yield.On {
		yield.Write(chunks)
	}
	chunks.CompareAndSwap(nil, chunk)
	if yield.On {
		yield.Read(chunks)
	}
	return chunks.Load()
}

// each calls f with every chunk and its number, in order.
func (c *column[C]) each(f func(i uint32, chunk *C)) {
	if yield.On {
		yield.ReadAll(c.pages[:])
	}
	for n := range c.pages {
		p := c.pages[n].Load()
		if p == nil {
			continue
		}
		if yield.On {
			yield.ReadAll(p[:])
		}
		for m := range p {
			if chunk := p[m].Load(); chunk != nil {
				f(uint32(n*chunksPerPage+m), chunk)
			}
		}
	}
}

type (
	counterChunk      [countersPerChunk]owner.Word
	distributionChunk [distributionsPerChunk]distributionCell
)

// isEmpty says that nothing was recorded, or nothing that did not cancel out. It looks at eight words at a time, for
// this is what the flusher spends its time on where little is touched.
func (c *counterChunk) isEmpty() bool {
	for i := 0; i < len(c); i += 8 {
		w := c[i:][:8]
		if w[0].Peek()|w[1].Peek()|w[2].Peek()|w[3].Peek()|w[4].Peek()|w[5].Peek()|w[6].Peek()|w[7].Peek() != 0 {
			return false
		}
	}
	return true
}

// A distributionCell is a timer's or a histogram's block in one bank. The zero cell is one without observations: the
// least value is kept as its distance from the greatest possible one, so that both extremes grow from zero.
type distributionCell struct {
	sum      owner.Word
	greatest owner.Word
	least    owner.Word // math.MaxInt64 - least
	zeros    owner.Word // observations of zero, which has no bucket
	window   atomic.Pointer[window]
	_        [24]byte // 64 bytes: a cell is one cache line
}

// A window counts observations in the buckets from first on. Its range is what the series has needed so far. When that
// does not suffice a wider window takes its place, and the older one's counts wait in it, untouched, for the drain.
type window struct {
	first  int
	counts []owner.Tally
	older  *window
}

// isEmpty says that nothing was recorded: a positive observation raises greatest.
func (c *distributionCell) isEmpty() bool { return c.greatest.Peek() == 0 && c.zeros.Peek() == 0 }

// total returns the number of observations.
func (c *distributionCell) total() int64 {
	n := c.zeros.Peek()
	if yield.On {
		yield.Read(&c.window)
	}
	for w := c.window.Load(); w != nil; w = w.older {
		for i := range w.counts {
			n += int64(w.counts[i].Peek())
		}
	}
	return n
}

// reset makes the cell empty, with its widest window. The caller owns it.
func (c *distributionCell) reset() {
	for _, word := range []*owner.Word{&c.sum, &c.greatest, &c.least, &c.zeros} {
		word.Reset()
	}
	if w := c.window.Load(); w != nil {
		if yield.On {
			yield.WriteAll(w.counts)
		}
		clear(w.counts)
		w.older = nil
	}
}

// count adds one to the bucket if the window has room for it.
func (c *distributionCell) count(index int) bool {
	if yield.On {
		yield.Read(&c.window)
	}
	if w := c.window.Load(); w != nil {
		if i := uint(index - w.first); i < uint(len(w.counts)) && !w.counts[i].Full() {
			w.counts[i].Inc()
			return true
		}
	}
	return false
}

// add adds what was counted to the sum and the extremes.
func (c *distributionCell) add(v int64) {
	c.sum.Add(v)
	c.greatest.Raise(v)
	c.least.Raise(math.MaxInt64 - v)
}

// addZero adds an observation of zero.
func (c *distributionCell) addZero() {
	c.zeros.Add(1)
	c.least.Raise(math.MaxInt64)
}

// windowStep is the granularity of a window: two octaves of 4-byte tallies are 128 bytes, and objects of a multiple of
// that share no cache lines, up to sizes that matter.
const windowStep = 2 * bucket.PerOctave

// widen returns an empty window for all that w has room for, and for n buckets from first on.
func widen(w *window, first, n int) *window {
	end := first + n
	if w != nil {
		first, end = min(first, w.first), max(end, w.first+len(w.counts))
	}
	return &window{first: first, counts: make([]owner.Tally, end-first), older: w}
}

// floor returns the start of the step in which index is. Indexes begin at [bucket.Lowest], which is negative.
func floor(index int) int { return index &^ (windowStep - 1) }
