package promises

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

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
	new(metricsbuffer.Vec[labels, metricsbuffer.Counter]).With(labels{}).Inc()
	_, err = metricsbuffer.NewCounterVec[int](nil, "c")
	require.Error(t, err, "a wrong type is an error with a nil buffer, too")
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

// code is a string with a method, as enumerations often are.
type code string

// pair has a String method, and strings in fields that reflection cannot set.
type pair struct {
	left  string
	right [1]code
}

func (p pair) String() string { return p.left + "/" + string(p.right[0]) }

// TestVecCopiesStrings: labels may lie in a buffer that is reused, as those of a Fiber handler do. They are copied from
// all parts of the struct.
func TestVecCopiesStrings(t *testing.T) {
	type request struct {
		Path   string
		Code   code
		Pair   pair
		Any    fmt.Stringer
		Unused struct{ text string } `tag:"-"`
	}
	buffer := make([]byte, 9)
	reused := func(n int) string { return unsafe.String(&buffer[0], copy(buffer, fmt.Sprintf("/item/%03d", n))) }
	fields := map[string]func(s string) request{
		"exported":             func(s string) request { return request{Path: s} },
		"named":                func(s string) request { return request{Code: code(s)} },
		"not exported":         func(s string) request { return request{Pair: pair{left: s}} },
		"array":                func(s string) request { return request{Pair: pair{right: [1]code{code(s)}}} },
		"interface":            func(s string) request { return request{Any: pair{left: s}} },
		"pointer in interface": func(s string) request { p := pair{left: strings.Clone(s)}; return request{Any: &p} },
		"left out":             func(s string) request { r := request{}; r.Unused.text = s; return r },
	}
	for name, of := range fields {
		const items, each = 200, 10 // so many that the map of the set grows, and looks at its keys anew
		b, recorder := newBuffer(t)
		requests := metricsbuffer.Must(metricsbuffer.NewCounterVec[request](b, name))
		for range each {
			for n := range items {
				requests.With(of(reused(n))).Inc()
			}
		}
		require.NoError(t, b.Flush(t.Context()))
		for n := range items {
			labels := of(fmt.Sprintf("/item/%03d", n))
			value := ""
			if labels.Any != nil {
				value = labels.Any.String()
			}
			p := recorder.Total(metricsbuffer.KindCounter, name, tag("Path", labels.Path),
				tag("Code", string(labels.Code)), tag("Pair", labels.Pair.String()), tag("Any", value))
			want := int64(each)
			if name == "left out" {
				want = items * each
			}
			require.Equal(t, want, p.Count, "%s: %v", name, p.Tags)
		}
	}
}

// TestVecKeepsNoLargerString: a string from which labels were cut can be collected as garbage.
func TestVecKeepsNoLargerString(t *testing.T) {
	b, _ := newBuffer(t)
	requests := metricsbuffer.Must(metricsbuffer.NewCounterVec[struct{ Path string }](b, "requests"))
	before := heap()
	for n := range 50 {
		large := strings.Repeat(fmt.Sprintf("%08d", n), 1<<17)
		requests.With(struct{ Path string }{large[:8]}).Inc()
	}
	require.Less(t, heap()-before, int64(5<<20), "50 strings of 1 MiB")
	runtime.KeepAlive(requests)
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// ratio is not equal to itself if it is not a number.
type ratio float64

func (r ratio) String() string { return strconv.FormatFloat(float64(r), 'g', -1, 64) }

// TestVecIsBounded: memory does not grow with the calls, even if one series has any number of labels.
func TestVecIsBounded(t *testing.T) {
	type overflow struct {
		ID any `tag:"-"`
		U  code
	}
	for name, of := range map[string]func(n int) overflow{
		"overflow":            func(n int) overflow { return overflow{U: code(strconv.Itoa(n))} },
		"not equal to itself": func(int) overflow { return overflow{ID: math.NaN()} },
		"left out":            func(n int) overflow { return overflow{ID: n} },
		"pointers":            func(int) overflow { return overflow{ID: new(int)} },
	} {
		t.Run(name, func(t *testing.T) {
			const calls = 100_000
			b, _ := newBuffer(t, metricsbuffer.WithMaxSeries(10))
			users := metricsbuffer.Must(metricsbuffer.NewCounterVec[overflow](b, "users"))
			before := heap()
			for n := range calls {
				users.With(of(n)).Inc()
			}
			require.NoError(t, b.Flush(t.Context()))
			require.Less(t, heap()-before, int64(2<<20))
			stats := b.Stats()
			require.EqualValues(t, calls, stats.Recorded.Increments)
			if name == "overflow" {
				require.EqualValues(t, calls-10, stats.Overflowed.Increments)
			}
			runtime.KeepAlive(users)
		})
	}
	b, recorder := newBuffer(t)
	ratios := metricsbuffer.Must(metricsbuffer.NewCounterVec[struct{ R ratio }](b, "ratios"))
	const calls = 50_000 // fewer than there may be series: only that they are never found keeps them out
	before := heap()
	for range calls {
		ratios.With(struct{ R ratio }{ratio(math.NaN())}).Inc()
	}
	require.Less(t, heap()-before, int64(1<<20))
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, calls, recorder.Total(metricsbuffer.KindCounter, "ratios", tag("R", "NaN")).Count)
	runtime.KeepAlive(ratios)
}

// TestOverflowBesideItsOwnTags: a caller that asks for the tag of an overflow series gets the overflow series.
func TestOverflowBesideItsOwnTags(t *testing.T) {
	const users = 300_000
	b, recorder := newBuffer(t, metricsbuffer.WithMaxSeries(1))
	b.Counter("users", metricsbuffer.T("overflow", "true"))
	b.Counter("takes the only place")
	type user struct{ ID int }
	vec := metricsbuffer.Must(metricsbuffer.NewCounterVec[user](b, "users"))
	before := heap()
	for id := range users {
		vec.With(user{id}).Inc()
	}
	require.Less(t, heap()-before, int64(2<<20))
	overflowing := vec.With(user{0})
	require.NotSame(t, overflowing, vec.With(user{0}), "they are not kept where there is room for them either")
	require.EqualValues(t, users, b.Stats().Overflowed.Increments)
	overflow := metricsbuffer.Overflow{Name: "users", Kind: metricsbuffer.KindCounter, Count: users}
	require.Equal(t, []metricsbuffer.Overflow{overflow}, b.Stats().Overflows)
	b.IncrCounter("users", 5, metricsbuffer.T("overflow", "true"))
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, users+5, recorder.Total(metricsbuffer.KindCounter, "users", tag("overflow", "true")).Count)
	require.Len(t, recorder.Totals(), 2, "it and the one that has a place")

	same := metricsbuffer.Must(metricsbuffer.NewCounterVec[struct {
		Overflow bool `tag:"overflow"`
	}](b, "users"))
	asked := struct {
		Overflow bool `tag:"overflow"`
	}{true}
	first := same.With(asked)
	require.Same(t, first, same.With(asked), "labels that ask for the overflow series are kept")
	runtime.KeepAlive(vec)
}

func TestMust(t *testing.T) {
	const refused = `metricsbuffer: counter "c": labels must be a struct, such as struct{ Status int }; int is not`
	require.PanicsWithError(t, refused, func() {
		metricsbuffer.Must(metricsbuffer.NewCounterVec[int](nil, "c"))
	})
	require.Equal(t, 3, metricsbuffer.Must(3, nil))
}

func ExampleVec() {
	type delivery struct {
		Status   string `tag:"status"`
		Producer string `tag:"producer_name"`
	}
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder))
	if err != nil {
		panic(err)
	}
	statuses := metricsbuffer.Must(metricsbuffer.NewCounterVec[delivery](buffer, "arroyo.producer.produce_status"))
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

// A path is a label that cannot be compared.
type path []string

func (p path) String() string { return strings.Join(p, "/") }

// TestVecOfLabelsThatCannotBeCompared: they count, and the set keeps no instrument for them.
func TestVecOfLabelsThatCannotBeCompared(t *testing.T) {
	recorder := new(sinktest.Recorder)
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder))
	require.NoError(t, err)
	type labels struct {
		Path fmt.Stringer
		More [1]struct {
			Any any
		} `tag:"-"`
	}
	vec, err := metricsbuffer.NewCounterVec[labels](b, "requests")
	require.NoError(t, err)
	for range 3 {
		vec.With(labels{Path: path{"a", "b"}}).Inc()
		vec.With(labels{Path: time.Second}).Inc()
		any := labels{Path: time.Second}
		any.More[0].Any = path{}
		vec.With(any).Inc()
	}
	require.NoError(t, b.Close())
	require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "requests", metricsbuffer.T("Path", "a/b")).Count)
	require.EqualValues(t, 6, recorder.Total(metricsbuffer.KindCounter, "requests", metricsbuffer.T("Path", "1s")).Count)
}
