//go:build (amd64 || arm64) && !purego

package atomicmap

import "unsafe"

// word64 returns the eight bytes of s from i on. The caller has seen that they are inside s; that they need not be
// aligned is why this file is for processors that do not mind.
func word64(s string, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), i))
}
