package slot

import (
	"slices"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Cache keeps a T for each series: something that a sink derives from the kind, the name, the unit and the tags, such
// as their text. It needs memory for as many series as there are at one time, provided that the sink forgets those that
// have ended.
type Cache[T any] struct {
	entries Table[*entry[T]]
	spare   T
}

// An entry says for which series the value is. Two kinds have no cell in common.
type entry[T any] struct {
	name  string
	tags  []metricsbuffer.Tag
	unit  string
	value T
}

// Of returns the value of the point's series. If it is not known, the caller has to derive it, and to set it: it may be
// that of another series, whose memory can be used again. It is valid until the next call.
func (c *Cache[T]) Of(p *metricsbuffer.Point) (value *T, known bool) {
	cell := c.entries.Of(p)
	if cell == nil {
		return &c.spare, false
	}
	e := *cell
	if e != nil && e.name == p.Name && e.unit == p.Unit && slices.Equal(e.tags, p.Tags) {
		return &e.value, true
	}
	if e == nil {
		e = new(entry[T])
		*cell = e
	}
	e.name, e.unit = p.Name, p.Unit
	e.tags = slices.Clone(p.Tags) // the batch owns the slice, and not the strings
	return &e.value, false
}

// Forget drops the values of series that have ended.
func (c *Cache[T]) Forget(ended []metricsbuffer.Point) {
	for i := range ended {
		if cell := c.entries.Of(&ended[i]); cell != nil {
			*cell = nil
		}
	}
}
