package metricsbuffer

import (
	"os/exec"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// TestLayout is about false sharing: what two Ps write to is never within 128 bytes, the pair of cache lines that
// processors fetch together.
func TestLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are chosen for 64 bits")
	}
	require.EqualValues(t, 128, unsafe.Sizeof(shard{}))
	require.EqualValues(t, 64, unsafe.Sizeof(distributionCell{}))
	require.EqualValues(t, 1024, unsafe.Sizeof(counterChunk{}))
	require.EqualValues(t, 512, unsafe.Sizeof(distributionChunk{}))
	var kept []any
	for range 1000 {
		s, c, d, w := new(shard), new(counterChunk), new(distributionChunk), widen(nil, 0, 3*windowStep)
		kept = append(kept, s, c, d, w)
		for _, address := range []uintptr{
			uintptr(unsafe.Pointer(s)), uintptr(unsafe.Pointer(c)), uintptr(unsafe.Pointer(d)),
			uintptr(unsafe.Pointer(&w.counts[0])),
		} {
			require.Zero(t, address%128)
		}
	}
	_ = kept
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
		"(*shard).enter", "(*shard).leave", "(*distributionCell).count", "(*distributionCell).add",
	} {
		require.Contains(t, string(out), "can inline "+function+"\n")
	}
}
