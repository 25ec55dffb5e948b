package promsink_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

func TestClassicHistograms(t *testing.T) {
	buffer, registry := served(t)
	latency := buffer.Timer("rpc.latency", tag{Key: "le", Value: "kept"})
	for _, d := range []time.Duration{0, 1, 1 << 10, 1<<10 + 1, 1 << 30, time.Hour} {
		latency.Observe(d)
	}
	page := text(t, registry)
	for _, line := range []string{
		`_bucket{exported_le="kept",le="1.024e-06"} 3`,
		`_bucket{exported_le="kept",le="2.048e-06"} 4`,
		`_bucket{exported_le="kept",le="0.536870912"} 4`,
		`_bucket{exported_le="kept",le="1.073741824"} 5`,
		`_bucket{exported_le="kept",le="68.719476736"} 5`,
		`_bucket{exported_le="kept",le="+Inf"} 6`,
		`_count{exported_le="kept"} 6`,
		`_sum{exported_le="kept"} 3601.073743874`,
	} {
		require.Contains(t, page, "\nrpc_latency_seconds"+line+"\n")
	}

	size := buffer.Histogram("size", "bytes")
	for _, n := range []int64{0, 1, 2, 4, 5, 1 << 40, 1<<40 + 1} {
		size.Observe(n)
	}
	page = text(t, registry)
	for _, line := range []string{`_bucket{le="1"} 2`, `_bucket{le="4"} 4`, `_bucket{le="16"} 5`,
		`_bucket{le="1.099511627776e+12"} 6`, `_bucket{le="+Inf"} 7`, `_sum 2.199023255565e+12`} {
		require.Contains(t, page, "\nsize_bytes"+line+"\n")
	}
	require.Equal(t, 21, strings.Count(page, "size_bytes_bucket{")-1)
}

// decode returns the counts of native buckets by index, as the format defines them.
func decode(h *dto.Histogram) map[int]int64 {
	counts := make(map[int]int64)
	index, count, deltas := 0, int64(0), h.GetPositiveDelta()
	for _, span := range h.GetPositiveSpan() {
		index += int(span.GetOffset())
		for range span.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count != 0 {
				counts[index] = count
			}
			index++
		}
	}
	return counts
}

func TestNativeHistograms(t *testing.T) {
	buffer, registry := served(t)
	random := rand.New(rand.NewPCG(1, 2))
	want, zeros, sum := make(map[int]int64), uint64(0), int64(0)
	timed := make(map[int]int64)
	for range 2000 {
		v := int64(math.Exp2(random.Float64()*55)) - 1
		buffer.Histogram("size", "").Observe(v)
		buffer.Timer("time").Observe(time.Duration(v))
		sum += v
		if v == 0 {
			zeros++
			continue
		}
		index := int(math.Ceil(math.Log2(float64(v)) * 16))
		want[index]++
		timed[index-478]++
	}
	families := scrape(t, registry)
	h := families["size"].Metric[0].Histogram
	require.EqualValues(t, 4, h.GetSchema())
	require.Equal(t, want, decode(h))
	require.Equal(t, zeros, h.GetZeroCount())
	require.EqualValues(t, 2000, h.GetSampleCount())
	require.InDelta(t, sum, h.GetSampleSum(), float64(sum)*1e-15)
	require.WithinDuration(t, time.Now(), h.GetCreatedTimestamp().AsTime(), time.Minute)

	h = families["time_seconds"].Metric[0].Histogram
	require.Equal(t, timed, decode(h))
	// The bounds of a timer are near those of the buffer: 2^(478.36/16) nanoseconds are a second.
	require.InDelta(t, 478, math.Log2(1e9)*16, 0.5)
}
