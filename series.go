package metricsbuffer

import (
	"crypto/rand"
	"slices"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
)

// A series is a name with tags, and the slot that its values have in every bank.
//
// # How an idle series is expired without losing an update
//
// Only by-name writers can meet a series that is about to go; who has an instrument holds it. A series is
//
//	held (1, 2, …): that many instruments refer to it
//	open (0):       it can be written to by name
//	idle (-1):      it can be found, but who wants to write to it opens it first
//	gone (-2):      nobody writes to it ever again
//
// By-name writers look a series up, and at its state, inside the section in which they write (shard.go). The flusher
// makes a series idle that was not touched for long enough, and waits for the next flip. After that flip, whoever saw
// it open has left, and the drained bank has what they wrote. If that is nothing, and no sink has anything pending for
// it, and it still is idle, it is gone: its slot holds nothing anywhere and can be given away. Otherwise it is open
// again. As nothing is pending when it goes, a name that comes back, as a new series, cannot be in one batch twice.
type series = atomicmap.Entry[Tag, place]

type seriesMap = atomicmap.Map[Tag, place]

// A place is where a series' values are.
type place struct {
	slot  uint32 // in the kind's storage
	state atomic.Int32
	kind  Kind
	spare bool // stands in for series that found no place: it is not counted against the limit of series
}

const (
	open = 0
	idle = -1
	gone = -2
)

// A storage is where values of a kind are kept, each with slots of its own. Timers and histograms share one.
type storage uint8

const (
	sums storage = iota
	distributions
	gauges

	storages = iota
)

func (k Kind) storage() storage {
	switch k {
	case KindTimer, KindHistogram:
		return distributions
	case KindGauge:
		return gauges
	}
	return sums
}

// hold keeps the series from being expired, unless it is gone.
func (p *place) hold() bool {
	for {
		state := p.state.Load()
		if state == gone {
			return false
		}
		if p.state.CompareAndSwap(state, max(state, open)+1) {
			return true
		}
	}
}

// A series that finds no place is counted in its name's overflow series, which has this tag alone. Should there be no
// place for that either, overflowName stands in for its name.
var overflowTags = []Tag{{Key: "overflow", Value: "true"}}

const overflowName = "metricsbuffer.overflow"

// unitKey is the key of a tag that histograms have for their unit, which thus belongs to what tells series apart.
// Nobody else can have it, and it is taken off before a sink sees the tags.
var unitKey = "\x00unit " + rand.Text()

// takeUnit returns the unit of a histogram, and its tags without it.
func takeUnit(tags []Tag) (unit string, rest []Tag) {
	for i, t := range tags {
		switch {
		case t.Key != unitKey:
		case i == 0: // the rule: it sorts before all that people use
			return t.Value, tags[1:]
		default:
			return t.Value, slices.Delete(slices.Clone(tags), i, i+1)
		}
	}
	return "", tags
}
