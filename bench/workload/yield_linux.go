package workload

import "syscall"

// yieldThread lets another thread of the system run. The goroutine keeps its P, because the scheduler of Go does not
// learn of a raw system call. It must not be inlined: its entry is where the collector, or anybody else who stops the
// world, can stop a goroutine that waits in a loop.
//
//go:noinline
func yieldThread() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
