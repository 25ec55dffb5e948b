package metricsbuffer

import (
	"math"
	"sync/atomic"
)

const (
	gaugesPerChunk = 32
	maxGauges      = pagesPerColumn * chunksPerPage * gaugesPerChunk // 1,048,576
)

type gaugeChunk [gaugesPerChunk]gaugeCell

// A gaugeCell is a gauge's value, one for all shards: which of two values set on different Ps came last is a question
// only a shared word can answer. A gauge is set far less often than a counter is increased.
type gaugeCell struct {
	bits  atomic.Uint64 // of the float64
	fresh atomic.Bool   // set since the flusher last looked
}

func (c *gaugeCell) set(v float64) {
	c.bits.Swap(math.Float64bits(v)) // a store would do, but some emulators let the load in touch pass it
	c.touch()
}

func (c *gaugeCell) add(delta float64) {
	for {
		old := c.bits.Load()
		if c.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+delta)) {
			c.touch()
			return
		}
	}
}

// touch comes after the value is stored. If the mark is still there, the flusher has yet to take it and will read the
// value after that; not storing it again keeps the line shared among readers of the mark.
func (c *gaugeCell) touch() {
	if !c.fresh.Load() {
		c.fresh.Store(true)
	}
}

// take says whether the gauge was set since the last call. Flusher only.
func (c *gaugeCell) take() bool { return c.fresh.Load() && c.fresh.Swap(false) }

func (c *gaugeCell) value() float64 { return math.Float64frombits(c.bits.Load()) }
