package metricsbuffer

import (
	"sync/atomic"

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
