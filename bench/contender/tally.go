package contender

import (
	"io"
	"time"

	"github.com/uber-go/tally/v4"
)

func tallyScope() Contender {
	const notOnDemand = "a scope reports at its interval or when it is closed, not when asked to"
	return Contender{
		Name: "tally", Module: "github.com/uber-go/tally/v4",
		How: "a root scope; tags through Tagged, with maps that are prepared; Histogram with 20 exponential buckets; " +
			"text is StatsD lines written by a StatsReporter; reports at an interval (audit: 1 ms) and on Close",
		Without: Reasons{
			"page":      "its reporter for Prometheus is client_golang",
			"vector":    "tags are given by scope: see by name with two tags",
			"export-1%": notOnDemand, "flush": notOnDemand, "latency-flush": notOnDemand,
		},
		Limits: Limits{
			Concurrent: "a scope reports by itself, and not when asked to",
			Failing:    "StatsReporter's methods return no error",
		},
		Open: func(output Output) (Instance, error) {
			if output == nil {
				return newTally(0, lines{}), nil
			}
			return newTally(time.Millisecond, lines{output: output}), nil
		},
		OpenPeriodic: func(interval time.Duration, w io.Writer) (Instance, error) {
			return newTally(interval, lines{w: w}), nil
		},
	}
}

type tallyInstance struct {
	scope    tally.Scope
	closer   io.Closer
	reporter *tallyReporter
}

func newTally(interval time.Duration, to lines) *tallyInstance {
	t := &tallyInstance{reporter: &tallyReporter{lines: to}}
	options := tally.ScopeOptions{Reporter: t.reporter, OmitCardinalityMetrics: true}
	t.scope, t.closer = tally.NewRootScope(options, interval)
	return t
}

func (t *tallyInstance) Close() error { return t.closer.Close() }

// Report waits for the report of the interval.
func (t *tallyInstance) Report() error {
	time.Sleep(time.Millisecond)
	return nil
}

// Export closes the scope, which reports: there is no other way to ask for a report.
func (t *tallyInstance) Export(w io.Writer) error {
	t.reporter.lines.w = w
	return t.closer.Close()
}

func (t *tallyInstance) Counters(names []string) Loop {
	counters := handles(names, t.scope.Counter)
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc(1) }) }
}

func (t *tallyInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) { each(order, func(i uint32) { t.scope.Counter(names[i]).Inc(1) }) }
}

func (t *tallyInstance) Tagged(name string, labels []Labels) Loop {
	tags := labelMaps(labels)
	return func(_ int, order []uint32) {
		each(order, func(i uint32) { t.scope.Tagged(tags[i]).Counter(name).Inc(1) })
	}
}

func (t *tallyInstance) histogram(name string) tally.Histogram {
	return t.scope.Histogram(name, tally.MustMakeExponentialDurationBuckets(time.Microsecond, 2, 20))
}

func (t *tallyInstance) Timer(name string) Loop {
	histogram := t.histogram(name)
	return func(_ int, order []uint32) {
		each(order, func(d uint32) { histogram.RecordDuration(time.Duration(d)) })
	}
}

func (t *tallyInstance) Stopwatch() Loop {
	histogram := t.histogram("latency")
	return func(_ int, order []uint32) { each(order, func(uint32) { histogram.Start().Stop() }) }
}

func (t *tallyInstance) Group() Loop {
	requests, bytes, latency := t.scope.Counter("requests"), t.scope.Counter("bytes"), t.histogram("latency")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc(1)
			bytes.Inc(512)
			latency.RecordDuration(time.Duration(d))
		})
	}
}

func (t *tallyInstance) Request() Loop {
	requests, bytes, inflight := t.scope.Counter("requests"), t.scope.Counter("bytes"), t.scope.Gauge("inflight")
	latency := t.histogram("latency")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc(1)
			bytes.Inc(512)
			latency.RecordDuration(time.Duration(d))
			inflight.Update(float64(d))
		})
	}
}
