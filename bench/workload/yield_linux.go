package workload

import "syscall"

// yieldThread lets another thread of the system run. The goroutine keeps its P, because the scheduler of Go does not learn
// of a raw system call.
func yieldThread() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
