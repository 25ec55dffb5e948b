package slot_test

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/slot"
)

// A value is that of exactly one series.
func TestCache(t *testing.T) {
	tags := func(value string) []metricsbuffer.Tag { return []metricsbuffer.Tag{{Key: "k", Value: value}} }
	var cache slot.Cache[string]
	first := metricsbuffer.Point{Name: "a", Unit: "b", Tags: tags("1"), Kind: metricsbuffer.KindHistogram, ID: 7}
	set := func(p metricsbuffer.Point) {
		value, known := cache.Of(&p)
		require.False(t, known)
		*value = "first"
	}
	set(first)
	for i, change := range []func(*metricsbuffer.Point){
		func(p *metricsbuffer.Point) { p.Name = "b" },
		func(p *metricsbuffer.Point) { p.Unit = "" },
		func(p *metricsbuffer.Point) { p.Tags = tags("2") },
		func(p *metricsbuffer.Point) { p.Tags = nil },
		func(p *metricsbuffer.Point) { p.Kind = metricsbuffer.KindTimer },
		func(p *metricsbuffer.Point) { p.ID = 8 },
		func(p *metricsbuffer.Point) { p.ID = 0 },
	} {
		value, known := cache.Of(&first)
		require.True(t, known, i)
		require.Equal(t, "first", *value)
		other := first
		change(&other)
		_, known = cache.Of(&other)
		require.False(t, known, i)
		cache.Forget([]metricsbuffer.Point{first})
		set(first)
	}
	first.Tags[0].Value = "changed" // the batch owns the slice
	again := first
	again.Tags = tags("1")
	_, known := cache.Of(&again)
	require.True(t, known)
}

// Series that come and go need memory for those that there are.
func TestChurn(t *testing.T) {
	var cache slot.Cache[[]byte]
	var freed atomic.Int64
	const n = 1000
	for i := range n {
		p := metricsbuffer.Point{Name: strconv.Itoa(i), ID: 600 + uint32(i%2)}
		value, _ := cache.Of(&p)
		*value = make([]byte, 100)
		runtime.AddCleanup(&(*value)[0], func(n int64) { freed.Add(n) }, 1)
		cache.Forget([]metricsbuffer.Point{p, {ID: 1}, {ID: 0}})
	}
	require.Eventually(t, func() bool { runtime.GC(); return freed.Load() == n }, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(&cache)
}
