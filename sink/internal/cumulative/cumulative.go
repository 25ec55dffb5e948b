// Package cumulative adds up the batches of a buffer. It is for sinks whose backend takes totals since a start and asks
// for them: Prometheus, a reader of OpenTelemetry, a page.
//
//	batch ──▶ Add ──▶ totals by series ──▶ All ──▶ scrape
package cumulative

import (
	"errors"
	"iter"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// NegativeDelta is the reason for which a counter's point is dropped if its count is negative. A total never goes down.
const NegativeDelta = "negative counter delta"

// Totals are the running totals of a buffer's series. The owner of D keeps a value of that type with each series. Set
// the exported fields before the first Add. Totals are not safe for concurrent use: their owner guards them.
type Totals[D any] struct {
	// IdleExpiry is the time after which a series without updates is forgotten. Zero keeps all series.
	IdleExpiry time.Duration

	// Signed lets totals of counters go down. Otherwise points with a negative count are dropped.
	Signed bool

	// Admit is called with each new series, before anything is added to it. It may set Detail. A reason that is not
	// empty refuses the series: all its points are dropped for that reason. Add returns the error. Nil admits all.
	Admit func(*Series[D]) (refused string, err error)

	// Release is called with a series that was admitted, when it is forgotten or refused. It may be nil.
	Release func(*Series[D])

	// Redescribe is called with a series that was admitted, when its Help or its Unit has changed. It may be nil.
	Redescribe func(*Series[D])

	series map[string]*Series[D]
	first  *Series[D] // of the latest batch
	key    []byte     // scratch of Add
	swept  time.Time
}

// Add adds a batch and acknowledges it. It drops the points of refused series, and negative counts unless t.Signed. Its
// error joins the errors of Admit; the batch is acknowledged all the same.
func (t *Totals[D]) Add(batch *metricsbuffer.Batch) error {
	var errs []error
	guess := &t.first
	for i := range batch.Points {
		p := &batch.Points[i]
		s := t.find(p, *guess)
		negative := !t.Signed && p.Kind == metricsbuffer.KindCounter && p.Count < 0
		if s == nil && !negative {
			var err error
			if s, err = t.admit(p, batch.Start); err != nil {
				errs = append(errs, err)
			}
		}
		if s != nil {
			s.updated = batch.End
			*guess, guess = s, &s.next
		}
		switch {
		case s != nil && s.refused != "":
			batch.Drop(i, s.refused)
		case negative:
			batch.Drop(i, NegativeDelta)
		default:
			s.add(p, batch.Start)
			t.describe(s, p)
		}
	}
	batch.Acknowledge(len(batch.Points))
	if t.IdleExpiry > 0 && batch.End.Sub(t.swept) >= t.IdleExpiry/2 { // it looks at every series
		t.Expire(batch.End)
	}
	return errors.Join(errs...)
}

// describe takes over the description of a point.
func (t *Totals[D]) describe(s *Series[D], p *metricsbuffer.Point) {
	if s.Help == p.Help && s.Unit == p.Unit {
		return
	}
	s.Help, s.Unit = p.Help, p.Unit
	if t.Redescribe != nil {
		t.Redescribe(s)
	}
}

// find returns the total of the point's series, or nil. A buffer's batches have their series in the same order, mostly.
// So the guess is the series that followed the last time. It saves the map, whose key costs more than the rest of
// [Totals.Add]. If the result is nil, t.key is the point's key.
func (t *Totals[D]) find(p *metricsbuffer.Point, guess *Series[D]) *Series[D] {
	if guess != nil && !guess.forgotten && guess.is(p) {
		return guess
	}
	t.key = AppendKey(t.key[:0], p)
	return t.series[string(t.key)]
}

// admit makes a total for the point's series, whose key is t.key.
func (t *Totals[D]) admit(p *metricsbuffer.Point, start time.Time) (*Series[D], error) {
	s := newSeries[D](p, start)
	if t.series == nil {
		t.series = make(map[string]*Series[D])
	}
	t.series[string(t.key)] = s
	if t.Admit == nil {
		return s, nil
	}
	var err error
	s.refused, err = t.Admit(s)
	return s, err
}

// Refuse ends the total of a series. Its next points are dropped for the reason.
func (t *Totals[D]) Refuse(s *Series[D], reason string) {
	t.release(s)
	s.refused = reason
}

func (t *Totals[D]) release(s *Series[D]) {
	if s.refused == "" && t.Release != nil {
		t.Release(s)
	}
}

// Expire forgets the series that got no update within IdleExpiry before now. A series that comes back begins at zero,
// with a new start.
func (t *Totals[D]) Expire(now time.Time) {
	if t.IdleExpiry <= 0 {
		return
	}
	t.swept = now
	for key, s := range t.series {
		if now.Sub(s.updated) >= t.IdleExpiry {
			delete(t.series, key)
			t.release(s)
			s.forgotten, s.next = true, nil
		}
	}
}

// All yields the totals, in no order. The series belong to t, and change with the next Add. [Totals.Expire] comes first
// in a sink that is asked for its totals: a buffer at rest sends no batch, so Add alone would not end a series.
func (t *Totals[D]) All() iter.Seq[*Series[D]] {
	return func(yield func(*Series[D]) bool) {
		for _, s := range t.series {
			if s.refused == "" && !yield(s) {
				return
			}
		}
	}
}

// Find returns the total of the point's series, or nil if there is none or it is refused.
func (t *Totals[D]) Find(p *metricsbuffer.Point) *Series[D] {
	if s := t.find(p, nil); s != nil && s.refused == "" {
		return s
	}
	return nil
}

// Len returns the number of series, refused ones included.
func (t *Totals[D]) Len() int { return len(t.series) }
