package slogsink_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

// received parses all lines of a JSON log. It refuses any that is not a point.
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
		Time             time.Time
		Level, Msg       string
		Kind, Name, Unit string
		Tags             json.RawMessage
		Delta            json.Number
		Count, Sum       int64
		Over, Min, Max   int64
		P50, P99         int64
		Value            any
	}
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&fields); err != nil {
		return p, err
	}
	kind, known := kinds[fields.Kind]
	if !known || fields.Time.IsZero() || fields.Msg != "metric" {
		return p, errors.New("no kind, no time or no message")
	}
	p = metricsbuffer.Point{
		Kind: kind, Name: fields.Name, Unit: fields.Unit, Count: fields.Count, Sum: fields.Sum,
	}
	if fields.Delta != "" {
		if p.Count, p.Decimals, err = sinktest.ParseAmount(fields.Delta.String()); err != nil {
			return p, err
		}
	}
	switch v := fields.Value.(type) {
	case float64:
		p.Value = v
	case string:
		if p.Value, err = strconv.ParseFloat(v, 64); err != nil {
			return p, err
		}
	}
	p.Tags, err = parseTags(fields.Tags)
	return p, err
}

// parseTags reads an object in which a key may be repeated.
func parseTags(object []byte) (tags []metricsbuffer.Tag, err error) {
	if object == nil {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil { // the opening brace
		return nil, err
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		tags = append(tags, metricsbuffer.Tag{Key: key.(string), Value: value.(string)})
	}
	return tags, nil
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Subject {
		f := new(file)
		return sinktest.Subject{
			Sink:     sinkFor(slog.NewJSONHandler(f, nil)),
			Received: f.received,
			Break:    func() { f.fill(true) },
			Mend:     func() { f.fill(false) },
		}
	})
}
