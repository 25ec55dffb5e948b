package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// sums adds up the values of a sink that has no server.
type sums struct {
	mu  sync.Mutex // sinks write, the test reads
	all map[string]float64
}

func (s *sums) read() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}

func (s *sums) add(w total) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]float64)
	}
	if w.name == "depth" { // the gauge
		s.all[inWords(w)] = w.value
	} else {
		s.all[inWords(w)] += w.value
	}
}

// objects reads JSON lines: those of jsonsink, and those that log/slog writes for slogsink.
type objects struct{ sums }

func (o *objects) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		var point struct {
			Kind, Name               string
			Tags                     struct{ Label string }
			Count, Delta, Sum, Value float64
		}
		if err := json.Unmarshal([]byte(line), &point); err != nil {
			return 0, err
		}
		w := total{name: point.Name, label: point.Tags.Label}
		switch point.Kind {
		case "counter":
			w.value = point.Count + point.Delta
			o.add(w)
		case "gauge":
			w.value = point.Value
			o.add(w)
		default:
			w.part, w.value = "count", point.Count
			o.add(w)
			w.part, w.value = "sum", point.Sum
			o.add(w)
		}
	}
	return len(text), nil
}

// table reads the rows that consolesink prints: counts, since sums are not shown, and values of gauges.
type table struct{ sums }

func (t *table) Write(text []byte) (int, error) {
	kind, name := "", ""
	for line := range strings.Lines(string(text)) {
		cells := strings.Fields(strings.ReplaceAll(line, ",", "")) // series, unit in brackets, figures
		if len(cells) == 0 || strings.Contains(line, " – ") {
			continue
		}
		series := cells[0]
		cells = slices.DeleteFunc(cells[1:], func(cell string) bool { return strings.HasPrefix(cell, "[") })
		switch {
		case len(cells) > 0 && (cells[0] == "count" || cells[0] == "value"): // the head of a section
			kind = series
			continue
		case strings.HasPrefix(series, "{"): // another series of the name above
			series = name + series
		default:
			name = series
		}
		if len(cells) == 0 {
			continue
		}
		var w total
		w.name, w.label, _ = strings.Cut(strings.TrimSuffix(series, "}"), "{label=")
		if kind == "TIMERS" || kind == "HISTOGRAMS" {
			w.part = "count"
		}
		var err error
		if w.value, err = strconv.ParseFloat(cells[0], 64); err != nil {
			return 0, err
		}
		t.add(w)
	}
	return len(text), nil
}

// backend is a client library with four methods.
type backend struct{ sums }

func labelOf(tags []metricsbuffer.Tag) (label string) {
	for _, tag := range tags {
		label = tag.Value
	}
	return label
}

func (b *backend) Increment(name string, delta int64, tags []metricsbuffer.Tag) error {
	b.add(total{name: name, label: labelOf(tags), value: float64(delta)})
	return nil
}

func (b *backend) Gauge(name string, value float64, tags []metricsbuffer.Tag) error {
	b.add(total{name: name, label: labelOf(tags), value: value})
	return nil
}

func (b *backend) Timing(name string, count int64, sum time.Duration, tags []metricsbuffer.Tag) error {
	b.add(total{name: name, label: labelOf(tags), part: "count", value: float64(count)})
	b.add(total{name: name, label: labelOf(tags), part: "sum", value: float64(sum)})
	return nil
}

func (b *backend) Histogram(name, _ string, count, sum int64, tags []metricsbuffer.Tag) error {
	b.add(total{name: name, label: labelOf(tags), part: "count", value: float64(count)})
	b.add(total{name: name, label: labelOf(tags), part: "sum", value: float64(sum)})
	return nil
}
