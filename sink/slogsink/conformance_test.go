package slogsink_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

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

func (f *file) count(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) (total int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(f.text.String()) {
		var p struct {
			Kind, Name   string
			Count, Delta int64
			Tags         map[string]string
		}
		if json.Unmarshal([]byte(line), &p) != nil || p.Kind != kind.String() || p.Name != name {
			continue
		}
		if len(tags) == 0 || p.Tags[tags[0].Key] == tags[0].Value {
			total += p.Count + p.Delta
		}
	}
	return total
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Subject {
		f := new(file)
		return sinktest.Subject{
			Sink:  sinkFor(slog.NewJSONHandler(f, nil)),
			Count: f.count,
			Break: func() { f.fill(true) },
			Mend:  func() { f.fill(false) },
		}
	})
}
