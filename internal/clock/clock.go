// Package clock measures durations by the processor's time-stamp counter, which costs a third of a reading of the
// runtime's clock, wherever the counter is sound. Everywhere else it measures by the runtime's monotonic clock.
//
// # Which clock
//
// The package decides once, at the start of the process. The counter is sound on Linux if the processor says that it
// runs at one rate in all power states (amd64: CPUID leaf 0x80000007, EDX bit 8, "invariant TSC"; arm64: the
// architecture demands it of CNTVCT_EL0), if the process may read it, and if the kernel uses it as its own clock source
// now (current_clocksource in sysfs is "tsc" or "arch_sys_counter"), because the kernel has compared the counters of
// all cores then. A kernel with another clock source, as kvm-clock, a file that cannot be read, another system,
// another processor and the build tag purego mean the runtime's clock.
//
// In a binary of "go test" it is the runtime's clock as well: in a bubble of testing/synctest time is fake, the counter
// is not, and only the runtime knows whether a goroutine is in a bubble.
//
// # Ratio
//
// The counter's rate is measured against the runtime's clock, and so follows the corrections of NTP; CNTFRQ_EL0 and the
// frequency that CPUID states do not, and firmware sets them wrongly at times. The first reading is taken at the start.
// The counter is used as soon as a second one, at least 5 ms later, tells the ratio to 20 ppm. Nothing waits for that:
// a stopwatch that starts earlier is measured by the runtime's clock from start to end. Each [Check] compares the
// counter with the runtime's clock, and refines the ratio if at least a second has passed.
//
// If the two clocks part by more than 100 ppm between two checks, the counter is given up for the rest of the process.
// A stopwatch that started before that by the counter is converted: see state.when.
//
// # Resolution and order
//
// A duration is rounded up to whole nanoseconds, so it is at least one. The counter moves in steps of about 10 ns on
// current processors of AMD, below 1 ns on those of Intel, and 1 to 52 ns on arm64; the runtime's clock, which the
// kernel derives from it, has the same steps. RDTSC and MRS CNTVCT_EL0 are read without a fence: the processor may
// read the counter before earlier instructions have completed, or after later ones have begun. That moves a reading by
// the time that the instructions in flight take, a few tens of nanoseconds where they miss the caches. A fence would
// take longer than the rest of a reading.
//
// # Suspension, migration
//
// The time while the system is suspended does not count, as it does not for the runtime's clock on Linux. A difference
// of a second and more is checked against the runtime's clock before it is believed, which shows a counter that went on
// during a suspension, or was set when a virtual machine moved. A difference down to 10 µs below zero is measured as a
// nanosecond: it occurs when a stopwatch is stopped on another core in the same instant. A larger one shows that the
// cores are not in step: it is measured by the runtime's clock, and the counter is given up.
package clock

import (
	"testing"
	"time"
)

// A Reading is a moment, on one of the two clocks:
//
//	> 0  the processor's counter
//	= 0  no moment at all
//	< 0  the runtime's clock, in nanoseconds since epoch, less 1<<62
//
// It thus says by itself how to measure from it, whatever became of the counter in between. Since the counter starts at
// zero with the machine, and is not used if it is beyond 1<<62, both clocks have room for decades.
type Reading int64

const runtimeOffset = 1 << 62

// process is the clock of this process.
var process clock

func init() { process.start(counter, sound() && !testing.Testing()) }

// Now returns the current moment.
func Now() Reading {
	if process.state.Load().counts() {
		return Reading(counter())
	}
	return process.nowByRuntime()
}

// Since returns the time since a moment. It is zero for the zero Reading, and not negative on the counter.
func Since(start Reading) time.Duration {
	if s := process.state.Load(); int64(start) >= s.first {
		if ticks := counter() - int64(start); uint64(ticks) < s.second {
			return s.duration(ticks)
		}
	}
	return process.sinceSlow(start)
}

// Check compares the counter with the runtime's clock. It is to be called now and then, by anybody.
func Check() { process.check() }

// Name returns "tsc" or "cntvct" if the processor's counter is in use now, and "runtime" otherwise.
func Name() string {
	if process.state.Load().counts() {
		return counterName
	}
	return "runtime"
}

// Fallbacks returns how many times the counter was given up: 0 or 1.
func Fallbacks() int64 {
	if process.state.Load().phase == fallen {
		return 1
	}
	return 0
}

// UseCounter is for benchmarks, which run in binaries of "go test": it takes the counter into use if that is sound, and
// returns once it is in use. The function restore goes back. No goroutine may be in a bubble of testing/synctest
// meanwhile.
func UseCounter() (restore func(), ok bool) {
	if !sound() {
		return func() {}, false
	}
	return process.useCounter(), process.state.Load().counts()
}
