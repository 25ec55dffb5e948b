//go:build !(amd64 || arm64) || purego

package atomicmap

// address returns a number that is likely to tell strings apart: here, by their content.
func address(s string) uint64 { return hashString(nameKey, s) }

// word64 returns the eight bytes of s from i on. The caller has checked that they are inside s.
func word64(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
