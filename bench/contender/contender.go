// Package contender has one adapter for each library, in each configuration, that the suite compares.
//
// An adapter uses its library in the fastest way that the library's own documentation shows. Every [Instance] counts,
// exports as text, reports and closes. It may also implement [Named], [Tagged], [Vector], [Timer], [Stopwatch],
// [Group], [Request] and [Page]. A comparison leaves out a contender without the capability; the reason is in
// [Contender.Without].
package contender

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Contender is a library in one configuration.
type Contender struct {
	Name    string // stable: results of different runs are compared by it
	Module  string // of the library; empty for the standard library
	How     string // the configuration and use of the library here, in one sentence
	Ours    bool   // a mode of this library
	Fenced  bool   // flushes fence by stopping the world
	BuildBy string // measured in a child process, built with this tag

	Without Reasons // capabilities ("named", "timer", …), or workloads, that the library does not offer
	Limits  Limits

	// Open returns an instance with an empty registry, which reports to output. Without an output it only exports.
	Open func(output Output) (Instance, error)

	// OpenPeriodic is set for a library that reports at an interval only: it returns an instance that does so, as text.
	OpenPeriodic func(interval time.Duration, w io.Writer) (Instance, error)
}

// Limits are the reasons why scenarios of the audit make no sense for a library. An empty one is no limit.
type Limits struct {
	Concurrent string // why reports must not be concurrent
	Failing    string // why the library cannot learn that a report failed
	Closing    string // why there is no closing it
}

// An Instance is a contender's registry or client, in use.
type Instance interface {
	// Counters returns a loop of which each operation adds one to the counter that order says, by handle, or by name
	// where the library has no handles. It is called once for an instance.
	Counters(names []string) Loop

	// Export writes the values as text: a report since the last one, or the current totals, as the library does.
	// Exports are not concurrent.
	Export(w io.Writer) error

	// Report has the library report once, to the output that the instance was opened with. It is called concurrently
	// unless Limits says that it must not be.
	Report() error

	// Close ends the instance as the library wants it to be ended, with a last report if it has an output.
	Close() error
}

// An Output takes the reports of a contender: all of them, or none if it returns an error.
type Output func([]Report) error

// A Report is the value of one series.
type Report struct {
	Name  string
	Value int64
	Total bool // Value is the sum of all updates so far; else of those since the last report
}

// Named is offered by a contender whose counters can be increased by name: the name is looked up in each operation.
type Named interface{ Named(names []string) Loop }

// Tagged is offered by a contender whose counters can be increased by name and two tags, in each operation.
type Tagged interface {
	Tagged(name string, labels []Labels) Loop
}

// Vector is offered by a contender that has one counter with two labels, whose values are given in each operation.
type Vector interface {
	Vector(name string, labels []Labels) Loop
}

// Timer is offered by a contender with a timer that tells quantiles. Elements of order are nanoseconds.
type Timer interface{ Timer(name string) Loop }

// Stopwatch is offered by a contender with a timer: an operation starts the clock, stops it at once and records the
// duration, in the library's own way.
type Stopwatch interface{ Stopwatch() Loop }

// Group is offered by a contender with counters and a timer: an operation increments two counters and observes a
// duration, which is the element of order. A library that has one call for several updates uses it.
type Group interface{ Group() Loop }

// Request is offered by a contender with all of it: an operation increments two counters, observes a duration, which is
// the element of order, in a timer, and sets a gauge, all by handle where there are handles.
type Request interface{ Request() Loop }

// Page is offered by a contender that serves counters to Prometheus by itself. They are those of one name, [PageName],
// with one label, [LabelA]; each operation adds one to the counter that has the value at the index in order. The
// handler writes the classic text format.
type Page interface {
	Page(values []string) (Loop, http.Handler)
}

// PageName is the name of the counters on a [Page]; Prometheus gets it with the suffix _total.
const PageName = "jobs_done"

// Reasons say, by capability, why a library does not offer it.
type Reasons map[string]string

// countersOnly adds the capabilities that need a timer, and the page.
func (r Reasons) countersOnly(reason string) Reasons {
	r["page"] = noPage
	for _, capability := range []string{"timer", "stopwatch", "group", "request"} {
		r[capability] = reason
	}
	return r
}

const noPage = "it has no page for Prometheus"

// All returns every contender, this library first.
func All() []Contender {
	return slices.Concat(
		metricsbufferModes(),
		[]Contender{
			atomicWords(), mutexMap(), rwMutexMap(), syncMap(), xsyncV3(), xsyncV4(), crsyncCounters(),
			prometheusClassic(), prometheusNative(), victoriaMetrics(), openTelemetry(), openTelemetryExponential(),
			tallyScope(), goMetrics(), hashicorpInmem(), datadog(), gostats(),
		},
	)
}

// Find returns the contender with that name.
func Find(name string) (Contender, bool) {
	all := All()
	i := slices.IndexFunc(all, func(c Contender) bool { return c.Name == name })
	if i < 0 {
		return Contender{}, false
	}
	return all[i], true
}

// Select returns the contenders whose names contain one of the given parts; all of them if there are none. This
// library's default mode is always among them, because ratios are to it.
func Select(parts []string) ([]Contender, error) {
	if len(parts) == 0 {
		return All(), nil
	}
	var selected []Contender
	for i, c := range All() {
		if i == 0 || slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(c.Name, part) }) {
			selected = append(selected, c)
		}
	}
	if len(selected) == 1 && !strings.Contains(selected[0].Name, parts[0]) {
		return nil, fmt.Errorf("no contender's name contains one of %q: -list names them", parts)
	}
	return selected, nil
}
