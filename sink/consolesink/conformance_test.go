package consolesink_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

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
		return 0, errors.New("switched off")
	}
	return s.shown.Write(p)
}

func (s *screen) turn(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		s := new(screen)
		return sinktest.Subject{
			Sink: consolesink.New(s, consolesink.WithMaxRows(0)),
			Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) (total int64) {
				for _, tag := range tags {
					name += "{" + tag.Key + "=" + tag.Value + "}"
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				for line := range strings.Lines(s.shown.String()) {
					cells := strings.Fields(line)
					if len(cells) > 1 && cells[0] == kind.String() && cells[len(cells)-1] == name {
						count, err := strconv.ParseInt(cells[1], 10, 64)
						require.NoError(t, err)
						total += count
					}
				}
				return total
			},
			Break: func() { s.turn(true) },
			Mend:  func() { s.turn(false) },
		}
	})
}
