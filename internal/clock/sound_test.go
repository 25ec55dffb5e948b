//go:build linux && (amd64 || arm64) && !purego && !faketime

package clock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCounterIsSoundOnlyIfTheKernelUsesIt(t *testing.T) {
	require.False(t, kernelUses("kvm-clock of another machine"))
	if sound() {
		require.True(t, invariant())
		require.True(t, readable())
		require.True(t, kernelUses(kernelSource))
	}
}

func TestCounterAdvances(t *testing.T) {
	before := counter()
	for counter() == before {
	}
	require.Greater(t, counter(), before)
}
