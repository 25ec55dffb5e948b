package otelbridge

import (
	"encoding/binary"
	"hash/maphash"
	"math"

	"github.com/puzpuzpuz/xsync/v3"
	"go.opentelemetry.io/otel/attribute"

	"github.com/metricsbuffer/metricsbuffer"
)

// A table has the series of all instruments of one kind. S is the type that stands for a series.
//
// Series are found by their key and not by [attribute.Distinct], which is a hash that has no seed: attributes may be
// hostile input, and anybody can compute two sets of one hash. The table's own hash has a seed. It only says where to
// look, and all keys there are compared.
type table[S any] struct {
	seed   maphash.Seed
	byHash *xsync.MapOf[uint64, *entry[S]]
}

// An entry is a series in a list of all whose keys have the same hash. It does not change.
type entry[S any] struct {
	key    string
	of     *definition
	series S
	next   *entry[S]
}

func newTable[S any]() table[S] {
	return table[S]{maphash.MakeSeed(), xsync.NewMapOf[uint64, *entry[S]]()}
}

func (e *entry[S]) find(of *definition, key []byte) *entry[S] {
	for e != nil && (e.of != of || e.key != string(key)) {
		e = e.next
	}
	return e
}

func (t *table[S]) hash(of *definition, key []byte) uint64 {
	return maphash.Bytes(t.seed, key) ^ of.number
}

// load returns the series with the key.
func (t *table[S]) load(of *definition, key []byte) (series S, ok bool) {
	first, _ := t.byHash.Load(t.hash(of, key))
	if e := first.find(of, key); e != nil {
		return e.series, true
	}
	return series, false
}

// loadOrMake returns the series with the key, and makes it if there is none. It copies the key.
func (t *table[S]) loadOrMake(of *definition, key []byte, make func() S) (series S) {
	t.byHash.Compute(t.hash(of, key), func(first *entry[S], _ bool) (*entry[S], bool) {
		e := first.find(of, key)
		if e == nil {
			e = &entry[S]{string(key), of, make(), first}
			first = e
		}
		series = e.series
		return first, false
	})
	return series
}

// size returns the number of series. Of those that share a hash, it counts one.
func (t *table[S]) size() int { return t.byHash.Size() }

// appendSet appends a text that different sets do not share: each part has its length or its type before it.
func appendSet(key []byte, set *attribute.Set) []byte {
	for iter := set.Iter(); iter.Next(); {
		pair := iter.Attribute()
		key = appendText(key, string(pair.Key))
		key = append(key, byte(pair.Value.Type()))
		switch pair.Value.Type() {
		case attribute.STRING:
			key = appendText(key, pair.Value.AsString())
		case attribute.INT64:
			key = binary.LittleEndian.AppendUint64(key, uint64(pair.Value.AsInt64()))
		case attribute.FLOAT64:
			key = binary.LittleEndian.AppendUint64(key, math.Float64bits(pair.Value.AsFloat64()))
		default:
			key = appendText(key, pair.Value.String())
		}
	}
	return key
}

// appendTags appends a text that different lists of tags do not share.
func appendTags(key []byte, tags []metricsbuffer.Tag) []byte {
	for _, tag := range tags {
		key = appendText(appendText(key, tag.Key), tag.Value)
	}
	return key
}

func appendText(key []byte, text string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(text))), text...)
}
