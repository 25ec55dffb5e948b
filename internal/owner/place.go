package owner

import "unsafe"

// A processor takes a load for dependent on an earlier store if their addresses agree in the low 12 bits ("4 KiB
// aliasing": Intel 64 and IA-32 Architectures Optimization Reference Manual, on memory disambiguation; processors of
// AMD behave alike). A writer stores to its gate and loads its word right after it; if the two agree, the load waits
// for the store, which doubles the price of an update. So the first 64 bytes of every KiB are kept for gates: words
// stand in the rest. Go's heap does not move objects.
const (
	block    = 1024 // bytes
	reserved = 64

	tallyBytes = unsafe.Sizeof(Tally{})
)

// NewTallies returns n tallies. They stand beside the bytes that are kept for gates, if there are not too many for
// that.
func NewTallies(n int) []Tally {
	if uintptr(n)*tallyBytes > block-reserved {
		return make([]Tally, n)
	}
	for range 8 { // nearly always the first few find a place
		tallies := make([]Tally, n)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(tallies))) % block
		if at >= reserved && at+uintptr(n)*tallyBytes <= block {
			return tallies
		}
	}
	// The allocator aligns objects of this size to it.
	return make([]Tally, block/tallyBytes)[reserved/tallyBytes:][:n:n]
}
