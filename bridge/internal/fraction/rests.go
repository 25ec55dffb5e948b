package fraction

import (
	"sync"

	"github.com/metricsbuffer/metricsbuffer"
)

// Rests has one [Rest] for each series that takes fractions. An instrument of a new series is an instrument of an
// overflow series if the buffer has reached its limit of series ([metricsbuffer.WithMaxSeries]). All instruments of
// that series share its rest, so their fractions add up to wholes. All methods may be called concurrently.
//
// The buffer does not forget a series that has a rest, however long it is idle.
type Rests struct {
	mu sync.Mutex

	// Nothing is recorded in the Local. It has one part for each series, and that tells which instruments share one.
	local *metricsbuffer.Local
	rests map[any]*Rest // by the part
}

// NewRests returns the rests of a buffer's series.
func NewRests(b *metricsbuffer.Buffer) *Rests {
	return &Rests{local: b.Local(), rests: make(map[any]*Rest)}
}

// OfCounter returns the rest of the counter's series. It begins at 0.
func (r *Rests) OfCounter(c *metricsbuffer.Counter) *Rest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(r.local.Counter(c), false)
}

// OfTimer returns the rest of the timer's series. It is rounding: see [Rest.Rounding].
func (r *Rests) OfTimer(t *metricsbuffer.Timer) *Rest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(r.local.Timer(t), true)
}

// OfHistogram returns the rest of the histogram's series. It is rounding: see [Rest.Rounding].
func (r *Rests) OfHistogram(h *metricsbuffer.Histogram) *Rest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(r.local.Histogram(h), true)
}

func (r *Rests) of(part any, rounding bool) *Rest {
	rest := r.rests[part]
	if rest == nil {
		rest = new(Rest)
		if rounding {
			rest.Rounding()
		}
		r.rests[part] = rest
	}
	return rest
}
