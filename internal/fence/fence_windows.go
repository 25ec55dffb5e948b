//go:build windows && !metricsbuffer_nofence

package fence

import "golang.org/x/sys/windows"

const name = "FlushProcessWriteBuffers"

var flushProcessWriteBuffers = windows.NewLazySystemDLL("kernel32.dll").NewProc(name)

func available() bool { return flushProcessWriteBuffers.Find() == nil }

// Process makes every running thread of this process execute a full memory barrier before it returns. It does nothing
// if [Writers] is true.
func Process() {
	if !Writers {
		_, _, _ = flushProcessWriteBuffers.Call() // returns nothing and cannot fail
	}
}
