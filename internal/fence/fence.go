// Package fence is the heavy half of an asymmetric memory barrier.
//
// A writer that stores one word and then loads another needs a store-load barrier between the two if a second thread
// does the opposite and both must not miss each other. On common processors that barrier is a locked instruction, as
// expensive as an atomic addition. An asymmetric barrier moves the whole cost to the rare side: the writer has none.
// The second thread calls [Process] between its own store and its loads, which makes every running thread of the
// process execute a full barrier. Each writer's barrier then stands either before its load, which sees the second
// thread's store, or after its store, which the second thread sees.
//
// The models are liburcu's membarrier flavour (Desnoyers et al., "User-Level Implementations of Read-Copy Update",
// IEEE TPDS 2012) and folly's AsymmetricThreadFence.
//
// Linux and Windows have a system call for it. Where there is none, or a seccomp filter refuses it, at the start or
// later, Process stops the world instead, as a garbage collection does: some ten microseconds in which no goroutine
// runs. A pinned goroutine cannot be stopped, so every writer has left its section then, and resuming is a barrier.
package fence

import (
	"runtime"
	"sync/atomic"
)

// refused says that the system call has failed. It never becomes false again, except by [Refuse].
var refused atomic.Bool

// Process makes every running thread of this process execute a full memory barrier before it returns. A thread that
// does not run executed one when it was switched out.
func Process() {
	if !refused.Load() {
		if system() {
			return
		}
		refused.Store(true)
	}
	stopTheWorld()
}

// stopTheWorld stops all goroutines and lets them go on. ReadMemStats is the cheapest call of the runtime that does so
// at any time, also during a garbage collection. Its documentation does not promise it, so a test checks it.
func stopTheWorld() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
}

// Mode names the barrier: "membarrier", "FlushProcessWriteBuffers" or "stop-the-world".
func Mode() string {
	if refused.Load() {
		return "stop-the-world"
	}
	return name
}

// Refuse makes the system call fail from now on (true), or tries it again (false). It is for tests and benchmarks.
func Refuse(refuse bool) { refused.Store(refuse || !available) }
