package contender

import (
	"sync"
	"time"

	"github.com/uber-go/tally/v4"
)

// A tallyReporter writes lines, or hands counters to the audit.
type tallyReporter struct {
	mu    sync.Mutex // a scope's last report, on Close, may be concurrent with that of its interval
	lines lines
}

func (r *tallyReporter) Capabilities() tally.Capabilities { return r }
func (r *tallyReporter) Reporting() bool                  { return true }
func (r *tallyReporter) Tagging() bool                    { return true }

func (r *tallyReporter) ReportCounter(name string, _ map[string]string, value int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines.add(name, value, "|c")
}

func (r *tallyReporter) ReportGauge(name string, _ map[string]string, value float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines.add(name, int64(value), "|g")
}

func (r *tallyReporter) ReportTimer(string, map[string]string, time.Duration) {}

func (r *tallyReporter) ReportHistogramValueSamples(string, map[string]string, tally.Buckets, float64, float64, int64) {
}

func (r *tallyReporter) ReportHistogramDurationSamples(
	name string, tags map[string]string, _ tally.Buckets, _, _ time.Duration, samples int64,
) {
	r.ReportCounter(name, tags, samples)
}

func (r *tallyReporter) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.lines.send() // to memory
}
