package metricsbuffer

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
)

// A CounterVec is a set of counters of one name, told apart by typed labels. K is a struct whose fields are the tags:
//
//	type Delivery struct {
//		Status   string `tag:"status"`
//		Producer string `tag:"producer_name"`
//	}
//
// A field's tag is called what its struct tag says, or, if that is empty, as the field; `tag:"-"` leaves a field out. A
// field is a string, a bool, an integer, or has a String method, which must always return the same (a nil one is
// empty). Labels that are equal by == are looked up without a string being built; the instruments found so are kept for
// as long as the set is.
//
// All methods may be called concurrently. A nil set has only nil instruments.
type CounterVec[K comparable] struct{ vec[K, Counter] }

// A TimerVec is a set of timers of one name; see [CounterVec].
type TimerVec[K comparable] struct{ vec[K, Timer] }

// A GaugeVec is a set of gauges of one name; see [CounterVec].
type GaugeVec[K comparable] struct{ vec[K, Gauge] }

// A HistogramVec is a set of histograms of one name and unit; see [CounterVec].
type HistogramVec[K comparable] struct{ vec[K, Histogram] }

// NewCounterVec returns a set of counters. It is an error if K cannot be made tags of; it says which field is at fault.
// If b is nil so is the set.
func NewCounterVec[K comparable](b *Buffer, name string) (*CounterVec[K], error) {
	v, err := newVec[K](b, KindCounter, name, b.newCounter)
	if b == nil || err != nil {
		return nil, err
	}
	return &CounterVec[K]{v}, nil
}

// NewTimerVec returns a set of timers, as [NewCounterVec] does.
func NewTimerVec[K comparable](b *Buffer, name string) (*TimerVec[K], error) {
	v, err := newVec[K](b, KindTimer, name, b.newTimer)
	if b == nil || err != nil {
		return nil, err
	}
	return &TimerVec[K]{v}, nil
}

// NewGaugeVec returns a set of gauges, as [NewCounterVec] does.
func NewGaugeVec[K comparable](b *Buffer, name string) (*GaugeVec[K], error) {
	v, err := newVec[K](b, KindGauge, name, b.newGauge)
	if b == nil || err != nil {
		return nil, err
	}
	return &GaugeVec[K]{v}, nil
}

// NewHistogramVec returns a set of histograms, as [NewCounterVec] does.
func NewHistogramVec[K comparable](b *Buffer, name, unit string) (*HistogramVec[K], error) {
	v, err := newVec[K](b, KindHistogram, name, b.newHistogram)
	if b == nil || err != nil {
		return nil, err
	}
	v.fixed = []Tag{{Key: unitKey, Value: unit}}
	return &HistogramVec[K]{v}, nil
}

// With returns the counter with these labels.
func (v *CounterVec[K]) With(labels K) *Counter {
	if v == nil {
		return nil
	}
	return v.with(labels)
}

// With returns the timer with these labels.
func (v *TimerVec[K]) With(labels K) *Timer {
	if v == nil {
		return nil
	}
	return v.with(labels)
}

// With returns the gauge with these labels.
func (v *GaugeVec[K]) With(labels K) *Gauge {
	if v == nil {
		return nil
	}
	return v.with(labels)
}

// With returns the histogram with these labels.
func (v *HistogramVec[K]) With(labels K) *Histogram {
	if v == nil {
		return nil
	}
	return v.with(labels)
}

// A vec is a set of instruments of type I.
type vec[K comparable, I any] struct {
	instruments *xsync.MapOf[K, *I]

	registry   *registry
	kind       Kind
	name       string
	fixed      []Tag // that all have
	labels     []label
	instrument func(*series) *I
}

// A label is a field of K that is a tag.
type label struct {
	index int
	key   string
	value func(reflect.Value) string
}

func newVec[K comparable, I any](b *Buffer, kind Kind, name string, instrument func(*series) *I) (vec[K, I], error) {
	v := vec[K, I]{kind: kind, name: strings.Clone(name), instrument: instrument, instruments: xsync.NewMapOf[K, *I]()}
	if b != nil {
		v.registry = b.registry
	}
	labels, err := labelsOf(reflect.TypeFor[K]())
	if err != nil {
		return v, fmt.Errorf("metricsbuffer: %v %q: %w", kind, name, err)
	}
	v.labels = labels
	return v, nil
}

func (v *vec[K, I]) with(labels K) *I {
	if instrument, ok := v.instruments.Load(labels); ok {
		return instrument
	}
	return v.withSlow(labels)
}

// withSlow is with for labels that are new. Those that overflow are not kept: there may be any number of them.
func (v *vec[K, I]) withSlow(labels K) *I {
	fields := reflect.ValueOf(labels)
	tags := append(make([]Tag, 0, len(v.fixed)+len(v.labels)), v.fixed...)
	for _, l := range v.labels {
		tags = append(tags, Tag{Key: l.key, Value: l.value(fields.Field(l.index))})
	}
	s := v.registry.hold(v.kind, atomicmap.Hash(v.name, tags), v.name, tags)
	instrument := v.instrument(s)
	if s.Value.spare {
		return instrument
	}
	instrument, _ = v.instruments.LoadOrStore(labels, instrument)
	return instrument
}

// labelsOf returns the fields of the struct that are tags.
func labelsOf(t reflect.Type) ([]label, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("labels must be a struct, %v is not", t)
	}
	var labels []label
	fieldOf := make(map[string]string)
	for i := range t.NumField() {
		field := t.Field(i)
		key, _, options := strings.Cut(field.Tag.Get("tag"), ",")
		if key == "-" {
			continue
		}
		if key == "" {
			key = field.Name
		}
		value := valueOf(field.Type)
		switch {
		case options:
			return nil, fmt.Errorf("field %s of %v: its struct tag %q has options, and there are none", field.Name, t, field.Tag)
		case !field.IsExported():
			return nil, fmt.Errorf("field %s of %v is not exported: export it, or leave it out by `tag:\"-\"`", field.Name, t)
		case value == nil:
			return nil, fmt.Errorf("field %s of %v is of type %v: "+
				"only strings, bools, integers and types with a String method can be tags", field.Name, t, field.Type)
		case fieldOf[key] != "":
			return nil, fmt.Errorf("fields %s and %s of %v are both called %q", fieldOf[key], field.Name, t, key)
		}
		fieldOf[key] = field.Name
		labels = append(labels, label{index: i, key: key, value: value})
	}
	return labels, nil
}

// valueOf returns the function that makes fields of a type the value of a tag, or nil if there is none.
func valueOf(t reflect.Type) func(reflect.Value) string {
	if t.Implements(reflect.TypeFor[fmt.Stringer]()) {
		return func(v reflect.Value) string {
			if (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
				return "" // most String methods do not expect it
			}
			return v.Interface().(fmt.Stringer).String()
		}
	}
	switch {
	case t.Kind() == reflect.String:
		return reflect.Value.String
	case t.Kind() == reflect.Bool:
		return func(v reflect.Value) string { return strconv.FormatBool(v.Bool()) }
	case reflect.Zero(t).CanInt():
		return func(v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) }
	case reflect.Zero(t).CanUint():
		return func(v reflect.Value) string { return strconv.FormatUint(v.Uint(), 10) }
	}
	return nil
}
