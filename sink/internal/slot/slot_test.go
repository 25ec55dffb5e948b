package slot_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/slot"
)

// Each kind and ID has a cell of its own, which stays the same one.
func TestCells(t *testing.T) {
	var table slot.Table[int]
	var points []metricsbuffer.Point
	for kind := metricsbuffer.KindCounter; kind <= metricsbuffer.KindHistogram; kind++ {
		for _, id := range []uint32{1, 2, 511, 512, 100_000, 1<<24 - 1} {
			points = append(points, metricsbuffer.Point{Kind: kind, ID: id})
		}
	}
	for i := range points {
		require.Zero(t, *table.Of(&points[i]))
		*table.Of(&points[i]) = 1 + i
	}
	for i := range points {
		require.Equal(t, 1+i, *table.Of(&points[i]))
	}
}

// A point that no buffer has made gets no memory.
func TestForeign(t *testing.T) {
	var table slot.Table[int]
	for _, p := range []metricsbuffer.Point{
		{}, {ID: 1 << 24}, {ID: math.MaxUint32}, {ID: 1, Kind: 4}, {ID: 1, Kind: 255},
	} {
		require.Nil(t, table.Of(&p))
		require.Nil(t, table.Of(&p))
	}
}
