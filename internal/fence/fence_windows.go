//go:build windows && !metricsbuffer_nofence

package fence

import "golang.org/x/sys/windows"

const name = "FlushProcessWriteBuffers"

var flushProcessWriteBuffers = windows.NewLazySystemDLL("kernel32.dll").NewProc(name)

var available = func() bool {
	found := flushProcessWriteBuffers.Find() == nil
	refused.Store(!found)
	return found
}()

func system() bool {
	_, _, _ = flushProcessWriteBuffers.Call() // returns nothing and cannot fail
	return true
}
