package metricsbuffer

import (
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// TestLayout is about what two writers, or the gate and the words of one, may not have in common.
//
// Words that two Ps write to are never within 128 bytes, the pair of cache lines that processors fetch together. And a
// gate and a word never agree in the low 12 bits of their addresses: see internal/owner. So gates have the first 64
// bytes of a KiB, and words the rest of it.
func TestLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are chosen for 64 bits")
	}
	require.EqualValues(t, 64, unsafe.Sizeof(distributionCell{}))
	require.EqualValues(t, 2048, unsafe.Sizeof(counterChunk{}))
	require.EqualValues(t, 512, unsafe.Sizeof(distributionChunk{}))
	require.EqualValues(t, 128, unsafe.Offsetof(shard{}.counters))
	const reserved = 64
	var kept []any
	word := func(p unsafe.Pointer, size uintptr) {
		offset := uintptr(p) % 1024
		require.GreaterOrEqual(t, offset, uintptr(reserved))
		require.LessOrEqual(t, offset+size, uintptr(1024))
	}
	for i := range 1000 {
		s, c, d := new(shard), newCounterChunk(1), newDistributionChunk(1)
		own, common := widen(nil, i, 2*ownStep, ownStep), widen(nil, i, 3*commonStep, commonStep)
		kept = append(kept, s, c, d, own, common)
		gate := uintptr(unsafe.Pointer(&s.gate)) % 1024
		require.LessOrEqual(t, gate+unsafe.Sizeof(s.gate)+unsafe.Sizeof(s.misses), uintptr(reserved))
		require.Zero(t, uintptr(unsafe.Pointer(c))%128)
		for bank := range uint32(2) {
			for slot := firstUsable(sums, 0); slot < 2*countersPerChunk; slot = firstUsable(sums, slot+1) {
				word(unsafe.Pointer(c.word(bank, slot)), 8)
			}
			for slot := firstUsable(distributed, 0); slot < 2*distributionsPerChunk; slot = firstUsable(distributed, slot+1) {
				word(unsafe.Pointer(d.cell(bank, slot)), 64)
			}
		}
		require.Zero(t, uintptr(unsafe.Pointer(&own.counts[0]))%64)
		for _, w := range []*window{own, common} {
			word(unsafe.Pointer(&w.counts[0]), uintptr(len(w.counts))*4)
		}
	}
	runtime.KeepAlive(kept)
}

// TestInlining: what is called on hot paths is compiled into its caller, down to one call.
func TestInlining(t *testing.T) {
	path, err := exec.LookPath("go")
	if err != nil || testing.Short() || !owner.Exclusive {
		t.Skip("builds the package once more, with the go command, as most users do")
	}
	out, err := exec.Command(path, "build", "-gcflags=-m", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, function := range []string{
		"(*Counter).Inc", "(*Counter).Add", "(*Timer).Observe", "(*Histogram).Observe", "(*Gauge).Set", "(*Gauge).Add",
		"(*Timer).Start", "(*Buffer).IncrCounter", "(*Buffer).IncrTimer", "(*Buffer).SetGauge",
		"(*Local).Counter", "(*LocalCounter).Inc", "(*LocalCounter).Add",
		"(*distributionCell).count", "(*distributionCell).add",
	} {
		require.Contains(t, string(out), "can inline "+function+"\n")
	}
}
