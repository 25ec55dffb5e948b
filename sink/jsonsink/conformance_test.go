package jsonsink_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A file is on a disk that can be full. Writes then fail.
type file struct {
	mu   sync.Mutex
	full bool
	text strings.Builder
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return 0, errFull
	}
	return f.text.Write(p)
}

func (f *file) fill(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

// received parses all lines. It refuses any that is not a point.
func (f *file) received() (points []metricsbuffer.Point, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(f.text.String()) {
		p, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%w in %q", err, line)
		}
		points = append(points, p)
	}
	return points, nil
}

var kinds = map[string]metricsbuffer.Kind{
	"counter": metricsbuffer.KindCounter, "timer": metricsbuffer.KindTimer, "gauge": metricsbuffer.KindGauge,
	"histogram": metricsbuffer.KindHistogram,
}

func parse(line string) (p metricsbuffer.Point, err error) {
	var fields struct {
		Start, End       time.Time
		Kind, Name, Unit string
		Tags             map[string]any
		Count            json.Number
		Sum, Min, Max    int64
		Value            any
		Buckets          any
	}
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&fields); err != nil {
		return p, err
	}
	kind, known := kinds[fields.Kind]
	if !known || fields.Start.IsZero() || fields.End.IsZero() {
		return p, errors.New("no kind or no time")
	}
	p = metricsbuffer.Point{Kind: kind, Name: fields.Name, Sum: fields.Sum}
	if fields.Count != "" {
		if p.Count, p.Decimals, err = sinktest.ParseAmount(fields.Count.String()); err != nil {
			return p, err
		}
	}
	if kind != metricsbuffer.KindTimer {
		p.Unit = fields.Unit
	}
	switch v := fields.Value.(type) {
	case float64:
		p.Value = v
	case string:
		if p.Value, err = strconv.ParseFloat(v, 64); err != nil {
			return p, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fields.Tags)) {
		switch value := fields.Tags[key].(type) {
		case string:
			p.Tags = append(p.Tags, tag{Key: key, Value: value})
		case []any:
			for _, v := range value {
				p.Tags = append(p.Tags, tag{Key: key, Value: v.(string)})
			}
		}
	}
	return p, nil
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Subject {
		f := new(file)
		return sinktest.Subject{
			Sink:     sinkFor(f),
			Received: f.received,
			Break:    func() { f.fill(true) },
			Mend:     func() { f.fill(false) },
		}
	})
}
