// Package cumulative adds up the batches of a buffer. It is for sinks whose backend takes totals since a start and asks
// for them: Prometheus, a reader of OpenTelemetry, a page.
//
//	batch ──▶ Add ──▶ totals by series ──▶ All ──▶ scrape
package cumulative

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/slot"
)

// NegativeDelta is the reason for which a counter's point is dropped if its count is negative. A total never goes down.
const NegativeDelta = "negative counter delta"

// Totals are the running totals of a buffer's series, from the first point of each until the buffer says that it has
// ended. The owner of D keeps a value of that type with each series. Set the exported fields before the first Add.
// Totals are not safe for concurrent use: their owner guards them.
//
// Two points belong to one series if they have the same kind, name, unit and tags. Their ID only finds the series
// faster. So totals are right for points of any origin, such as those without an ID, or those of several buffers.
type Totals[D any] struct {
	// Signed lets totals of counters go down. Otherwise points with a negative count are dropped.
	Signed bool

	// Admit is called with each new series, before anything is added to it. It may set Detail. A reason that is not
	// empty refuses the series: all its points are dropped for that reason. An error says that another series is in the
	// way. Add returns it, and asks again about the series, with its next point, after any admitted one was released. An
	// error with the same text is returned once only, and of maxTold texts: their number must not depend on that of
	// series, so a text has names and no values of tags. Nil admits all.
	Admit func(*Series[D]) (refused string, err error)

	// Release is called with a series that was admitted, when it ends or is refused. It may be nil.
	Release func(*Series[D])

	// Redescribe is called with a series that was admitted, when its Help or its Unit has changed. It may be nil.
	Redescribe func(*Series[D])

	series map[string]*Series[D]
	byID   slot.Table[*Series[D]] // each series is in one cell at most: that of its ID
	key    []byte                 // scratch
	freed  uint64                 // how often something was freed that a refused series may have wanted
	told   map[string]struct{}    // the texts of errors that were returned
}

// maxTold is how many errors about series that are in the way of others are returned. All dropped points are counted.
const maxTold = 100

// Add ends the series that the batch says have ended, adds the batch's points, and acknowledges it. It drops the points
// of refused series, and negative counts unless t.Signed. Its error joins the errors of Admit; the batch is
// acknowledged all the same.
func (t *Totals[D]) Add(batch *metricsbuffer.Batch) error {
	var errs []error
	for i := range batch.Ended {
		t.end(&batch.Ended[i])
	}
	for i := range batch.Points {
		p := &batch.Points[i]
		s := t.find(p)
		negative := !t.Signed && p.Kind == metricsbuffer.KindCounter && p.Count < 0
		var err error
		switch {
		case negative:
		case s == nil:
			s, err = t.admit(p, batch.Start)
		case s.refusal != nil && s.refusal.hindered && s.refusal.freed != t.freed:
			err = t.admitAgain(s, p, batch.Start)
		}
		if err != nil {
			errs = append(errs, err)
		}
		switch {
		case s != nil && s.refusal != nil:
			batch.Drop(i, s.refusal.reason)
		case negative:
			batch.Drop(i, NegativeDelta)
		default:
			s.add(p, batch.Start)
			t.describe(s, p)
		}
	}
	batch.Acknowledge(len(batch.Points))
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

// find returns the total of the point's series, or nil.
func (t *Totals[D]) find(p *metricsbuffer.Point) *Series[D] {
	cell := t.byID.Of(p)
	if cell != nil && *cell != nil && (*cell).is(p) {
		return *cell
	}
	s := t.lookUp(p)
	if s != nil {
		t.place(s, p)
	}
	return s
}

// lookUp returns the total of the point's series by its key, which is in t.key then.
func (t *Totals[D]) lookUp(p *metricsbuffer.Point) *Series[D] {
	t.key = AppendKey(t.key[:0], p)
	return t.series[string(t.key)]
}

// place puts the series into the cell of the point's ID.
func (t *Totals[D]) place(s *Series[D], p *metricsbuffer.Point) {
	if cell := t.byID.Of(&s.Point); cell != nil && *cell == s {
		*cell = nil
	}
	s.ID = p.ID
	if cell := t.byID.Of(p); cell != nil {
		*cell = s
	}
}

// admit makes a total for the point's series, whose key is t.key.
func (t *Totals[D]) admit(p *metricsbuffer.Point, start time.Time) (*Series[D], error) {
	s := newSeries[D](p, start)
	if t.series == nil {
		t.series = make(map[string]*Series[D])
	}
	t.series[string(t.key)] = s
	t.place(s, p)
	return s, t.ask(s)
}

// admitAgain asks whether the hindrance of a refused series is gone. Its total then begins with the batch, and its
// description is that of the point.
func (t *Totals[D]) admitAgain(s *Series[D], p *metricsbuffer.Point, start time.Time) error {
	s.Help, s.Unit = p.Help, p.Unit
	s.begin(start)
	return t.ask(s)
}

// ask calls Admit. It returns the error that Add is to return.
func (t *Totals[D]) ask(s *Series[D]) error {
	if t.Admit == nil {
		return nil
	}
	refused, err := t.Admit(s)
	s.refuse(refused, err != nil, t.freed)
	return t.tell(err)
}

// tell returns the error if it is to be reported: its text is new, and there are not too many. The last one says so.
func (t *Totals[D]) tell(err error) error {
	if err == nil || len(t.told) == maxTold {
		return nil
	}
	text := err.Error()
	if _, known := t.told[text]; known {
		return nil
	}
	if t.told == nil {
		t.told = make(map[string]struct{})
	}
	if t.told[text] = struct{}{}; len(t.told) == maxTold {
		return fmt.Errorf("%w (%d such errors were reported; further ones are not, only their drops are counted)",
			err, maxTold)
	}
	return err
}

// Refuse ends the total of an admitted series. Its next points are dropped for the reason. The error says which other
// series is in the way, as that of Admit. Refuse returns it if the caller has to report it.
func (t *Totals[D]) Refuse(s *Series[D], reason string, err error) error {
	t.release(s)
	s.refuse(reason, err != nil, t.freed)
	return t.tell(err)
}

// Reconsider has Add ask again about the series that were refused because of another one. It is for an owner whose
// series are not the only ones.
func (t *Totals[D]) Reconsider() { t.freed++ }

func (t *Totals[D]) release(s *Series[D]) {
	if s.refusal != nil {
		return
	}
	t.Reconsider()
	if t.Release != nil {
		t.Release(s)
	}
}

// end forgets a series. One that comes back begins at zero, with a new start. The end comes once more if a sink around
// the owner fails after the owner's Write. A series of the same name may have begun then: it has another ID.
func (t *Totals[D]) end(p *metricsbuffer.Point) {
	s := t.lookUp(p)
	if s == nil || s.ID != p.ID {
		return
	}
	delete(t.series, string(t.key))
	if cell := t.byID.Of(p); cell != nil && *cell == s {
		*cell = nil
	}
	t.release(s)
}

// All yields the totals, in no order. The series belong to t, and change with the next Add.
func (t *Totals[D]) All() iter.Seq[*Series[D]] {
	return func(yield func(*Series[D]) bool) {
		for _, s := range t.series {
			if s.refusal == nil && !yield(s) {
				return
			}
		}
	}
}

// Find returns the total of the point's series, or nil if there is none or it is refused.
func (t *Totals[D]) Find(p *metricsbuffer.Point) *Series[D] {
	if s := t.find(p); s != nil && s.refusal == nil {
		return s
	}
	return nil
}

// Len returns the number of series, refused ones included.
func (t *Totals[D]) Len() int { return len(t.series) }
