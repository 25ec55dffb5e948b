package contender

import (
	"io"
	"sync"
	"time"

	"github.com/uber-go/tally/v4"
)

func tallyScope() Contender {
	const notOnDemand = "a scope reports at its interval or when it is closed, not when asked to"
	return Contender{
		Name: "tally", Module: "github.com/uber-go/tally/v4",
		How: "a root scope; tags through Tagged, with maps that are prepared; Histogram with 20 exponential buckets; " +
			"text is StatsD lines written by a StatsReporter; reports at an interval (audit: 1 ms) and on Close",
		Without: map[string]string{
			"vector":    "tags are given by scope: see by name with two tags",
			"export-1%": notOnDemand, "flush": notOnDemand, "latency-flush": notOnDemand,
		},
		Open: func(output Output) (Instance, error) {
			if output != nil {
				return newTally(time.Millisecond, &tallyReporter{output: output}), nil
			}
			return newTally(0, new(tallyReporter)), nil
		},
		OpenPeriodic: func(interval time.Duration, w io.Writer) (Instance, error) {
			return newTally(interval, &tallyReporter{w: w}), nil
		},
	}
}

type tallyInstance struct {
	scope    tally.Scope
	closer   io.Closer
	reporter *tallyReporter
}

func newTally(interval time.Duration, reporter *tallyReporter) *tallyInstance {
	t := &tallyInstance{reporter: reporter}
	t.scope, t.closer = tally.NewRootScope(tally.ScopeOptions{Reporter: reporter, OmitCardinalityMetrics: true}, interval)
	return t
}

func (t *tallyInstance) Close() error { return t.closer.Close() }

// Report waits for the report of the interval.
func (t *tallyInstance) Report() error {
	time.Sleep(time.Millisecond)
	return nil
}

func (t *tallyInstance) Limits() Limits {
	return Limits{
		Concurrent: "a scope reports by itself, one report after the other",
		Failing:    "StatsReporter's methods return no error",
	}
}

func (t *tallyInstance) Counters(names []string) Loop {
	counters := make([]tally.Counter, len(names))
	for i, name := range names {
		counters[i] = t.scope.Counter(name)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc(1)
		}
	}
}

func (t *tallyInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			t.scope.Counter(names[i]).Inc(1)
		}
	}
}

func (t *tallyInstance) Tagged(name string, labels []Labels) Loop {
	tags := make([]map[string]string, len(labels))
	for i, l := range labels {
		tags[i] = map[string]string{LabelA: l.A, LabelB: l.B}
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			t.scope.Tagged(tags[i]).Counter(name).Inc(1)
		}
	}
}

func (t *tallyInstance) Timer(name string) Loop {
	histogram := t.scope.Histogram(name, tally.MustMakeExponentialDurationBuckets(time.Microsecond, 2, 20))
	return func(_ int, order []uint32) {
		for _, d := range order {
			histogram.RecordDuration(time.Duration(d))
		}
	}
}

func (t *tallyInstance) Request() Loop {
	requests, bytes, inflight := t.scope.Counter("requests"), t.scope.Counter("bytes"), t.scope.Gauge("inflight")
	latency := t.scope.Histogram("latency", tally.MustMakeExponentialDurationBuckets(time.Microsecond, 2, 20))
	return func(_ int, order []uint32) {
		for _, d := range order {
			requests.Inc(1)
			bytes.Inc(512)
			latency.RecordDuration(time.Duration(d))
			inflight.Update(float64(d))
		}
	}
}

// Export closes the scope, which reports: there is no other way to ask for a report.
func (t *tallyInstance) Export(w io.Writer) error {
	t.reporter.w = w
	return t.closer.Close()
}

// A tallyReporter writes lines to w, or hands counters to the audit.
type tallyReporter struct {
	w      io.Writer
	output Output

	mu   sync.Mutex
	text textWriter
}

func (r *tallyReporter) Capabilities() tally.Capabilities { return r }
func (r *tallyReporter) Reporting() bool                  { return true }
func (r *tallyReporter) Tagging() bool                    { return true }

func (r *tallyReporter) ReportCounter(name string, _ map[string]string, value int64) {
	if r.output != nil {
		_ = r.output([]Report{{Name: name, Value: value}}) // cannot fail: see Limits
		return
	}
	r.write(name, value, "|c")
}

func (r *tallyReporter) write(name string, value int64, kind string) {
	if r.w == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.text.line(r.w, name, value, kind) // to memory
}

func (r *tallyReporter) ReportGauge(name string, _ map[string]string, value float64) {
	r.write(name, int64(value), "|g")
}

func (r *tallyReporter) ReportTimer(string, map[string]string, time.Duration) {}

func (r *tallyReporter) ReportHistogramValueSamples(string, map[string]string, tally.Buckets, float64, float64, int64) {
}

func (r *tallyReporter) ReportHistogramDurationSamples(
	name string, _ map[string]string, _ tally.Buckets, _, _ time.Duration, samples int64,
) {
	r.write(name, samples, "|c")
}

func (r *tallyReporter) Flush() {
	if r.w == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.text.send(r.w) // to memory
}
