package consolesink_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

var errSwitchedOff = errors.New("switched off")

// A screen can be switched off and on.
type screen struct {
	mu    sync.Mutex
	off   bool
	shown strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return 0, errSwitchedOff
	}
	return s.shown.Write(p)
}

func (s *screen) turn(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// read reads the tables as a person does. It returns the sum of the counts of each series, by kind and series.
func (s *screen) read(t *testing.T) map[string]int64 {
	t.Helper()
	totals := make(map[string]int64)
	kind, name := "", ""
	for line := range strings.Lines(s.text()) {
		cells := strings.Fields(line)
		if len(cells) == 0 || strings.Contains(line, " – ") || strings.HasSuffix(line, "no update since the last table\n") {
			continue
		}
		label := cells[0]
		cells = slices.DeleteFunc(cells[1:], func(cell string) bool { return strings.HasPrefix(cell, "[") })
		switch {
		case len(cells) > 0 && (cells[0] == "count" || cells[0] == "value"):
			kind = strings.ToLower(strings.TrimSuffix(label, "S"))
			continue
		case strings.HasPrefix(label, "{"):
			label = name + label
		default:
			name = label
		}
		if len(cells) > 1 {
			count, err := strconv.ParseInt(strings.ReplaceAll(cells[0], ",", ""), 10, 64)
			require.NoError(t, err, line)
			totals[kind+" "+label] += count
		}
	}
	return totals
}

func subject(t *testing.T, s *screen, sink metricsbuffer.Sink) sinktest.Subject {
	return sinktest.Subject{
		Sink: sink,
		Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int64 {
			for _, tag := range tags {
				name += "{" + tag.Key + "=" + tag.Value + "}"
			}
			return s.read(t)[kind.String()+" "+name]
		},
		Break: func() { s.turn(true) },
		Mend:  func() { s.turn(false) },
	}
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		s := new(screen)
		return subject(t, s, sinkFor(t, s, consolesink.WithMaxRows(0)))
	})
}

func TestConformanceOfDumper(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		s := new(screen)
		dump, err := consolesink.DumpOnSignal(s, consolesink.WithMaxRows(0), consolesink.WithSignals(os.Interrupt))
		require.NoError(t, err)
		return subject(t, s, dump)
	})
}
