package runtimemetrics

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A source is one of the runtime's metrics, as an index of [reading.samples].
type source int

const (
	goroutines source = iota
	processors
	gcPercent
	memoryLimit
	gcCycles
	heapGoal
	heapAllocatedBytes
	heapAllocated
	heapFreed
	heapTinyAllocated
	heapLive
	memoryTotal
	heapObjects
	heapUnused
	heapReleased
	heapFree
	stacks
	osStacks
	spansInUse
	spansFree
	cachesInUse
	cachesFree
	profiling
	metadata
	otherMemory
	latencies
	pauses
	sources
)

// sourceNames are those of https://pkg.go.dev/runtime/metrics#hdr-Supported_metrics.
var sourceNames = [sources]string{
	goroutines:         "/sched/goroutines:goroutines",
	processors:         "/sched/gomaxprocs:threads",
	gcPercent:          "/gc/gogc:percent",
	memoryLimit:        "/gc/gomemlimit:bytes",
	gcCycles:           "/gc/cycles/total:gc-cycles",
	heapGoal:           "/gc/heap/goal:bytes",
	heapAllocatedBytes: "/gc/heap/allocs:bytes",
	heapAllocated:      "/gc/heap/allocs:objects",
	heapFreed:          "/gc/heap/frees:objects",
	heapTinyAllocated:  "/gc/heap/tiny/allocs:objects",
	heapLive:           "/gc/heap/objects:objects",
	memoryTotal:        "/memory/classes/total:bytes",
	heapObjects:        "/memory/classes/heap/objects:bytes",
	heapUnused:         "/memory/classes/heap/unused:bytes",
	heapReleased:       "/memory/classes/heap/released:bytes",
	heapFree:           "/memory/classes/heap/free:bytes",
	stacks:             "/memory/classes/heap/stacks:bytes",
	osStacks:           "/memory/classes/os-stacks:bytes",
	spansInUse:         "/memory/classes/metadata/mspan/inuse:bytes",
	spansFree:          "/memory/classes/metadata/mspan/free:bytes",
	cachesInUse:        "/memory/classes/metadata/mcache/inuse:bytes",
	cachesFree:         "/memory/classes/metadata/mcache/free:bytes",
	profiling:          "/memory/classes/profiling/buckets:bytes",
	metadata:           "/memory/classes/metadata/other:bytes",
	otherMemory:        "/memory/classes/other:bytes",
	latencies:          "/sched/latencies:seconds",
	pauses:             "/sched/pauses/total/gc:seconds",
}

// A reading is the state of the runtime and of the process at one moment. Its memory is used again for the next one.
type reading struct {
	at      time.Time
	samples [sources]metrics.Sample
	threads int // that the runtime has created
	gc      debug.GCStats
	process usage // if the system tells it
}

// pauseQuantiles are the quantiles in [reading.gc]: 0, 0.25, 0.5, 0.75 and 1.
const pauseQuantiles = 5

func newReading() *reading {
	r := &reading{gc: debug.GCStats{PauseQuantiles: make([]time.Duration, pauseQuantiles)}}
	for i := range r.samples {
		r.samples[i].Name = sourceNames[i]
	}
	return r
}

// read reads all that the runtime tells.
func (r *reading) read() {
	r.at = time.Now()
	metrics.Read(r.samples[:])
	r.threads, _ = runtime.ThreadCreateProfile(nil)
	debug.ReadGCStats(&r.gc)
}

// unknown is NaN, the value of a gauge that is not to be set.
var unknown = math.NaN()

// level adds up the sources, for a gauge.
func (r *reading) level(of ...source) float64 {
	sum := uint64(0)
	for _, i := range of {
		v := &r.samples[i].Value
		if v.Kind() != metrics.KindUint64 {
			return unknown // this version of Go does not have it
		}
		sum += v.Uint64()
	}
	return float64(sum)
}

// total adds up the sources, for a counter.
func (r *reading) total(of ...source) int64 {
	sum := uint64(0)
	for _, i := range of {
		if v := &r.samples[i].Value; v.Kind() == metrics.KindUint64 {
			sum += v.Uint64()
		}
	}
	return int64(sum)
}

func levels(of ...source) func(*reading) float64 {
	return func(r *reading) float64 { return r.level(of...) }
}

func totals(of ...source) func(*reading) int64 {
	return func(r *reading) int64 { return r.total(of...) }
}
