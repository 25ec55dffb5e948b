//go:build linux && !purego && !faketime

package clock

import "golang.org/x/sys/unix"

const (
	counterName  = "tsc"
	kernelSource = "tsc"
	tickShift    = 0 // a tick is shorter than 1<<tickShift nanoseconds
)

// counter reads the time-stamp counter. The runtime's own runtime.cputicks waits for earlier instructions, by RDTSCP,
// and takes three times as long.
func counter() int64

func cpuid(leaf uint32) (eax, ebx, ecx, edx uint32)

// invariant reports whether the counter runs at one rate in all power states: "invariant TSC" in the manuals of AMD and
// Intel.
func invariant() bool {
	const highest, power = 0x80000000, 0x80000007
	if leaf, _, _, _ := cpuid(highest); leaf < power {
		return false
	}
	_, _, _, edx := cpuid(power)
	return edx&(1<<8) != 0
}

// readable reports whether the process may read the counter. One that may not gets SIGSEGV.
func readable() bool {
	err := prctlGetTSC()
	return err == nil && tscMode == unix.PR_TSC_ENABLE
}
