package metricsbuffer

import (
	"math"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/internal/view"
)

// A scope has the prefix and the tags that a Buffer adds to every series of another one. It never changes.
type scope struct {
	root   *Buffer // made by New
	prefix string
	tags   []Tag
}

// join returns a copy of the name with the prefix, and of the tags with those of the scope whose key they do not have.
// A nil scope adds nothing.
func (s *scope) join(name string, tags []Tag) (string, []Tag) {
	all := cloneTags(tags)
	if s == nil {
		return strings.Clone(name), all
	}
	for _, t := range s.tags {
		if !hasKey(tags, t.Key) {
			all = append(all, t)
		}
	}
	return strings.Clone(s.prefix + name), all // without a prefix the sum would be the caller's bytes
}

// A series up to these sizes is put together on the stack of record, which allocates nothing then.
const (
	fewBytes = 128 // of a name with its prefix
	fewTags  = 16  // with those of the scope
)

// record records by name in a series of the family. A gauge's value is given as the bits of a float64.
func (s *scope) record(f *family, name string, v int64, tags []Tag) {
	var bytes [fewBytes]byte
	var all [fewTags]Tag
	switch {
	case len(s.prefix)+len(name) > fewBytes || len(tags)+len(s.tags) > fewTags:
		name, tags = s.join(name, tags)
	default:
		if s.prefix != "" {
			name = view.String(append(append(bytes[:0], s.prefix...), name...))
		}
		if len(s.tags) > 0 {
			// One by one: append and copy would make the compiler put the caller's strings on the heap.
			n := 0
			for i := range tags {
				all[n] = tags[i]
				n++
			}
			for i := range s.tags {
				if !hasKey(tags, s.tags[i].Key) {
					all[n] = s.tags[i]
					n++
				}
			}
			tags = all[:n]
		}
	}
	switch f.kind {
	case KindCounter:
		s.root.addNamed(name, v, tags)
	case KindGauge:
		s.root.setNamed(name, math.Float64frombits(uint64(v)), tags)
	default:
		s.root.observeNamed(name, v, tags, f)
	}
}

// cloneTags returns a copy, also of the strings.
func cloneTags(tags []Tag) []Tag {
	cloned := make([]Tag, len(tags))
	for i, t := range tags {
		cloned[i] = Tag{strings.Clone(t.Key), strings.Clone(t.Value)}
	}
	return cloned
}

func hasKey(tags []Tag, key string) bool { return countKey(tags, key) > 0 }

// countKey returns how many of the tags have the key.
func countKey(tags []Tag, key string) (n int) {
	for i := range tags {
		if tags[i].Key == key {
			n++
		}
	}
	return n
}
