//go:build linux && !metricsbuffer_nofence

package fence

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const name = "membarrier"

// Commands of membarrier(2), from linux/membarrier.h.
const (
	privateExpedited         = 1 << 3
	registerPrivateExpedited = 1 << 4
)

// available registers the process as one that uses expedited barriers. The kernel keeps the registration for the life
// of the process; doing it early matters, for it is slow once there are many threads.
func available() bool {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, registerPrivateExpedited, 0, 0)
	return errno == 0
}

// Process makes every running thread of this process execute a full memory barrier before it returns. A thread that is
// not running has executed one when it was switched out. It does nothing if [Writers] is true.
func Process() {
	if Writers {
		return
	}
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, privateExpedited, 0, 0); errno != 0 {
		// A filter installed since the process started. Going on would silently corrupt counts: writers cannot be told
		// to fence retroactively.
		panic(fmt.Sprintf("metricsbuffer: membarrier was available at start and is now refused (%v): "+
			"allow membarrier in the seccomp filter, or install the filter before the program starts", errno))
	}
}
