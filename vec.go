package metricsbuffer

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/puzpuzpuz/xsync/v3"
)

// A Vec is a set of instruments of one name, told apart by typed labels: I is [Counter], [FractionCounter],
// [Timer], [Gauge] or [Histogram]. K is a struct whose fields are the tags:
//
//	type Delivery struct {
//		Status   string `tag:"status"`
//		Producer string `tag:"producer_name"`
//	}
//
// A struct tag gives the key of a field's tag; without one, the key is the field's name. `tag:"-"` leaves a field out.
// A field is a string, a bool, an integer, or has a String method, which must always return the same string (a nil one
// is empty).
//
// Labels that are equal by == are looked up without building a string. The set keeps the instruments for as long as it
// exists, up to the number of series that [WithMaxSeries] allows. Strings are copied before they are kept, so labels
// may point into a buffer that is reused. Instruments of overflow series, and of labels that are not equal to
// themselves (NaN), are not kept: With makes a new one at each call.
//
// All methods may be called concurrently. A nil *Vec and a zero Vec have only nil instruments, which do nothing.
type Vec[K comparable, I any] struct {
	instruments *xsync.MapOf[K, *I]

	buffer     *Buffer
	family     *family
	name       string
	tags       []Tag // of the buffer's scope, but for those whose keys are labels
	labels     []label
	dynamic    bool // K has interfaces: some values of K may not be comparable
	instrument func(*Buffer, *series) *I
}

// NewCounterVec returns a set of counters. [Vec] says which fields K may have. It is an error if a field of K cannot be
// a tag; the error names the field. The set is nil if b is nil.
func NewCounterVec[K comparable](b *Buffer, name string) (*Vec[K, Counter], error) {
	return newVec[K](b, KindCounter, name, "", newCounter)
}

// NewFractionCounterVec returns a set of counters of fractions with so many decimals, as [NewCounterVec] does; see
// [Buffer.FractionCounter].
func NewFractionCounterVec[K comparable](b *Buffer, name string, decimals int) (*Vec[K, FractionCounter], error) {
	v, err := newVec[K](b, KindCounter, name, "", newFractionCounter)
	if v != nil {
		v.family = v.buffer.registry.fractions(decimals)
	}
	return v, err
}

// NewTimerVec returns a set of timers, as [NewCounterVec] does.
func NewTimerVec[K comparable](b *Buffer, name string) (*Vec[K, Timer], error) {
	return newVec[K](b, KindTimer, name, "", newTimer)
}

// NewGaugeVec returns a set of gauges, as [NewCounterVec] does.
func NewGaugeVec[K comparable](b *Buffer, name string) (*Vec[K, Gauge], error) {
	return newVec[K](b, KindGauge, name, "", newGauge)
}

// NewHistogramVec returns a set of histograms of values in the given unit, as [NewCounterVec] does.
func NewHistogramVec[K comparable](b *Buffer, name, unit string) (*Vec[K, Histogram], error) {
	return newVec[K](b, KindHistogram, name, unit, newHistogram)
}

func newVec[K comparable, I any](
	b *Buffer, kind Kind, name, unit string, instrument func(*Buffer, *series) *I,
) (*Vec[K, I], error) {
	labels, err := labelsOf(reflect.TypeFor[K]())
	if err != nil {
		return nil, fmt.Errorf("metricsbuffer: %v %q: %w", kind, name, err)
	}
	root := b.root()
	if root == nil {
		return nil, nil
	}
	keys := make([]Tag, len(labels))
	for i, l := range labels {
		keys[i].Key = l.key
	}
	name, all := b.scope.join(name, keys)
	return &Vec[K, I]{
		instruments: xsync.NewMapOf[K, *I](),
		buffer:      root, family: root.registry.family(kind, unit), name: name,
		tags: all[len(keys):], labels: labels, dynamic: hasInterface(reflect.TypeFor[K]()), instrument: instrument,
	}, nil
}

// Must returns v, or panics with err if that is not nil. It is for sets and buffers that are made as a program starts:
//
//	var requests = metricsbuffer.Must(metricsbuffer.NewCounterVec[labels](buffer, "requests"))
func Must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// With returns the instrument with these labels.
func (v *Vec[K, I]) With(labels K) *I {
	if v == nil || v.instruments == nil {
		return nil
	}
	if v.dynamic {
		return v.withDynamic(labels)
	}
	if instrument, ok := v.instruments.Load(labels); ok {
		return instrument
	}
	return v.withSlow(labels, true)
}

// withDynamic is With for labels that may not be comparable. The map cannot have such labels as a key, and panics.
func (v *Vec[K, I]) withDynamic(labels K) *I {
	instrument, isKey := v.tryLoad(labels)
	if instrument == nil {
		instrument = v.withSlow(labels, isKey)
	}
	return instrument
}

func (v *Vec[K, I]) tryLoad(labels K) (instrument *I, isKey bool) {
	defer func() { isKey = recover() == nil }()
	instrument, _ = v.instruments.Load(labels)
	return instrument, true
}

// withSlow is With for labels that are new, or that no map can have as a key.
func (v *Vec[K, I]) withSlow(labels K, isKey bool) *I {
	fields := reflect.ValueOf(labels)
	tags := make([]Tag, 0, len(v.labels)+len(v.tags))
	for _, l := range v.labels {
		tags = append(tags, Tag{Key: l.key, Value: l.value(fields.Field(l.index))})
	}
	tags = append(tags, v.tags...)
	s := v.buffer.registry.hold(v.family, v.name, tags)
	instrument := v.instrument(v.buffer, s)
	// There may be any number of labels that overflow; or that have the same tags, as different pointers may. The labels
	// that are not equal to their copy would never be found.
	kept := s.Value.class == ordinary || isOverflow(tags)
	if kept && isKey && int64(v.instruments.Size()) < v.buffer.registry.series[ordinary].limit {
		if copied := cloned(labels); copied == labels {
			instrument, _ = v.instruments.LoadOrStore(copied, instrument)
		}
	}
	return instrument
}

// cloned returns a copy of labels whose strings are copies, too: they may be part of a buffer that is reused, or of one
// that is much larger.
func cloned[K comparable](labels K) K {
	cloneStrings(reflect.ValueOf(&labels).Elem())
	return labels
}

// cloneStrings replaces all strings in v, which is addressable, by copies.
func cloneStrings(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Clone(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			if !field.CanSet() { // it is not exported
				field = reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
			}
			cloneStrings(field)
		}
	case reflect.Array:
		for i := range v.Len() {
			cloneStrings(v.Index(i))
		}
	case reflect.Interface:
		if !v.IsNil() {
			copied := reflect.New(v.Elem().Type()).Elem()
			copied.Set(v.Elem())
			cloneStrings(copied)
			v.Set(copied)
		}
	}
}

// hasInterface says whether a type has interfaces in it, which may hold values that cannot be compared.
func hasInterface(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array:
		return hasInterface(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasInterface(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// A label is a field of K that is a tag.
type label struct {
	index int
	key   string
	value func(reflect.Value) string
}

// labelsOf returns the fields of the struct that are tags.
func labelsOf(t reflect.Type) ([]label, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("labels must be a struct, such as struct{ Status int }; %v is not", t)
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
			return nil, fmt.Errorf("fields %s and %s of %v are both called %q: name one of them by `tag:\"…\"`",
				fieldOf[key], field.Name, t, key)
		}
		fieldOf[key] = field.Name
		labels = append(labels, label{index: i, key: key, value: value})
	}
	return labels, nil
}

// valueOf returns the function that makes a tag's value of a field of the type, or nil if there is none.
func valueOf(t reflect.Type) func(reflect.Value) string {
	if t.Implements(reflect.TypeFor[fmt.Stringer]()) {
		return func(v reflect.Value) string {
			inner := v
			if inner.Kind() == reflect.Interface {
				inner = inner.Elem()
			}
			if !inner.IsValid() || inner.Kind() == reflect.Pointer && inner.IsNil() {
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
