//go:build !(amd64 || arm64) || purego

package atomicmap

import "hash/maphash"

var seed = maphash.MakeSeed()

// hashString hashes s under a key.
func hashString(key uint64, s string) uint64 { return fold(maphash.String(seed, s)^key, key|1) }
