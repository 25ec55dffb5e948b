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

// WithTags returns the hash of the key that has these tags as well: [Hash] in two steps, of which most callers need the
// first one only, which is compiled into them.
//
// Tags are added up, as a sum does not know an order, and unlike an exclusive or does not cancel a tag given twice.
func WithTags[T ~struct{ Key, Value string }](hash uint64, tags []T) uint64 {
	if len(tags) == 0 {
		return hash
	}
	sum := uint64(0)
	for i := range tags {
		// Each half has a key of its own, so that neither can lend the other a byte or trade places with it. Their
		// folded product depends on every bit of both, so that two tags cannot trade values within the sum.
		sum += fold(hashString(tagKey, tag(tags[i]).Key), hashString(valueKey, tag(tags[i]).Value))
	}
	return fold(hash^sum, sum|1) ^ hash
}

// fold multiplies to 128 bits and folds the halves, so that high bits reach the low ones, which choose the slot.
func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
