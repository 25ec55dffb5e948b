package atomicmap

import (
	"math/bits"
	"math/rand/v2"
)

// The keys of the hash differ from process to process, so that nobody can choose names that collide.
var nameKey, tagKey, valueKey = rand.Uint64(), rand.Uint64(), rand.Uint64()

// Hash returns the hash of a key: the same for the same tags in any order. It does not allocate.
func Hash[T ~struct{ Key, Value string }](name string, tags []T) uint64 {
	return WithTags(HashName(name), tags)
}

// HashName returns the hash of a key without tags.
func HashName(name string) uint64 { return hashString(nameKey, name) }

// WithTags returns the hash of a key with tags. Its first argument is the result of [HashName] for the key's name. Most
// keys have no tags: their callers need only HashName, which the compiler inlines.
//
// The hashes of the tags are added up. A sum does not depend on the order. Unlike an exclusive or, it does not cancel a
// tag that is given twice.
func WithTags[T ~struct{ Key, Value string }](hash uint64, tags []T) uint64 {
	if len(tags) == 0 {
		return hash
	}
	sum := uint64(0)
	for i := range tags {
		// Key and value are hashed under different keys. So the hash changes if a byte moves from one to the other, or
		// if they are swapped. The folded product depends on every bit of both. So the sum changes if two tags swap
		// their values.
		sum += fold(hashString(tagKey, tag(tags[i]).Key), hashString(valueKey, tag(tags[i]).Value))
	}
	return fold(hash^sum, sum|1) ^ hash
}

// fold multiplies to 128 bits and folds the halves, so that high bits reach the low ones, which choose the slot.
func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
