//go:build linux && (amd64 || arm64) && !purego && !faketime

package clock

import (
	"bytes"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sound reports whether the counter may be used: the processor, the kernel's permission and the kernel's own choice of
// a clock source speak for it.
func sound() bool { return invariant() && readable() && kernelUses(kernelSource) }

const currentSource = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

// kernelUses reports whether the kernel says that its clock source is the given one. The kernel takes a counter only
// after it has found those of all cores in step, and leaves it when they part.
func kernelUses(source string) bool {
	current, err := os.ReadFile(currentSource)
	return err == nil && string(bytes.TrimSpace(current)) == source
}

// tscMode is where the kernel puts its answer. It is no local variable: Prctl takes the address as a number, and a stack
// may move before the system call.
var tscMode int32

func prctlGetTSC() error {
	return unix.Prctl(unix.PR_GET_TSC, uintptr(unsafe.Pointer(&tscMode)), 0, 0, 0)
}
