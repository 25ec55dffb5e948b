package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// summarize writes what happened.
func (r *report) summarize(out io.Writer, s settings, took time.Duration, before, after level) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("command", "soak -for %v -seed %d -buffers %d", s.length, s.seed, s.buffers)
	row("took", "%v", took.Round(time.Second))
	row("built with", "%s for %s/%s, %d processors, writers fenced by: %s", runtime.Version(), runtime.GOOS,
		runtime.GOARCH, runtime.NumCPU(), fenceMode())
	row("updates", "%d", r.updates.Load())
	row("writers", "%d goroutines", r.writers.Load())
	row("flips of banks", "%d", r.flips.Load())
	row("chunks made a P's own", "%d", r.promotions.Load())
	row("idle chunks taken away", "%d", r.demotions.Load())
	row("batches acknowledged", "%d", r.batches.Load())
	for i := 1; i < len(faults); i++ {
		row("writes that went wrong", "%d %s", r.faults[i].Load(), faults[i].name)
	}
	row("failures told to handlers", "%d", r.failed.Load())
	for i, name := range fates {
		row("buffers", "%d %s", r.buffers[i].Load(), name)
	}
	row("sinks", "%d", r.sinks.Load())
	row("sinks closed", "%d", r.closed.Load())
	row("series expired", "%d at least", r.expired.Load())
	row("updates in overflow series", "%d at least", r.overflowed.Load())
	row("GOMAXPROCS changed", "%d times", r.procs.Load())
	row("fence refused", "%d times", r.refusals.Load())
	row("garbage collections forced", "%d", r.collections.Load())
	row("times starved", "%d", r.famine.Load())
	row("accounts that were checked", "%d", r.accounts.Load())
	row("flushes that were checked", "%d, by sink", r.flushes.Load())
	row("goroutines", "%d before, %d after", before.goroutines, after.goroutines)
	row("heap in use", "%d KiB before, %d KiB after", before.heap>>10, after.heap>>10)
	row("lost", "%d", r.breaches[lost].Load())
	row("doubled", "%d", r.breaches[doubled].Load())
	row("torn", "%d", r.breaches[torn].Load())
	row("otherwise wrong", "%d", r.breaches[wrong].Load())
	_ = w.Flush()
	_, _ = io.WriteString(out, b.String())
}

// fenceMode asks a buffer how writers and flusher are ordered here.
func fenceMode() string {
	b, err := metricsbuffer.New()
	if err != nil {
		return err.Error()
	}
	return b.Stats().Fence
}
