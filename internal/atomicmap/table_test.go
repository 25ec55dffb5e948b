package atomicmap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNewTableHasRoom: at least half of a new table is free. Unless it has the smallest size, less than three quarters
// are free.
func TestNewTableHasRoom(t *testing.T) {
	for live := range int64(1000) {
		size := int64(len(newTable[testTag, int](live).slots))
		require.LessOrEqual(t, 2*live, size, "%d live entries", live)
		if size > minSize {
			require.Greater(t, 4*live, size, "%d live entries", live)
		}
	}
	require.Len(t, newTable[testTag, int](0).slots, minSize)
}
