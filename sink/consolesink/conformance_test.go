package consolesink_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
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

// received reads all tables.
func (s *screen) received() (points []metricsbuffer.Point, err error) {
	var r reader
	for line := range strings.Lines(s.text()) {
		if err := r.read(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("%w in line %q", err, line)
		}
	}
	return r.points, nil
}

// counts returns the sum of the counts of each series, by name and tags.
func (s *screen) counts(t *testing.T) map[string]int64 {
	t.Helper()
	points, err := s.received()
	require.NoError(t, err)
	totals := make(map[string]int64)
	for _, p := range points {
		totals[p.Name] += p.Count
	}
	return totals
}

// A reader reads tables as a person does.
type reader struct {
	kind   metricsbuffer.Kind
	series metricsbuffer.Point // of the latest line with a name
	points []metricsbuffer.Point
}

var (
	times   = regexp.MustCompile(`^[-0-9]+ [:.0-9]+ – [-:. 0-9]+  [.0-9nµmhs]+  \d+ series$`)
	nothing = regexp.MustCompile(`^[-0-9]+ [:.0-9]+  no update since the last table$`)
	head    = regexp.MustCompile(`^(COUNTERS|TIMERS|HISTOGRAMS) +count +per s|^(GAUGES) +value$`)
)

func (r *reader) read(line string) (err error) {
	if line == "" || times.MatchString(line) || nothing.MatchString(line) {
		return nil
	}
	if title := head.FindStringSubmatch(line); title != nil {
		r.kind = map[string]metricsbuffer.Kind{
			"COUNTERS": metricsbuffer.KindCounter, "TIMERS": metricsbuffer.KindTimer, "GAUGES": metricsbuffer.KindGauge,
			"HISTOGRAMS": metricsbuffer.KindHistogram,
		}[title[1]+title[2]]
		return nil
	}
	rest := line
	indented := strings.HasPrefix(line, "  {")
	switch {
	case indented:
		rest = line[2:]
	case !strings.HasPrefix(line, " "):
		r.series = metricsbuffer.Point{Kind: r.kind}
		if r.series.Name, rest, err = cutWord(line); err != nil {
			return err
		}
	}
	if r.series.Tags, rest, err = cutTags(rest, r.series.Tags); err != nil {
		return err
	}
	if unit, ok := strings.CutPrefix(rest, " ["); ok && !indented {
		if unit, rest, err = cutWord(unit); err != nil {
			return err
		}
		if rest, ok = strings.CutPrefix(rest, "]"); !ok {
			return errors.New("no bracket after the unit")
		}
		if r.kind == metricsbuffer.KindHistogram {
			r.series.Unit = unit
		}
	}
	cells := strings.Fields(strings.ReplaceAll(rest, ",", ""))
	if len(cells) == 0 {
		return nil // the figures, or the tags of several series, follow
	}
	p := r.series
	if r.kind == metricsbuffer.KindGauge {
		p.Value, err = strconv.ParseFloat(cells[0], 64)
	} else {
		p.Count, p.Decimals, err = sinktest.ParseAmount(cells[0])
	}
	r.points = append(r.points, p)
	return err
}

// cutTags reads {key=value,…}. If there is none it returns the tags of the line before, whose figures come now.
func cutTags(s string, before []metricsbuffer.Tag) (tags []metricsbuffer.Tag, rest string, err error) {
	if !strings.HasPrefix(s, "{") {
		return before, s, nil
	}
	for !strings.HasPrefix(s, "}") {
		var t metricsbuffer.Tag
		if t.Key, s, err = cutWord(s[1:]); err != nil {
			return nil, "", err
		}
		if !strings.HasPrefix(s, "=") {
			return nil, "", errors.New("no value after a key")
		}
		if t.Value, s, err = cutWord(s[1:]); err != nil {
			return nil, "", err
		}
		if s == "" || !strings.Contains(",}", s[:1]) {
			return nil, "", errors.New("no end after a value")
		}
		tags = append(tags, t)
	}
	return tags, s[1:], nil
}

// cutWord reads a plain word or a quoted string.
func cutWord(s string) (word, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s+" ", " {}=,[]")
		return s[:end], s[end:], nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	word, err = strconv.Unquote(quoted)
	return word, s[len(quoted):], err
}

func subject(s *screen, sink metricsbuffer.Sink) sinktest.Subject {
	return sinktest.Subject{
		Sink:     sink,
		Received: s.received,
		Break:    func() { s.turn(true) },
		Mend:     func() { s.turn(false) },
	}
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		s := new(screen)
		return subject(s, sinkFor(t, s, consolesink.WithMaxRows(0)))
	})
}

func TestConformanceOfDumper(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		s := new(screen)
		dump, err := consolesink.DumpOnSignal(s, consolesink.WithMaxRows(0), consolesink.WithSignals(os.Interrupt))
		require.NoError(t, err)
		sub := subject(s, dump)
		sub.Received = func() ([]metricsbuffer.Point, error) {
			if err := dump.Dump(t.Context()); err != nil && !errors.Is(err, metricsbuffer.ErrClosed) {
				return nil, err
			}
			return s.received()
		}
		return sub
	})
}
