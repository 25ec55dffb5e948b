//go:build linux && !purego && !faketime

package clock

import (
	"errors"

	"golang.org/x/sys/unix"
)

const (
	counterName  = "cntvct"
	kernelSource = "arch_sys_counter"
	tickShift    = 6 // a tick is shorter than 1<<tickShift nanoseconds; a slower counter is not worth it
)

// counter reads the virtual counter of the generic timer.
func counter() int64

// invariant reports whether the counter runs at one rate in all power states, which the architecture demands.
func invariant() bool { return true }

// readable reports whether the process may read the counter. One that may not gets SIGSEGV. A kernel before 6.12 cannot
// forbid it, and does not know the question.
func readable() bool {
	err := prctlGetTSC()
	return errors.Is(err, unix.EINVAL) || err == nil && tscMode == unix.PR_TSC_ENABLE
}
