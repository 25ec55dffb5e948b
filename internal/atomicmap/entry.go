package atomicmap

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
)

// tag is the underlying type of every T. Go cannot select the fields of a type parameter, so a T is converted first.
type tag = struct{ Key, Value string }

// An Entry is one key of a [Map] with its value. After [NewEntry] the map changes only the deleted mark of an entry.
// The mark is set at most once and never taken back. All of the map's arguments rest on that.
//
// With a V of 12 bytes an Entry has 48 bytes.
type Entry[T ~struct{ Key, Value string }, V any] struct {
	hash uint64
	Name string
	tags *[]T // nil without tags: most series have none, and a pointer is 16 bytes smaller than a slice

	deleted atomic.Bool
	Value   V
}

// Tags returns the tags, sorted by key, then by value. They must not be changed.
func (e *Entry[T, V]) Tags() []T {
	if e.tags == nil {
		return nil
	}
	return *e.tags
}

// hasTags reports whether the entry has exactly these tags, in any order.
func (e *Entry[T, V]) hasTags(tags []T) bool {
	if e.tags == nil || len(tags) == 0 {
		return e.tags == nil && len(tags) == 0
	}
	return len(*e.tags) == len(tags) && sameTags(*e.tags, tags)
}

// NewEntry returns an entry that is in no map yet. It keeps copies of the name and the tags. So an update's arguments
// can live on its caller's stack, and a name that was cut out of a large buffer does not keep that buffer in memory.
func NewEntry[T ~struct{ Key, Value string }, V any](hash uint64, name string, tags []T, value V) *Entry[T, V] {
	e := &Entry[T, V]{hash: hash, Name: strings.Clone(name), Value: value}
	if len(tags) > 0 {
		cloned := make([]T, len(tags))
		for i, t := range tags {
			cloned[i] = T(tag{strings.Clone(tag(t).Key), strings.Clone(tag(t).Value)})
		}
		slices.SortFunc(cloned, func(a, b T) int {
			return cmp.Or(cmp.Compare(tag(a).Key, tag(b).Key), cmp.Compare(tag(a).Value, tag(b).Value))
		})
		e.tags = &cloned
	}
	return e
}

// is reports whether e has the given key. The hash comes first: nearly every wrong entry ends there.
func (e *Entry[T, V]) is(hash uint64, name string, tags []T) bool {
	return e.hash == hash && equal(e.Name, name) && e.hasTags(tags)
}

// equal is a == b without a function call. Around a call, Load would have to save and restore its registers.
func equal(a, b string) bool {
	last := len(a) - 8
	if last < 0 || len(a) != len(b) {
		return a == b
	}
	for i := 0; i < last; i += 8 {
		if word64(a, i) != word64(b, i) {
			return false
		}
	}
	return word64(a, last) == word64(b, last)
}

// sameTags reports whether a and b, of equal length, hold the same tags equally often, in any order.
func sameTags[T ~struct{ Key, Value string }](a, b []T) bool {
	for i := range min(len(a), len(b)) {
		if tag(a[i]) != tag(b[i]) {
			return permuted(a[i:], b[i:])
		}
	}
	return true
}

// permuted pairs the tags of b with those of a: the n-th of several equal tags in b with the n-th in a. It takes
// quadratic time and does not sort, because a lookup must not allocate and tags are few.
func permuted[T ~struct{ Key, Value string }](a, b []T) bool {
	for i := range b {
		skip := 0
		for j := range b[:i] {
			if tag(b[j]) == tag(b[i]) {
				skip++
			}
		}
		paired := false
		for j := range a {
			if tag(a[j]) != tag(b[i]) {
				continue
			}
			if paired = skip == 0; paired {
				break
			}
			skip--
		}
		if !paired {
			return false
		}
	}
	return true
}
