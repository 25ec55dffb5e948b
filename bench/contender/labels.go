package contender

// Labels are the values of the two labels (tags, attributes) that tagged workloads use, LabelA and LabelB.
type Labels struct{ A, B string }

// The keys of [Labels].
const (
	LabelA = "topic"
	LabelB = "partition"
)

// labelMaps returns the labels as maps, for libraries that take those.
func labelMaps(labels []Labels) []map[string]string {
	tags := make([]map[string]string, len(labels))
	for i, l := range labels {
		tags[i] = map[string]string{LabelA: l.A, LabelB: l.B}
	}
	return tags
}

// A seriesKey is the key of a map written by hand: no strings are joined to look it up.
type seriesKey struct{ name, a, b string }

func keys(name string, labels []Labels) []seriesKey {
	keys := make([]seriesKey, len(labels))
	for i, l := range labels {
		keys[i] = seriesKey{name, l.A, l.B}
	}
	return keys
}

// seriesName returns the name in a report of a string or a seriesKey.
func seriesName(key any) string {
	if k, ok := key.(seriesKey); ok {
		return k.name + ";" + LabelA + "=" + k.a + ";" + LabelB + "=" + k.b
	}
	return key.(string)
}
