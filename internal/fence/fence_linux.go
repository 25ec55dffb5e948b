//go:build linux && !metricsbuffer_nofence

package fence

import "golang.org/x/sys/unix"

const name = "membarrier"

// Commands of membarrier(2), from linux/membarrier.h.
const (
	privateExpedited         = 1 << 3
	registerPrivateExpedited = 1 << 4
)

// available says whether the process could be registered as one that uses expedited barriers. The kernel keeps the
// registration for the life of the process. It is done at the start because it is slow once there are many threads.
var available = func() bool {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, registerPrivateExpedited, 0, 0)
	refused.Store(errno != 0)
	return errno == 0
}()

func system() bool {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, privateExpedited, 0, 0)
	return errno == 0
}
