package otelbridge

import (
	"context"

	"github.com/puzpuzpuz/xsync/v3"
	"go.opentelemetry.io/otel/attribute"

	"github.com/metricsbuffer/metricsbuffer"
)

// A table has the series of all instruments of one kind. S is the type that stands for a series.
type table[S any] struct{ *xsync.MapOf[seriesKey, S] }

type seriesKey struct {
	of  *definition
	set attribute.Distinct
}

func newTable[S any]() table[S] { return table[S]{xsync.NewMapOf[seriesKey, S]()} }

// An instrument finds the series for a set of attributes.
type instrument[S any] struct {
	*definition

	provider *MeterProvider
	table    *table[S]
	new      func(*metricsbuffer.Buffer, *definition, []metricsbuffer.Tag) S
}

// Enabled returns true.
func (*instrument[S]) Enabled(context.Context) bool { return true }

// of returns the series for the set. It allocates only when it sees the set for the first time.
func (i *instrument[S]) of(set attribute.Set) S {
	if i.allowed != nil {
		set, _ = set.Filter(i.allowed)
	}
	if s, ok := i.table.Load(seriesKey{i.definition, set.Equivalent()}); ok {
		return s
	}
	return i.ofSlow(set)
}

var overflowSet = attribute.NewSet(attribute.Bool("otel.metric.overflow", true))

func (i *instrument[S]) ofSlow(set attribute.Set) S {
	if i.table.Size() >= i.provider.maxSeries {
		i.count("otelbridge.overflowed")
		set = overflowSet
	}
	s, _ := i.table.LoadOrCompute(seriesKey{i.definition, set.Equivalent()}, func() S {
		return i.new(i.provider.buffer, i.definition, i.tagsOf(set))
	})
	return s
}

// tagsOf returns the tags of the series with the set.
func (i *instrument[S]) tagsOf(set attribute.Set) []metricsbuffer.Tag {
	tags := append(make([]metricsbuffer.Tag, 0, len(i.Tags)+set.Len()), i.Tags...)
	for iter := set.Iter(); iter.Next(); {
		pair := iter.Attribute()
		key := string(pair.Key)
		for _, tag := range i.Tags {
			if tag.Key == key {
				key = "attribute." + key
				break
			}
		}
		tags = append(tags, metricsbuffer.Tag{Key: key, Value: pair.Value.String()})
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
