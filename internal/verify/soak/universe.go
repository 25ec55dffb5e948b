package main

import (
	"fmt"

	"github.com/metricsbuffer/metricsbuffer"
)

const (
	maxWriters = 6  // of one buffer
	handles    = 8  // instruments of a kind that writers share
	churnNames = 24 // names that come and go, each with churnTags tags
	churnTags  = 4
)

// A universe lists every series that a writer may record in, so that writers and sinks can count in slices. It is made
// once and then only read.
type universe struct {
	byName bool // tags do not tell series apart: in a buffer with a limit, only totals per name are promised
	ids    map[string]int
	items  []item

	published int     // the counter by which Flush is held to its promise: see life.flush
	groups    [][]int // series whose amounts are equal in every batch of each sink: see ways_groups.go
}

// An item is a series, or all of one kind and name.
type item struct {
	kind   metricsbuffer.Kind
	name   string
	values []int64 // what is observed in it, in ascending order, each in a bucket of its own
}

func newUniverse(byName bool) *universe {
	u := &universe{byName: byName, ids: make(map[string]int)}
	for _, a := range ways {
		a.enumerate(u)
	}
	u.published = u.id(counter, "published")
	return u
}

// add adds a series and returns its id. With byName the same name gives the same id.
func (u *universe) add(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int {
	key := u.key(nil, kind, name, tags)
	if id, ok := u.ids[string(key)]; ok {
		return id
	}
	id := len(u.items)
	it := item{kind: kind, name: name}
	if kind == metricsbuffer.KindTimer || kind == metricsbuffer.KindHistogram {
		// 3<<k is far from the bounds of its bucket. The octaves differ, so that windows of buckets have to grow.
		it.values = []int64{0, 3 << (id % 5), 3 << (6 + id%7), 3 << (14 + id%11), 3 << 33}
	}
	u.ids[string(key)], u.items = id, append(u.items, it)
	return id
}

// find returns the id of a point's series.
func (u *universe) find(scratch []byte, p *metricsbuffer.Point) (id int, ok bool) {
	id, ok = u.ids[string(u.key(scratch, p.Kind, p.Name, p.Tags))]
	return id, ok
}

// id returns the id of a series that is there.
func (u *universe) id(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int {
	id, ok := u.ids[string(u.key(nil, kind, name, tags))]
	if !ok {
		panic(fmt.Sprintf("soak: %v %q %v is not in the universe", kind, name, tags))
	}
	return id
}

// key appends to b what tells series apart.
func (u *universe) key(b []byte, kind metricsbuffer.Kind, name string, tags []metricsbuffer.Tag) []byte {
	b = append(append(b, byte(kind)), name...)
	if !u.byName {
		for _, t := range tags {
			b = append(append(append(append(b, 0), t.Key...), 0), t.Value...)
		}
	}
	return b
}

// total adds up amounts by id as the buffer's own account does.
func (u *universe) total(amounts []int64) (t metricsbuffer.Totals) {
	for id, n := range amounts {
		switch u.items[id].kind {
		case metricsbuffer.KindCounter:
			t.Increments += n
		case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
			t.Observations += n
		}
	}
	return t
}
