package runtimemetrics

import (
	"math"
	"time"
)

// openTelemetry has the names of OpenTelemetry's semantic conventions, version 1.43.0:
// github.com/open-telemetry/semantic-conventions, docs/runtime/go-metrics.md and docs/system/process-metrics.md.
var openTelemetry = naming{
	ofRuntime: group{
		gauges: []gauge{
			{"go.goroutine.count", nil, levels(goroutines)},
			{"go.processor.limit", nil, levels(processors)},
			{"go.config.gogc", nil, func(r *reading) float64 {
				if percent := r.level(gcPercent); percent < math.MaxInt32 {
					return percent
				}
				return unknown // GOGC=off, which the runtime tells as the largest number
			}},
			{"go.memory.used", tagged("go.memory.type", "stack"), levels(stacks)},
			{"go.memory.used", tagged("go.memory.type", "other"), func(r *reading) float64 {
				return r.level(memoryTotal) - r.level(heapReleased, stacks)
			}},
			{"go.memory.limit", nil, func(r *reading) float64 {
				if limit := r.level(memoryLimit); limit < math.MaxInt64 {
					return limit
				}
				return unknown // the conventions exclude it
			}},
			{"go.memory.gc.goal", nil, levels(heapGoal)},
		},
		counters: []counter{
			{"go.memory.allocated", nil, totals(heapAllocatedBytes)},
			{"go.memory.allocations", nil, totals(heapAllocated)},
			{"go.memory.gc.cycles", nil, totals(gcCycles)},
		},
		timers: []timer{
			{"go.memory.gc.pause.duration", pauses},
			{"go.schedule.duration", latencies},
		},
	},
	ofProcess: group{
		gauges: []gauge{
			{"process.memory.usage", nil, func(r *reading) float64 { return r.process.resident }},
			{"process.memory.virtual", nil, func(r *reading) float64 { return r.process.virtual }},
			{"process.thread.count", nil, func(r *reading) float64 { return r.process.threads }},
			{"process.unix.file_descriptor.count", nil, func(r *reading) float64 { return r.process.descriptors }},
			{"process.uptime", nil, func(r *reading) float64 { return r.at.Sub(r.process.started).Seconds() }},
		},
		counters: []counter{
			{"process.cpu.time", tagged("cpu.mode", "user"), func(r *reading) int64 {
				return int64(r.process.user / time.Second)
			}},
			{"process.cpu.time", tagged("cpu.mode", "system"), func(r *reading) int64 {
				return int64(r.process.system / time.Second)
			}},
		},
	},
	descriptions: []description{
		{"go.goroutine.count", "{goroutine}", "Goroutines that exist."},
		{"go.processor.limit", "{thread}", "Threads that can run Go code at the same time: GOMAXPROCS."},
		{"go.config.gogc", "%", "How much the heap may grow before the next garbage collection: GOGC."},
		{"go.memory.used", "By", "Memory that the Go runtime holds and has not released to the system."},
		{"go.memory.limit", "By", "The limit of the runtime's memory: GOMEMLIMIT."},
		{"go.memory.allocated", "By", "Memory that was allocated on the heap."},
		{"go.memory.allocations", "{allocation}", "Objects that were allocated on the heap."},
		{"go.memory.gc.goal", "By", "The size of the heap at which the next garbage collection is to end."},
		{"go.memory.gc.cycles", "{gc_cycle}", "Garbage collections that are complete."},
		{"go.memory.gc.pause.duration", "", "For how long the garbage collector stopped the world, each time."},
		{"go.schedule.duration", "", "For how long goroutines were ready to run before they ran."},
		{"process.cpu.time", "s", "Processor time that the process has used."},
		{"process.memory.usage", "By", "Physical memory of the process."},
		{"process.memory.virtual", "By", "Virtual memory of the process."},
		{"process.thread.count", "{thread}", "Threads of the process."},
		{"process.unix.file_descriptor.count", "{file_descriptor}", "File descriptors that are open."},
		{"process.uptime", "s", "For how long the process has been running."},
	},
}
