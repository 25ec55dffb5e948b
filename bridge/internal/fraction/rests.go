package fraction

import (
	"sync"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/seriesid"
)

// Rests has one [Rest] for each series that takes fractions. An instrument of a new series is an instrument of an
// overflow series if the buffer has reached its limit of series ([metricsbuffer.WithMaxSeries]). All instruments of
// that series share its rest, so their fractions add up to wholes. All methods may be called concurrently. The zero
// value has no rests.
//
// The buffer does not forget a series that has a rest, however long it is idle. A polled function may refer to the
// rests: they do not keep a buffer reachable that is dropped.
type Rests struct {
	mu    sync.Mutex
	rests map[seriesid.ID]*kept
}

// A kept is the rest of a series. Its instrument keeps the series, so that no other one gets the ID.
type kept struct {
	Rest
	instrument any
}

// OfCounter returns the rest of the counter's series. It begins at 0.
func (r *Rests) OfCounter(c *metricsbuffer.Counter) *Rest { return r.of(c, false) }

// OfTimer returns the rest of the timer's series. It is rounding: see [Rest.Rounding].
func (r *Rests) OfTimer(t *metricsbuffer.Timer) *Rest { return r.of(t, true) }

// OfHistogram returns the rest of the histogram's series. It is rounding: see [Rest.Rounding].
func (r *Rests) OfHistogram(h *metricsbuffer.Histogram) *Rest { return r.of(h, true) }

func (r *Rests) of(instrument any, rounding bool) *Rest {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := seriesid.Of(instrument)
	k := r.rests[id]
	if k == nil {
		k = &kept{instrument: instrument}
		if rounding {
			k.Rounding()
		}
		if r.rests == nil {
			r.rests = make(map[seriesid.ID]*kept)
		}
		r.rests[id] = k
	}
	return &k.Rest
}
