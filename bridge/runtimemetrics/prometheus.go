package runtimemetrics

import (
	"runtime"
	"time"
)

// prometheus has the names of github.com/prometheus/client_golang, version 1.24, collectors.NewGoCollector and
// collectors.NewProcessCollector.
var prometheus = naming{
	ofRuntime: group{
		gauges: []gauge{
			{"go_info", tagged("version", runtime.Version()), func(*reading) float64 { return 1 }},
			{"go_goroutines", nil, levels(goroutines)},
			{"go_threads", nil, func(r *reading) float64 { return float64(r.threads) }},
			{"go_sched_gomaxprocs_threads", nil, levels(processors)},
			{"go_gc_gogc_percent", nil, levels(gcPercent)},
			{"go_gc_gomemlimit_bytes", nil, levels(memoryLimit)},

			{"go_memstats_alloc_bytes", nil, levels(heapObjects)},
			{"go_memstats_alloc_bytes_total", nil, levels(heapAllocatedBytes)},
			{"go_memstats_buck_hash_sys_bytes", nil, levels(profiling)},
			{"go_memstats_gc_sys_bytes", nil, levels(metadata)},
			{"go_memstats_heap_alloc_bytes", nil, levels(heapObjects)},
			{"go_memstats_heap_idle_bytes", nil, levels(heapReleased, heapFree)},
			{"go_memstats_heap_inuse_bytes", nil, levels(heapObjects, heapUnused)},
			{"go_memstats_heap_objects", nil, levels(heapLive)},
			{"go_memstats_heap_released_bytes", nil, levels(heapReleased)},
			{"go_memstats_heap_sys_bytes", nil, levels(heapObjects, heapUnused, heapReleased, heapFree)},
			{"go_memstats_mcache_inuse_bytes", nil, levels(cachesInUse)},
			{"go_memstats_mcache_sys_bytes", nil, levels(cachesInUse, cachesFree)},
			{"go_memstats_mspan_inuse_bytes", nil, levels(spansInUse)},
			{"go_memstats_mspan_sys_bytes", nil, levels(spansInUse, spansFree)},
			{"go_memstats_next_gc_bytes", nil, levels(heapGoal)},
			{"go_memstats_other_sys_bytes", nil, levels(otherMemory)},
			{"go_memstats_stack_inuse_bytes", nil, levels(stacks)},
			{"go_memstats_stack_sys_bytes", nil, levels(stacks, osStacks)},
			{"go_memstats_sys_bytes", nil, levels(memoryTotal)},
			{"go_memstats_last_gc_time_seconds", nil, func(r *reading) float64 { return unixSeconds(r.gc.LastGC) }},

			// The series of a summary.
			{"go_gc_duration_seconds", tagged("quantile", "0"), pauseQuantile(0)},
			{"go_gc_duration_seconds", tagged("quantile", "0.25"), pauseQuantile(1)},
			{"go_gc_duration_seconds", tagged("quantile", "0.5"), pauseQuantile(2)},
			{"go_gc_duration_seconds", tagged("quantile", "0.75"), pauseQuantile(3)},
			{"go_gc_duration_seconds", tagged("quantile", "1"), pauseQuantile(4)},
			{"go_gc_duration_seconds_sum", nil, func(r *reading) float64 { return r.gc.PauseTotal.Seconds() }},
			{"go_gc_duration_seconds_count", nil, func(r *reading) float64 { return float64(r.gc.NumGC) }},
		},
		counters: []counter{
			{"go_memstats_frees_total", nil, totals(heapFreed, heapTinyAllocated)},
			{"go_memstats_mallocs_total", nil, totals(heapAllocated, heapTinyAllocated)},
		},
		timers: []timer{
			{"go_sched_latencies_seconds", latencies},
			{"go_sched_pauses_total_gc_seconds", pauses},
		},
	},
	ofProcess: group{
		gauges: []gauge{
			{"process_max_fds", nil, func(r *reading) float64 { return r.process.maxDescriptors }},
			{"process_open_fds", nil, func(r *reading) float64 { return r.process.descriptors }},
			{"process_resident_memory_bytes", nil, func(r *reading) float64 { return r.process.resident }},
			{"process_start_time_seconds", nil, func(r *reading) float64 { return unixSeconds(r.process.started) }},
			{"process_virtual_memory_bytes", nil, func(r *reading) float64 { return r.process.virtual }},
			{"process_virtual_memory_max_bytes", nil, func(r *reading) float64 { return r.process.maxVirtual }},
		},
		counters: []counter{
			{"process_cpu_seconds_total", nil, func(r *reading) int64 {
				return int64((r.process.user + r.process.system) / time.Second)
			}},
		},
	},
	descriptions: []description{
		{"go_info", "", "The version of Go."},
		{"go_goroutines", "", "Goroutines that exist."},
		{"go_threads", "", "Threads that the Go runtime has created."},
		{"go_sched_gomaxprocs_threads", "threads", "Threads that can run Go code at the same time: GOMAXPROCS."},
		{"go_gc_gogc_percent", "percent", "How much the heap may grow before the next garbage collection: GOGC."},
		{"go_gc_gomemlimit_bytes", "bytes", "The limit of the runtime's memory: GOMEMLIMIT."},
		{"go_memstats_alloc_bytes", "bytes", "Memory of objects on the heap, also of those that are garbage."},
		{"go_memstats_alloc_bytes_total", "", "Memory that was allocated on the heap, in bytes."},
		{"go_memstats_buck_hash_sys_bytes", "bytes", "Memory for profiles."},
		{"go_memstats_gc_sys_bytes", "bytes", "Memory of the garbage collector itself."},
		{"go_memstats_heap_alloc_bytes", "bytes", "Memory of objects on the heap, also of those that are garbage."},
		{"go_memstats_heap_idle_bytes", "bytes", "Memory of the heap that holds no objects."},
		{"go_memstats_heap_inuse_bytes", "bytes", "Memory of the heap that holds objects, or is reserved for some."},
		{"go_memstats_heap_objects", "", "Objects on the heap, also those that are garbage."},
		{"go_memstats_heap_released_bytes", "bytes", "Memory of the heap that was released to the system."},
		{"go_memstats_heap_sys_bytes", "bytes", "Memory of the heap."},
		{"go_memstats_last_gc_time_seconds", "seconds", "When the last garbage collection ended, since 1970."},
		{"go_memstats_mcache_inuse_bytes", "bytes", "Memory of the runtime's mcache structures in use."},
		{"go_memstats_mcache_sys_bytes", "bytes", "Memory of the runtime's mcache structures."},
		{"go_memstats_mspan_inuse_bytes", "bytes", "Memory of the runtime's mspan structures in use."},
		{"go_memstats_mspan_sys_bytes", "bytes", "Memory of the runtime's mspan structures."},
		{"go_memstats_next_gc_bytes", "bytes", "The size of the heap at which the next garbage collection is to end."},
		{"go_memstats_other_sys_bytes", "bytes", "Memory of the runtime for other purposes."},
		{"go_memstats_stack_inuse_bytes", "bytes", "Memory of goroutines' stacks."},
		{"go_memstats_stack_sys_bytes", "bytes", "Memory of goroutines' stacks and of threads' stacks."},
		{"go_memstats_sys_bytes", "bytes", "Memory that the runtime got from the system."},
		{"go_memstats_frees_total", "", "Objects on the heap that were freed."},
		{"go_memstats_mallocs_total", "", "Objects that were allocated on the heap."},
		{"go_gc_duration_seconds", "seconds", "For how long the garbage collector stopped the world, in each collection."},
		{"go_gc_duration_seconds_sum", "", "For how long the garbage collector stopped the world, in seconds."},
		{"go_gc_duration_seconds_count", "", "Garbage collections."},
		{"go_sched_latencies_seconds", "", "For how long goroutines were ready to run before they ran."},
		{"go_sched_pauses_total_gc_seconds", "", "For how long the garbage collector stopped the world, each time."},
		{"process_cpu_seconds_total", "seconds", "Processor time that the process has used."},
		{"process_max_fds", "", "File descriptors that may be open."},
		{"process_open_fds", "", "File descriptors that are open."},
		{"process_resident_memory_bytes", "bytes", "Physical memory of the process."},
		{"process_start_time_seconds", "seconds", "When the process was started, since 1970."},
		{"process_virtual_memory_bytes", "bytes", "Virtual memory of the process."},
		{"process_virtual_memory_max_bytes", "bytes", "How much virtual memory the process may have."},
	},
}

func pauseQuantile(i int) func(*reading) float64 {
	return func(r *reading) float64 { return r.gc.PauseQuantiles[i].Seconds() }
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
