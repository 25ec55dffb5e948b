package fence

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestLateSeccompFilter: Process stops the world if a seccomp filter refuses the system call that has worked before. A
// filter cannot be removed, so the test runs in a process of its own.
func TestLateSeccompFilter(t *testing.T) {
	const inChild = "METRICSBUFFER_SECCOMP"
	Process()
	switch {
	case Mode() != "membarrier":
		t.Skipf("the fence of this system is %q", Mode())
	case os.Getenv(inChild) == "":
		command := exec.Command(os.Args[0], "-test.run", "^TestLateSeccompFilter$")
		command.Env = append(os.Environ(), inChild+"=yes")
		out, err := command.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	runtime.LockOSThread() // the permission is the thread's, and the filter that of all
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_MEMBARRIER},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	require.NoError(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		t.Skipf("this system has no filters: %v", errno)
	}
	before := worldStops(t)
	Process()
	require.Greater(t, worldStops(t), before)
	require.Equal(t, "stop-the-world", Mode())
}
