// Package workload has the work that contenders do, and measures it once.
//
// Each measurement begins with a fresh instance, so that one lucky or unlucky layout in memory cannot decide a
// comparison. It warms the instance up: the first use of a series is not in the figures, unless the workload is about
// it.
package workload

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
	"github.com/metricsbuffer/metricsbuffer/internal/fence"
)

// A Workload is work that programs do with metrics.
type Workload struct {
	Name        string // stable: results of different runs are compared by it
	Title       string // for people
	Description string // one or two sentences: the operation and the figure
	Main        string // the metric that is compared; others of Values accompany it
	Needs       string // the capability that a contender must offer: a key of contender.Contender.Without; empty if all do
	Once        bool   // measured with as many goroutines as there are cores only

	run func(c contender.Contender, s Setting) (Values, error)
}

// A Setting is the condition under which a workload is measured.
type Setting struct {
	CPU      int           // GOMAXPROCS, and the number of goroutines that write
	Duration time.Duration // of the measurement proper, where it has no length of its own
	Series   int           // in a workload with many series
	ManyPs   int           // GOMAXPROCS in a workload with many Ps
}

// Values are the results of one measurement, by metric: "ns/op", "allocs/op", "B/series", "p99-ns", …
type Values map[string]float64

// ErrNotOffered says that the contender lacks the capability that the workload needs.
var ErrNotOffered = errors.New("not offered")

// All returns every workload, in the order of a report.
func All() []Workload {
	return slices.Concat(writing(), memory(), exporting(), latencies(), processors())
}

// Select returns the workloads whose names contain one of the given parts; all of them if there are none.
func Select(parts []string) ([]Workload, error) {
	all := All()
	selected := slices.DeleteFunc(slices.Clone(all), func(w Workload) bool {
		return len(parts) > 0 && !slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(w.Name, part) })
	})
	if len(selected) == 0 {
		return nil, fmt.Errorf("no workload's name contains one of %q: -list names them", parts)
	}
	return selected, nil
}

// Find returns the workload with that name.
func Find(name string) (Workload, bool) {
	all := All()
	i := slices.IndexFunc(all, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, false
	}
	return all[i], true
}

// Measure has the contender do the workload, once. The garbage of earlier measurements is collected before. It changes
// GOMAXPROCS, and how flushes of this library fence, while it runs: nothing else may run in the process.
func (w Workload) Measure(c contender.Contender, s Setting) (values Values, err error) {
	if w.lacks(c) {
		return nil, ErrNotOffered
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(s.CPU))
	fence.Refuse(c.Fenced)
	defer fence.Refuse(false)
	defer func() {
		if r := recover(); r != nil {
			values, err = nil, fmt.Errorf("%s, %s: panic: %v\n%s", w.Name, c.Name, r, debug.Stack())
		}
	}()
	runtime.GC()
	values, err = w.run(c, s)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", w.Name, c.Name, err)
	}
	return values, nil
}

// Reason returns why the contender is not measured, or "".
func (w Workload) Reason(c contender.Contender) string {
	if reason := c.Without[w.Name]; reason != "" {
		return reason
	}
	return c.Without[w.Needs]
}

func (w Workload) lacks(c contender.Contender) bool { return w.Reason(c) != "" }

// open returns a fresh instance as the interface that a workload needs.
func open[T any](c contender.Contender) (contender.Instance, T, error) {
	var offered T
	instance, err := c.Open(nil)
	if err != nil {
		return nil, offered, err
	}
	offered, ok := instance.(T)
	if !ok {
		return nil, offered, errors.Join(ErrNotOffered, instance.Close())
	}
	return instance, offered, nil
}
