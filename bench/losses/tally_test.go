package losses

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uber-go/tally/v4"
)

// A tallyReporter adds up all counters that are reported.
type tallyReporter struct {
	tally.CachedStatsReporter // the test uses counters only
	total                     atomic.Int64
}

func (r *tallyReporter) Capabilities() tally.Capabilities { return r }
func (r *tallyReporter) Reporting() bool                  { return true }
func (r *tallyReporter) Tagging() bool                    { return true }
func (r *tallyReporter) Flush()                           {}

func (r *tallyReporter) AllocateCounter(string, map[string]string) tally.CachedCount { return r }
func (r *tallyReporter) ReportCount(value int64)                                     { r.total.Add(value) }

func TestTallyCloseDuringReport(t *testing.T) {
	const counters = 10_000
	names := numbered(counters)
	delay := time.Duration(0)
	until(t, func() bool {
		r := new(tallyReporter)
		scope, closer := tally.NewRootScope(
			tally.ScopeOptions{CachedReporter: r, OmitCardinalityMetrics: true}, 20*time.Millisecond)
		begin := time.Now()
		for _, name := range names {
			scope.Counter(name).Inc(1)
		}
		// So that the last report begins about when that of the interval does, a little later each time.
		time.Sleep(20*time.Millisecond - time.Since(begin) + delay)
		delay = (delay + 7*time.Microsecond) % time.Millisecond
		require.NoError(t, closer.Close())
		time.Sleep(5 * time.Millisecond) // the report of the interval may not have ended
		t.Logf("%d of %d increments were reported", r.total.Load(), counters)
		return r.total.Load() > counters
	})
}
