package otelbridge

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/metricsbuffer/metricsbuffer"
)

// An instrument finds the series for a set of attributes.
type instrument[S any] struct {
	*definition

	provider *MeterProvider
	table    *table[S]
	new      func(*MeterProvider, *definition, []metricsbuffer.Tag) S
}

// Enabled returns true.
func (*instrument[S]) Enabled(context.Context) bool { return true }

// shortKey is the length of the keys that are put together without allocating memory.
const shortKey = 512

// of returns the series for the set. It allocates only when it sees the set for the first time, when the set's keys and
// values are longer than shortKey, and for values that are slices or maps.
func (i *instrument[S]) of(set attribute.Set) S {
	if i.allowed != nil {
		set, _ = set.Filter(i.allowed)
	}
	var memory [shortKey]byte
	key := appendSet(memory[:0], &set)
	if s, ok := i.table.load(i.definition, key); ok {
		return s
	}
	return i.ofSlow(set, key)
}

var overflowSet = attribute.NewSet(attribute.Bool("otel.metric.overflow", true))

func (i *instrument[S]) ofSlow(set attribute.Set, key []byte) S {
	if i.table.size() >= i.provider.maxSeries {
		i.count("otelbridge.overflowed")
		set = overflowSet
		key = appendSet(key[:0], &set)
	}
	return i.table.loadOrMake(i.definition, key, func() S {
		return i.new(i.provider, i.definition, i.tagsOf(set))
	})
}

// tagsOf returns the tags of the series with the set.
func (i *instrument[S]) tagsOf(set attribute.Set) []metricsbuffer.Tag {
	tags := append(make([]metricsbuffer.Tag, 0, len(i.Tags)+set.Len()), i.Tags...)
	for iter := set.Iter(); iter.Next(); {
		pair := iter.Attribute()
		tags = append(tags, metricsbuffer.Tag{Key: keyOf(pair.Key, isReserved), Value: pair.Value.String()})
	}
	return tags
}

// count counts an update of the instrument under a name of the bridge's own.
func (i *instrument[S]) count(name string) {
	tags := append(make([]metricsbuffer.Tag, 0, len(i.Tags)+1), i.Tags...)
	i.provider.buffer.IncrCounter(name, 1, append(tags, metricsbuffer.Tag{Key: "instrument", Value: i.Name})...)
}

// reject counts an update that cannot be recorded.
func (i *instrument[S]) reject() { i.count("otelbridge.rejected") }
