package exemplar_test

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/exemplar"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

func TestOctave(t *testing.T) {
	for v, want := range map[int64]int{
		math.MinInt64: 0, -1: 0, 0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 1 << 20: 20, 1<<20 + 1: 21, 1 << 62: 62,
		math.MaxInt64: 63,
	} {
		require.Equal(t, want, exemplar.Octave(v), v)
	}
	for k := 1; k < 62; k++ { // no bucket has values of two octaves
		require.NotEqual(t, bucket.Index(1<<k), bucket.Index(1<<k+1))
	}
}

func TestCells(t *testing.T) {
	var cells exemplar.Cells[int]
	take := func(bank uint32) (values []int) {
		found := cells.Take(bank, func(v *int) { values = append(values, *v) })
		require.Equal(t, found, values != nil)
		return values
	}
	put := func(bank uint32, octave, v int) {
		cells.Reserve(octave)
		cells.Put(bank, octave, &v)
	}
	require.Empty(t, take(0))
	empty := cells.Bytes()
	put(0, 63, 1)
	put(0, 0, 2)
	put(0, 63, 3)
	put(1, 63, 4)
	require.True(t, cells.Claimed(0, 63))
	require.False(t, cells.Claimed(1, 0))
	require.Equal(t, []int{2, 1}, take(0), "the first of each octave")
	require.False(t, cells.Claimed(0, 63))
	require.Empty(t, take(0))
	put(0, 63, 5)
	require.Equal(t, []int{4}, take(1))
	require.Equal(t, []int{5}, take(0))
	require.Equal(t, empty+2*int64(unsafe.Sizeof([2]int{})), cells.Bytes())
	require.Zero(t, testing.AllocsPerRun(100, func() { put(1, 63, 6); cells.Take(1, func(*int) {}) }))
}

// A value is never torn, though several writers put values while they are taken.
func TestStress(t *testing.T) {
	type value [8]int64
	var cells exemplar.Cells[value]
	var gate owner.SharedGate
	var writing sync.WaitGroup
	stop := make(chan struct{})
	for w := range int64(4) {
		writing.Go(func() {
			for i := w; ; i += 4 {
				select {
				case <-stop:
					return
				default:
				}
				var v value
				for j := range v {
					v[j] = i
				}
				octave := int(i % 3)
				cells.Reserve(octave)
				bank := gate.Enter()
				cells.Put(bank, octave, &v)
				gate.Leave(bank)
			}
		})
	}
	taken, latest := 0, int64(-1)
	for taken < 100 { // however the goroutines are scheduled
		runtime.Gosched()
		drained := gate.Active()
		gate.Flip(1 - drained)
		gate.Await(drained)
		cells.Take(drained, func(v *value) {
			taken++
			for _, x := range v {
				if x != v[0] {
					t.Errorf("torn: %v", *v)
				}
			}
			latest = max(latest, v[0])
		})
	}
	close(stop)
	writing.Wait()
	require.Positive(t, latest)
}
