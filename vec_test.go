package metricsbuffer_test

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

type labels struct {
	Status   string `tag:"status"`
	Retry    bool
	Code     int16 `tag:"code"`
	Shard    uint8
	Took     time.Duration `tag:"took"`
	Client   netip.Addr    `tag:"client"`
	Next     fmt.Stringer  `tag:"next"`
	Internal float64       `tag:"-"`
}

func TestVec(t *testing.T) {
	b, recorder := newBuffer(t)
	counters, err := metricsbuffer.NewCounterVec[labels](b, "c")
	require.NoError(t, err)
	timers, err := metricsbuffer.NewTimerVec[labels](b, "t")
	require.NoError(t, err)
	gauges, err := metricsbuffer.NewGaugeVec[labels](b, "g")
	require.NoError(t, err)
	histograms, err := metricsbuffer.NewHistogramVec[labels](b, "h", "bytes")
	require.NoError(t, err)

	k := labels{
		Status: "ok", Code: math.MinInt16, Shard: 255, Took: time.Second, Client: netip.IPv6Loopback(), Internal: 1.5,
	}
	other := k
	other.Internal = 2.5
	counters.With(k).Inc()
	counters.With(other).Inc()
	counters.With(labels{Retry: true, Next: time.Minute}).Add(3)
	timers.With(k).Observe(4)
	gauges.With(k).Set(5)
	histograms.With(k).Observe(6)
	first := counters.With(k)
	require.Same(t, first, counters.With(k))
	require.Zero(t, testing.AllocsPerRun(100, func() { counters.With(k).Inc(); timers.With(k).Observe(1) }))
	require.NoError(t, b.Flush(t.Context()))

	tags := []metricsbuffer.Tag{
		tag("status", "ok"), tag("Retry", "false"), tag("code", "-32768"), tag("Shard", "255"), tag("took", "1s"),
		tag("client", "::1"), tag("next", ""),
	}
	require.EqualValues(t, 2+101, recorder.Total(metricsbuffer.KindCounter, "c", tags...).Count)
	require.EqualValues(t, 1+101, recorder.Total(metricsbuffer.KindTimer, "t", tags...).Count)
	require.InDelta(t, 5, recorder.Total(metricsbuffer.KindGauge, "g", tags...).Value, 0)
	require.Equal(t, "bytes", recorder.Total(metricsbuffer.KindHistogram, "h", tags...).Unit)
	require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "c", tag("status", ""), tag("Retry", "true"),
		tag("code", "0"), tag("Shard", "0"), tag("took", "0s"), tag("client", "invalid IP"), tag("next", "1m0s")).Count)
}

func TestVecOfNil(t *testing.T) {
	v, err := metricsbuffer.NewCounterVec[labels](nil, "c")
	require.NoError(t, err)
	v.With(labels{}).Inc()
	_, err = metricsbuffer.NewCounterVec[int](nil, "c")
	require.Error(t, err, "what is wrong with a type is wrong with a nil buffer, too")
}

func TestVecSaysWhichFieldIsWrong(t *testing.T) {
	b, _ := newBuffer(t)
	check := func(_ any, err error) func(parts ...string) {
		return func(parts ...string) {
			t.Helper()
			for _, part := range append(parts, `counter "c"`) {
				require.ErrorContains(t, err, part)
			}
		}
	}
	check(metricsbuffer.NewCounterVec[string](b, "c"))("string", "struct")
	check(metricsbuffer.NewCounterVec[struct{ Load float64 }](b, "c"))("field Load", "float64")
	check(metricsbuffer.NewCounterVec[struct{ At [2]int }](b, "c"))("field At", "[2]int")
	check(metricsbuffer.NewCounterVec[struct{ Any any }](b, "c"))("field Any", "interface {}")
	check(metricsbuffer.NewCounterVec[struct{ hidden string }](b, "c"))("field hidden", "not exported")
	check(metricsbuffer.NewCounterVec[struct {
		A string `tag:"a,omitempty"`
	}](b, "c"))("field A", "omitempty")
	check(metricsbuffer.NewCounterVec[struct {
		A string `tag:"B"`
		B string
	}](b, "c"))("fields A and B", `"B"`)
}

func TestVecBeyondTheLimit(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithMaxSeries(10))
	type user struct{ ID int }
	v, err := metricsbuffer.NewCounterVec[user](b, "requests")
	require.NoError(t, err)
	for id := range 1000 {
		v.With(user{id}).Inc()
	}
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 990, recorder.Total(metricsbuffer.KindCounter, "requests", tag("overflow", "true")).Count)
	beyond := v.With(user{999})
	require.NotSame(t, beyond, v.With(user{999}), "instruments beyond the limit are not kept")
}

func ExampleCounterVec() {
	type delivery struct {
		Status   string `tag:"status"`
		Producer string `tag:"producer_name"`
	}
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	if err != nil {
		panic(err)
	}
	statuses, err := metricsbuffer.NewCounterVec[delivery](buffer, "arroyo.producer.produce_status")
	if err != nil {
		panic(err)
	}
	for range 3 {
		statuses.With(delivery{Status: "success", Producer: "events"}).Inc()
	}
	fmt.Println(buffer.Close())
	for _, p := range recorder.Totals() {
		fmt.Println(p.Name, p.Tags, p.Count)
	}
	// Output:
	// <nil>
	// arroyo.producer.produce_status [{producer_name events} {status success}] 3
}

func ExampleBuffer_Local() {
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	if err != nil {
		panic(err)
	}
	bytes, lines := buffer.Counter("bytes"), buffer.Counter("lines")
	local := buffer.Local() // for this goroutine
	for _, c := range "one\ntwo\n" {
		local.Counter(bytes).Inc()
		if c == '\n' {
			local.Counter(lines).Inc()
		}
	}
	local.Commit() // both arrive in one batch
	fmt.Println(buffer.Close())
	for _, p := range recorder.Totals() {
		fmt.Println(p.Name, p.Count)
	}
	// Output:
	// <nil>
	// bytes 8
	// lines 2
}
