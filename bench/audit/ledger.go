package audit

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

var errRefused = errors.New("the audit refuses this report")

// A ledger adds up reports. Its output, take, may be called concurrently.
type ledger struct {
	mu       sync.Mutex
	deltas   map[string]int64 // reported since the last report
	totals   map[string]int64 // reported as everything so far: the largest, as reports may overtake each other
	negative int64            // deltas below zero, of counters that only grow
	failing  bool             // refuse every third report
	attempts int
	refused  int
}

func newLedger(failing bool) *ledger {
	return &ledger{deltas: make(map[string]int64), totals: make(map[string]int64), failing: failing}
}

func name(i int) string { return "series_" + strconv.Itoa(i) }

func (l *ledger) names() []string {
	names := make([]string, series)
	for i := range names {
		names[i] = name(i)
	}
	return names
}

func (l *ledger) take(reports []contender.Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(reports) == 0 {
		return nil // refusing nothing would show nothing
	}
	l.attempts++
	if l.failing && l.attempts%3 == 1 {
		l.refused++
		return errRefused
	}
	for _, r := range reports {
		if r.Total {
			l.totals[r.Name] = max(l.totals[r.Name], r.Value)
		} else {
			l.deltas[r.Name] += r.Value
			if r.Value < 0 {
				l.negative++
			}
		}
	}
	return nil
}

// hasRefused says whether the ledger refused enough reports for a finding.
func (l *ledger) hasRefused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused >= 3
}

// heal makes the output work from now on.
func (l *ledger) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = false
}

// compare finds updates that must have been reported and were not, and reports of more updates than can have been
// recorded.
func (l *ledger) compare(must, can *tally) result.Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := result.Finding{Impossible: l.negative}
	for i := range must {
		reported := l.deltas[name(i)] + l.totals[name(i)]
		f.Recorded += must[i]
		f.Reported += reported
		f.Lost += max(0, must[i]-reported)
		f.Doubled += max(0, reported-can[i])
	}
	if l.refused > 0 {
		f.Note = fmt.Sprintf("%d of %d reports were refused", l.refused, l.attempts)
	}
	return f
}
