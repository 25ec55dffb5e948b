//go:build (amd64 || arm64) && !purego

package atomicmap

import "unsafe"

// word64 returns the eight bytes of s from i on. The caller has checked that they are inside s. They may be unaligned:
// the processors that this file is for can load such words.
func word64(s string, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), i))
}
