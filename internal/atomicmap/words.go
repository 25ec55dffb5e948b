//go:build (amd64 || arm64) && !purego

package atomicmap

import "unsafe"

// address returns a number that is likely to tell strings in different places apart, and is the same for a string that
// has not moved.
func address(s string) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.StringData(s)))) + uint64(len(s))
}

// word64 returns the eight bytes of s from i on. The caller has checked that they are inside s. They may be unaligned:
// the processors that this file is for can load such words.
func word64(s string, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), i))
}
