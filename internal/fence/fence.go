// Package fence is the heavy half of an asymmetric memory barrier.
//
// A writer that stores one word and then loads another needs a store-load barrier between the two if a second thread
// does the opposite and both must not miss each other. On common processors that barrier is a locked instruction, as
// expensive as an atomic add. An asymmetric barrier moves the whole cost to the rare side: the writer has none, and the
// second thread, between its own store and its loads, calls [Process], which makes every running thread of the process
// execute a full barrier. Each writer's barrier then stands either before its load, which sees the second thread's
// store, or after its store, which the second thread sees.
//
// The models are liburcu's membarrier flavour (Desnoyers et al., "User-Level Implementations of Read-Copy Update",
// IEEE TPDS 2012) and folly's AsymmetricThreadFence.
//
// Where the operating system offers no such call, or refuses it (a seccomp filter), [Writers] is true and each writer
// has to fence for itself. That is decided once, when the process starts.
package fence

// Writers says that writers must put a full barrier between their store and their load, because [Process] cannot do it
// for them. It never changes once the process has started, except by [SetWriters].
var Writers = !available()

// Mode names what fences: "membarrier", "FlushProcessWriteBuffers" or "writers".
func Mode() string {
	if Writers {
		return "writers"
	}
	return name
}

// SetWriters makes writers fence for themselves (true) or goes back to what the system offers (false). It is for tests
// and benchmarks of that mode, and may be called only while nobody writes.
func SetWriters(fence bool) { Writers = fence || !available() }
