package fence

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMode(t *testing.T) {
	switch {
	case Writers:
		require.Equal(t, "writers", Mode())
	case runtime.GOOS == "linux":
		require.Equal(t, "membarrier", Mode())
	case runtime.GOOS == "windows":
		require.Equal(t, "FlushProcessWriteBuffers", Mode())
	}
	before := Writers
	SetWriters(true)
	require.Equal(t, "writers", Mode())
	Process() // does nothing
	SetWriters(false)
	require.Equal(t, before, Writers)
}
