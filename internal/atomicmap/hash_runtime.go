//go:build (amd64 || arm64) && !purego

package atomicmap

import "unsafe"

// The runtime keeps this function for packages outside it; see the comment there and go.dev/issue/67401. Go's own maps
// hash strings with it. It uses the AES instructions of processors that have them.
//
//go:linkname memhash runtime.memhash
//go:noescape
func memhash(p unsafe.Pointer, key, size uintptr) uintptr

// hashString hashes s under a key. maphash.String would do as well, but costs twice as much for strings as short as
// names.
func hashString(key uint64, s string) uint64 {
	return uint64(memhash(unsafe.Pointer(unsafe.StringData(s)), uintptr(key), uintptr(len(s))))
}
