package otelbridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/metricsbuffer/metricsbuffer"
)

// An Instrument describes an instrument. Its series have its name, its tags, and the buffer's kind for it.
type Instrument struct {
	Name        string
	Kind        string // "Counter", "UpDownCounter", "ObservableUpDownCounter", "Gauge" or "Histogram"
	Unit        string // as given by the instrumentation, not the buffer's
	Description string // of the first creation, like Boundaries
	Boundaries  []float64
	Tags        []metricsbuffer.Tag // all its series have them: the scope, and otel.instrument if there is a conflict
}

const (
	kindCounter       = "Counter"
	kindUpDownCounter = "UpDownCounter"
	kindGauge         = "Gauge"
	kindHistogram     = "Histogram"

	// Its series are set, and those of an UpDownCounter are added to. So they cannot be the same.
	kindObservableUpDownCounter = "ObservableUpDownCounter"
)

func (i Instrument) clone() Instrument {
	i.Boundaries, i.Tags = slices.Clone(i.Boundaries), slices.Clone(i.Tags)
	return i
}

// A scope identifies a meter: it is the text of the meter's tags. Without tags it is empty.
type scope string

const (
	scopeTag      = "otel.scope."
	instrumentTag = "otel.instrument"
)

// scopeOf returns the scope and its tags.
func scopeOf(name string, config metric.MeterConfig) (scope, []metricsbuffer.Tag) {
	var tags []metricsbuffer.Tag
	own := []metricsbuffer.Tag{
		{Key: "name", Value: name}, {Key: "version", Value: config.InstrumentationVersion()},
		{Key: "schema_url", Value: config.SchemaURL()},
	}
	for _, tag := range own {
		if tag.Value != "" {
			tags = append(tags, metricsbuffer.Tag{Key: scopeTag + tag.Key, Value: strings.Clone(tag.Value)})
		}
	}
	attributes := config.InstrumentationAttributes()
	for iter := attributes.Iter(); iter.Next(); {
		pair := iter.Attribute()
		key := keyOf(pair.Key, func(key string) bool {
			return slices.ContainsFunc(own, func(tag metricsbuffer.Tag) bool { return tag.Key == key })
		})
		tags = append(tags, metricsbuffer.Tag{Key: scopeTag + key, Value: strings.Clone(pair.Value.String())})
	}
	return scope(appendTags(nil, tags)), tags
}

const attributePrefix = "attribute."

// keyOf returns the key of an attribute's tag. Keys that are reserved for other tags get a prefix. So do keys that have
// the prefix before a reserved key. Otherwise a renamed attribute and one that has the new name by itself would be the
// same tag.
func keyOf(attribute attribute.Key, isReserved func(string) bool) string {
	key := string(attribute)
	plain := key
	for found := true; found; {
		plain, found = strings.CutPrefix(plain, attributePrefix)
	}
	if isReserved(plain) {
		return attributePrefix + key
	}
	return key
}

// isReserved says whether a tag with the key is the bridge's own, for some instrument.
func isReserved(key string) bool { return key == instrumentTag || strings.HasPrefix(key, scopeTag) }

// An identity tells instruments apart.
type identity struct {
	scope scope
	kind  string
	name  string // in lower case
	unit  string
	scale scale // of a histogram
}

// A seriesName is shared by instruments whose series the buffer would not tell apart.
type seriesName struct {
	scope scope
	gauge bool // otherwise counter
	name  string
}

// A definition is an instrument that was created at least once.
type definition struct {
	Instrument

	number   uint64           // no other definition of the provider has it
	scale    scale            // of a histogram
	decimals int              // of a counter: those of the first creation
	allowed  attribute.Filter // nil allows all attributes
}

const overflowName = "otelbridge.overflow"

// define returns the definition of the instrument, which is new if there was none.
func (m *meter) define(i Instrument, s scale, decimals int, allowed attribute.Filter) *definition {
	id := identity{m.scope, i.Kind, strings.ToLower(i.Name), i.Unit, s}
	d, err := m.provider.define(id, i, decimals, m.tags, allowed)
	if err != nil {
		otel.Handle(err) // outside of the lock, because a handler may create instruments
	}
	return d
}

// describe describes the instrument's name in the buffer, unless an instrument of the same name has done so.
func (p *MeterProvider) describe(name string, i *Instrument) {
	unit := i.Unit
	if i.Kind == kindHistogram {
		unit = "" // its series have one
	}
	if i.Description == "" && unit == "" || p.described[name] {
		return
	}
	p.described[name] = true
	p.buffer.Describe(name, i.Description, unit)
}

func (p *MeterProvider) define(
	id identity, i Instrument, decimals int, scopeTags []metricsbuffer.Tag, allowed attribute.Filter,
) (d *definition, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, ok := p.definitions[id]; ok {
		p.describe(d.Name, &i)
		return d, nil
	}
	if len(p.definitions) >= p.maxSeries {
		err = fmt.Errorf("otelbridge: there are %d instruments; %q is recorded as %q", p.maxSeries, i.Name, overflowName)
		id = identity{kind: i.Kind, name: overflowName, scale: id.scale.overflow()}
		if d, ok := p.definitions[id]; ok {
			return d, nil
		}
		i, scopeTags, allowed = Instrument{Name: overflowName, Kind: i.Kind}, nil, attribute.NewAllowKeysFilter()
	}
	// The strings may be in memory that the caller uses again, or be parts of large ones.
	id.name, id.unit = strings.Clone(id.name), strings.Clone(id.unit)
	i.Name, i.Unit, i.Description = strings.Clone(i.Name), id.unit, strings.Clone(i.Description)
	i.Boundaries, i.Tags = slices.Clone(i.Boundaries), slices.Clone(scopeTags)
	if i.Kind != kindHistogram {
		name := seriesName{id.scope, i.Kind != kindCounter, id.name}
		if owner, ok := p.owners[name]; !ok {
			p.owners[name] = id
		} else if owner != id {
			told := i.Kind
			if i.Unit != "" {
				told += " " + i.Unit
			}
			i.Tags = append(i.Tags, metricsbuffer.Tag{Key: instrumentTag, Value: told})
			err = errors.Join(err, fmt.Errorf("otelbridge: %q is a %s in %q and a %s in %q: the latter has the tag %s=%q",
				i.Name, owner.kind, owner.unit, i.Kind, i.Unit, instrumentTag, told))
		}
	}
	number := uint64(len(p.inOrder))
	d = &definition{Instrument: i, number: number, scale: id.scale, decimals: decimals, allowed: allowed}
	p.definitions[id] = d
	p.describe(i.Name, &i)
	p.inOrder = append(p.inOrder, d)
	return d, err
}
