// Package slot keeps something for each series of a buffer, and finds it by the kind and the ID of a point.
package slot

import "github.com/metricsbuffer/metricsbuffer"

const (
	kinds    = metricsbuffer.KindHistogram + 1
	pageSize = 512     // IDs are dense: a buffer uses the ID of a series that has ended for a new one
	limit    = 1 << 24 // no buffer has more; it bounds the memory for points that come from elsewhere
)

// A Table has a cell for each series, which is the zero value at first. A cell outlives its series: the next one with
// the ID gets it. So the cells are no more than the most series that there were at one time. A caller that keeps
// something in the cell checks that it belongs to the series of the point. A sink may get points of several buffers,
// or points that another sink has changed.
type Table[T any] struct {
	pages [kinds][]*[pageSize]T
}

// Of returns the cell of the point's series. It returns nil for a point without an ID, and for an ID or a kind that no
// buffer has.
func (t *Table[T]) Of(p *metricsbuffer.Point) *T {
	if p.Kind < kinds {
		if at := int(p.ID / pageSize); at < len(t.pages[p.Kind]) && t.pages[p.Kind][at] != nil && p.ID != 0 {
			return &t.pages[p.Kind][at][p.ID%pageSize]
		}
	}
	return t.addSlow(p)
}

func (t *Table[T]) addSlow(p *metricsbuffer.Point) *T {
	if p.ID == 0 || p.ID >= limit || p.Kind >= kinds {
		return nil
	}
	pages := &t.pages[p.Kind]
	at := int(p.ID / pageSize)
	for len(*pages) <= at {
		*pages = append(*pages, nil)
	}
	if (*pages)[at] == nil {
		(*pages)[at] = new([pageSize]T)
	}
	return &(*pages)[at][p.ID%pageSize]
}
