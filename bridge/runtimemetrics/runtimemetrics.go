// Package runtimemetrics records the state of the Go runtime and of the process in a buffer: goroutines, memory, pauses
// of the garbage collector, latencies of the scheduler, processor time and file descriptors.
//
//	_, err := runtimemetrics.Start(buffer) // until the buffer is closed
//
// Everything is read before each batch. A reading takes about ten microseconds, and allocates nothing after the first.
// On Linux it keeps two files open. Counters and timers begin with what happened since the process was started, not
// since Start: the first reading has all of it.
//
// # Series
//
// The names are those of OpenTelemetry's semantic conventions, version 1.43.0, for [Go] and for [processes]:
//
//	go.goroutine.count                  gauge
//	go.processor.limit                  gauge    GOMAXPROCS
//	go.config.gogc                      gauge    GOGC, in percent; not recorded while it is off
//	go.memory.used                      gauge    bytes; go.memory.type is stack or other
//	go.memory.limit                     gauge    bytes; GOMEMLIMIT, if it is set
//	go.memory.allocated                 counter  bytes
//	go.memory.allocations               counter
//	go.memory.gc.goal                   gauge    bytes
//	go.memory.gc.cycles                 counter
//	go.memory.gc.pause.duration         timer    of each pause; a cycle has about two
//	go.schedule.duration                timer    for which goroutines were runnable before they ran
//	process.cpu.time                    counter  seconds; cpu.mode is user or system
//	process.memory.usage                gauge    bytes that are resident
//	process.memory.virtual              gauge    bytes
//	process.thread.count                gauge
//	process.unix.file_descriptor.count  gauge
//	process.uptime                      gauge    seconds
//
// The conventions call the gauges UpDownCounters. Those of them that are not in the list are not recorded: go.cpu.time,
// which the runtime estimates at the end of each cycle of the garbage collector, disk, network, context switches, page
// faults, and utilization, which follows from the time.
//
// The values of the process come from Linux, and are not recorded on other systems. A value that the version of Go does
// not have is left out, too.
//
// # Prometheus
//
// [WithPrometheusNames] takes the names of client_golang instead, for dashboards and alerts that use them. Then
// sink/promsink and sink/openmetricssink serve all series that collectors.NewGoCollector and
// collectors.NewProcessCollector of client_golang 1.24 serve by default, under the same names, with the same labels,
// types and values, except for these:
//
//	process_cpu_seconds_total           counts whole seconds; no fraction is lost. A rate over one minute has steps of
//	                                    1.7 % of a processor, and one over five minutes of 0.3 %
//	go_gc_duration_seconds              is a summary there; here its series are gauges, also those with _sum and
//	                                    _count. Queries do not see a difference
//	go_memstats_alloc_bytes_total       is a counter there, and a gauge here: in OpenMetrics a counter of that name would
//	                                    take the name go_memstats_alloc_bytes, too. rate() does not see a difference
//	process_network_*_bytes_total       are not recorded: they count for all processes of the network namespace
//
// Two more are histograms, which client_golang serves with collectors.MetricsScheduler: go_sched_latencies_seconds and
// go_sched_pauses_total_gc_seconds. They have the buckets of this library's sinks. Their sums are estimates here, and
// lower bounds there.
//
// [prometheus.DefaultRegisterer] has client_golang's collectors already. A sink that is registered there, too, fails
// the scrape: both serve the same series. Register the sink in a registry of its own.
//
// # Histograms
//
// The runtime counts pauses and latencies in buckets of its own. Each reading moves what is new in a bucket into the
// timer, as that many observations of the middle of the bucket. So the count is exact. A duration is off by at most
// 12.5 %, and by at most 32 ns if it is below 256 ns. The same holds for the sum, the minimum and the maximum; errors
// in the sum mostly cancel out. Powers of two nanoseconds are bounds of the runtime's buckets, too. So the classic
// buckets that the sinks for Prometheus serve by default have exact counts, but for durations that equal a bound.
//
// [Go]: https://github.com/open-telemetry/semantic-conventions/blob/v1.43.0/docs/runtime/go-metrics.md
// [processes]: https://github.com/open-telemetry/semantic-conventions/blob/v1.43.0/docs/system/process-metrics.md
// [prometheus.DefaultRegisterer]: https://pkg.go.dev/github.com/prometheus/client_golang/prometheus#DefaultRegisterer
package runtimemetrics

import (
	"fmt"

	"github.com/metricsbuffer/metricsbuffer"
)

// An Option configures [Start]. The zero Option does nothing.
type Option struct{ apply func(*config) }

type config struct {
	names          *naming
	withoutProcess bool
}

// WithPrometheusNames takes the names and labels of client_golang; see the package's documentation.
func WithPrometheusNames() Option { return Option{func(c *config) { c.names = &prometheus }} }

// WithoutProcess records the runtime only, and nothing that the operating system tells about the process.
func WithoutProcess() Option { return Option{func(c *config) { c.withoutProcess = true }} }

// Start has everything recorded before each batch of the buffer, until the poll is stopped or the buffer is closed. If
// the buffer is nil, nothing is recorded. Call it once for a buffer: a second call would count everything twice. The
// buffer may be a scope ([metricsbuffer.Buffer.With]).
//
// It returns an error if Linux does not tell about the process, as without /proc; [WithoutProcess] then records the
// rest.
func Start(buffer *metricsbuffer.Buffer, opts ...Option) (*metricsbuffer.Poll, error) {
	c := config{names: &openTelemetry}
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(&c)
		}
	}
	if buffer == nil {
		return nil, nil // a nil poll does nothing
	}
	var p *process
	if !c.withoutProcess {
		var err error
		if p, err = openProcess(); err != nil {
			return nil, fmt.Errorf("runtimemetrics: Start: the values of the process cannot be read; "+
				"give the option WithoutProcess to record those of the runtime alone: %w", err)
		}
	}
	for _, d := range c.names.descriptions {
		buffer.Describe(d.name, d.help, d.unit)
	}
	return buffer.Poll(newCollector(buffer, c.names, p).collect), nil
}
