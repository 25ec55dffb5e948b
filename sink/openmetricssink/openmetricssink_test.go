package openmetricssink_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

const (
	acceptClassic = "text/plain;version=0.0.4"
	acceptOpen    = "application/openmetrics-text;version=1.0.0"
)

var start = time.Date(2025, time.November, 23, 12, 0, 0, 125e6, time.UTC) // 1763899200.125

func second(points ...point) *metricsbuffer.Batch {
	return &metricsbuffer.Batch{Start: start, End: start.Add(time.Second), Points: points}
}

func counter(name string, count int64, tags ...tag) point {
	return point{Kind: metricsbuffer.KindCounter, Name: name, Count: count, Tags: tags}
}

func gauge(name string, value float64, tags ...tag) point {
	return point{Kind: metricsbuffer.KindGauge, Name: name, Value: value, Tags: tags}
}

func newSink(t testing.TB, opts ...openmetricssink.Option) *openmetricssink.Sink {
	t.Helper()
	sink, err := openmetricssink.New(opts...)
	require.NoError(t, err)
	return sink
}

// detached is a sink whose only batches are those that the test writes.
func detached(t testing.TB, opts ...openmetricssink.Option) *openmetricssink.Sink {
	t.Helper()
	sink := newSink(t, opts...)
	require.NoError(t, sink.Attach(func(context.Context) error { return nil }))
	return sink
}

func served(t testing.TB, opts ...openmetricssink.Option) (*metricsbuffer.Buffer, *openmetricssink.Sink) {
	t.Helper()
	sink := newSink(t, opts...)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	return buffer, sink
}

// get returns the page.
func get(t testing.TB, handler http.Handler, accept string) string {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", accept)
	handler.ServeHTTP(answer, request)
	require.Equal(t, http.StatusOK, answer.Code)
	return answer.Body.String()
}

func TestKinds(t *testing.T) {
	sink := detached(t, openmetricssink.WithBuckets("seconds", 0.001, 1), openmetricssink.WithBuckets("by/s", 4, 1e12))
	buckets := &metricsbuffer.Buckets{Zeros: 1, Offset: 15, Counts: []uint64{2, 0, 0, 5}} // 2 and 2.2
	require.NoError(t, sink.Write(t.Context(), second(
		counter("jobs.done", 2, tag{Key: "queue", Value: "a\n\"b\"\\"}, tag{Key: "empty"}),
		counter("jobs.done", 3, tag{Key: "queue", Value: "c"}, tag{Key: "x-y", Value: "é"}),
		counter("bytes_total", math.MaxInt64),
		counter("never", 0),
		point{Kind: metricsbuffer.KindCounter, Name: "cost.usd", Count: math.MaxInt64, Decimals: 2},
		gauge("queue-depth", math.Inf(-1)),
		point{Kind: metricsbuffer.KindTimer, Name: "rpc", Count: 8, Sum: 3601_073743874, Buckets: buckets},
		point{Kind: metricsbuffer.KindHistogram, Name: "rate", Unit: "by/s", Count: 8, Sum: 19, Buckets: buckets,
			Tags: []tag{{Key: "le", Value: "1"}}},
	)))
	const classic = `# HELP bytes_total The counter "bytes_total".
# TYPE bytes_total counter
bytes_total 9223372036854775807
# HELP cost_usd_total The counter "cost.usd".
# TYPE cost_usd_total counter
cost_usd_total 92233720368547758.07
# HELP jobs_done_total The counter "jobs.done".
# TYPE jobs_done_total counter
jobs_done_total{queue="a\n\"b\"\\"} 2
jobs_done_total{queue="c",x_y="é"} 3
# HELP never_total The counter "never".
# TYPE never_total counter
never_total 0
# HELP queue_depth The gauge "queue-depth".
# TYPE queue_depth gauge
queue_depth -Inf
# HELP rate_by_s The histogram "rate", in "by/s".
# TYPE rate_by_s histogram
rate_by_s_bucket{exported_le="1",le="4"} 8
rate_by_s_bucket{exported_le="1",le="1e+12"} 8
rate_by_s_bucket{exported_le="1",le="+Inf"} 8
rate_by_s_sum{exported_le="1"} 19
rate_by_s_count{exported_le="1"} 8
# HELP rpc_seconds The timer "rpc".
# TYPE rpc_seconds histogram
rpc_seconds_bucket{le="0.001"} 8
rpc_seconds_bucket{le="1"} 8
rpc_seconds_bucket{le="+Inf"} 8
rpc_seconds_sum 3601.073743874
rpc_seconds_count 8
`
	require.Equal(t, classic, get(t, sink, acceptClassic))

	const open = `# HELP bytes The counter \"bytes_total\".
# TYPE bytes counter
bytes_total 9223372036854775807
bytes_created 1763899200.125
# HELP cost_usd The counter \"cost.usd\".
# TYPE cost_usd counter
cost_usd_total 92233720368547758.07
cost_usd_created 1763899200.125
# HELP jobs_done The counter \"jobs.done\".
# TYPE jobs_done counter
jobs_done_total{queue="a\n\"b\"\\"} 2
jobs_done_created{queue="a\n\"b\"\\"} 1763899200.125
jobs_done_total{queue="c",x_y="é"} 3
jobs_done_created{queue="c",x_y="é"} 1763899200.125
# HELP never The counter \"never\".
# TYPE never counter
never_total 0
never_created 1763899200.125
# HELP queue_depth The gauge \"queue-depth\".
# TYPE queue_depth gauge
queue_depth -Inf
# HELP rate_by_s The histogram \"rate\", in \"by/s\".
# TYPE rate_by_s histogram
# UNIT rate_by_s by_s
rate_by_s_bucket{exported_le="1",le="4.0"} 8
rate_by_s_bucket{exported_le="1",le="1e+12"} 8
rate_by_s_bucket{exported_le="1",le="+Inf"} 8
rate_by_s_sum{exported_le="1"} 19
rate_by_s_count{exported_le="1"} 8
rate_by_s_created{exported_le="1"} 1763899200.125
# HELP rpc_seconds The timer \"rpc\".
# TYPE rpc_seconds histogram
# UNIT rpc_seconds seconds
rpc_seconds_bucket{le="0.001"} 8
rpc_seconds_bucket{le="1.0"} 8
rpc_seconds_bucket{le="+Inf"} 8
rpc_seconds_sum 3601.073743874
rpc_seconds_count 8
rpc_seconds_created 1763899200.125
# EOF
`
	require.Equal(t, open, get(t, sink, acceptOpen))
}

// A bucket of OpenMetrics is served with its latest exemplar, and keeps it until there is a later one.
func TestExemplars(t *testing.T) {
	sink := detached(t, openmetricssink.WithBuckets("seconds", 1e-6, 4e-6), openmetricssink.WithoutCreated())
	exemplars := func(values ...int64) (all []metricsbuffer.Exemplar) {
		for i, v := range values {
			e := metricsbuffer.Exemplar{Value: v, Time: start.Add(time.Duration(i) * time.Millisecond)}
			e.TraceID, e.SpanID = [16]byte{0xab, 15: byte(v)}, [8]byte{7: byte(v)}
			all = append(all, e)
		}
		return all
	}
	timer := func(values ...int64) point {
		return point{Kind: metricsbuffer.KindTimer, Name: "t", Count: 1, Exemplars: exemplars(values...),
			Buckets: &metricsbuffer.Buckets{Zeros: 1}}
	}
	require.NoError(t, sink.Write(t.Context(), second(timer(0, 2, 500, 1001, 4000))))
	require.NoError(t, sink.Write(t.Context(), second(timer(3000))))
	require.Equal(t, `# HELP t_seconds The timer \"t\".
# TYPE t_seconds histogram
# UNIT t_seconds seconds
t_seconds_bucket{le="1e-06"} 2 # {trace_id="ab0000000000000000000000000000f4",span_id="00000000000000f4"} `+
		`0.0000005 1763899200.127
t_seconds_bucket{le="4e-06"} 2 # {trace_id="ab0000000000000000000000000000e9",span_id="00000000000000e9"} `+
		`0.000001001 1763899200.128
t_seconds_bucket{le="+Inf"} 2
t_seconds_sum 0
t_seconds_count 2
# EOF
`, get(t, sink, acceptOpen))
	require.NotContains(t, get(t, sink, acceptClassic), "trace_id")

	late := second(timer(5000))
	late.Points[0].Exemplars[0].SpanID = [8]byte{}
	require.NoError(t, sink.Write(t.Context(), late))
	require.Contains(t, get(t, sink, acceptOpen),
		`t_seconds_bucket{le="+Inf"} 3 # {trace_id="ab000000000000000000000000000088"} 0.000005 1763899200.125`+"\n")
}

// The totals go on after the buffer was closed.
func TestTotals(t *testing.T) {
	buffer, sink := served(t)
	for range 2 {
		buffer.IncrCounter("jobs", 2)
		buffer.SetGauge("depth", 5)
		buffer.IncrTimer("latency", time.Second)
		_ = get(t, sink, acceptClassic)
	}
	require.NoError(t, buffer.Close())
	page := get(t, sink, acceptClassic)
	require.Contains(t, page, "\njobs_total 4\n")
	require.Contains(t, page, "\ndepth 5\n")
	require.Contains(t, page, "\nlatency_seconds_sum 2\nlatency_seconds_count 2\n")
	require.Contains(t, page, "\nlatency_seconds_bucket{le=\"0.536870912\"} 0\n"+
		"latency_seconds_bucket{le=\"1.073741824\"} 2\n")
	require.Equal(t, 28, strings.Count(page, "latency_seconds_bucket"), "from 2^10 to 2^36 ns, and +Inf")
}

func TestOptions(t *testing.T) {
	sink := detached(t, openmetricssink.WithoutCreated(), openmetricssink.WithBuckets("seconds"),
		openmetricssink.WithLabels(tag{Key: "host", Value: "a\"b"}, tag{Key: "zone", Value: "1"}),
		openmetricssink.WithLabels(tag{Key: "app", Value: "x"}))
	batch := second(counter("jobs", 1, tag{Key: "k", Value: "v"}), counter("jobs", 1, tag{Key: "host", Value: "c"}),
		point{Kind: metricsbuffer.KindTimer, Name: "rpc", Count: 1, Buckets: &metricsbuffer.Buckets{Zeros: 1}})
	require.NoError(t, sink.Write(t.Context(), batch))
	reason, _ := batch.Dropped(1)
	require.Equal(t, "a label with two values", reason)
	require.Equal(t, `# HELP jobs The counter \"jobs\".
# TYPE jobs counter
jobs_total{app="x",host="a\"b",k="v",zone="1"} 1
# HELP rpc_seconds The timer \"rpc\".
# TYPE rpc_seconds histogram
# UNIT rpc_seconds seconds
rpc_seconds_bucket{app="x",host="a\"b",zone="1",le="+Inf"} 1
rpc_seconds_sum{app="x",host="a\"b",zone="1"} 0
rpc_seconds_count{app="x",host="a\"b",zone="1"} 1
# EOF
`, get(t, sink, acceptOpen))
}

func TestOptionErrors(t *testing.T) {
	for want, opt := range map[string]openmetricssink.Option{
		"openmetricssink: New: option 1 of 1 is nil":        nil,
		`openmetricssink: New: WithLabels: "a.b" cannot be`: openmetricssink.WithLabels(tag{Key: "a.b", Value: "c"}),
		`"le" cannot be a label's name, because buckets`:    openmetricssink.WithLabels(tag{Key: "le", Value: "c"}),
		`"__a" cannot be a label's name; write letters`:     openmetricssink.WithLabels(tag{Key: "__a", Value: "c"}),
		`WithLabels: a="": the value is empty`:              openmetricssink.WithLabels(tag{Key: "a"}),
		`WithLabels: "a" is given twice`: openmetricssink.WithLabels(
			tag{Key: "a", Value: "1"}, tag{Key: "a", Value: "2"}),
		`WithBuckets: the bound 0 for "seconds" is not`: openmetricssink.WithBuckets("seconds", 0),
		`WithBuckets: the bound NaN for "" is not`:      openmetricssink.WithBuckets("", math.NaN()),
		`WithBuckets: the bound +Inf for "" is not`:     openmetricssink.WithBuckets("", 1, math.Inf(1)),
		`WithBuckets: the bound 1 for "b" stands after`: openmetricssink.WithBuckets("b", 1, 1),
	} {
		sink, err := openmetricssink.New(opt)
		require.ErrorContains(t, err, want)
		require.Nil(t, sink)
	}
	bounds := openmetricssink.WithBuckets("seconds")
	_, err := openmetricssink.New(bounds, bounds)
	require.ErrorContains(t, err, `the bounds for "seconds" are given twice`)
}

func TestTwoBuffers(t *testing.T) {
	_, sink := served(t)
	_, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	require.ErrorContains(t, err, "openmetricssink: the sink has been given to another buffer; make a sink for each")
	require.Equal(t, "openmetrics", fmt.Sprint(sink))
}

// One bad series leaves the others on the page.
func TestCollisions(t *testing.T) {
	sink := detached(t)
	batch := second(counter("a.b", 1), counter("a-b", 2), gauge("", 1), counter("k", 1, tag{Key: "k", Value: "\xff"}),
		gauge("a.b.total", 1), counter("good", 1))
	err := sink.Write(t.Context(), batch)
	require.ErrorContains(t, err, `openmetricssink: counter "a.b" and counter "a-b" would both be a_b_total:`)
	require.ErrorContains(t, err, `openmetricssink: counter "a.b" and gauge "a.b.total" would both be a_b_total:`)
	for i, want := range []string{"", "another's", "no name", "UTF-8", "another's", ""} {
		reason, dropped := batch.Dropped(i)
		require.Equal(t, want != "", dropped)
		require.Contains(t, reason, want)
	}
	require.NoError(t, sink.Write(t.Context(), batch), "reported once")
	page := get(t, sink, acceptClassic)
	require.Contains(t, page, "\na_b_total 2\n")
	require.Contains(t, page, "\ngood_total 2\n")
}

// Series stay on the page until the buffer forgets them. Then they leave nothing on it, and their names are free.
func TestEndedSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		k := func(v string) tag { return tag{Key: "k", Value: v} }
		for _, v := range []string{"a", "b", "c", "d"} {
			buffer.IncrCounter("jobs", 1, k(v))
		}
		buffer.SetGauge("a.b", 1)
		scrapeFor := func(seconds int) {
			for range seconds / 10 {
				_ = get(t, sink, acceptClassic)
				time.Sleep(10 * time.Second)
			}
		}
		scrapeFor(40)
		buffer.IncrCounter("jobs", 1, k("b"))
		buffer.IncrCounter("jobs", 1, k("d"))
		scrapeFor(50)
		buffer.SetGauge("a-b", 7)
		buffer.IncrCounter("jobs", 5, k("a"))
		families, err := parse(get(t, sink, acceptClassic), false)
		require.NoError(t, err)
		require.Len(t, families, 2)
		require.InDelta(t, 7, families[0].samples[0].value, 0)
		counts := make(map[string]float64)
		for _, s := range families[1].samples {
			counts[s.labels[0].Value] = s.value
		}
		require.Equal(t, map[string]float64{"a": 5, "b": 2, "d": 2}, counts)
		scrapeFor(100)
		require.Empty(t, get(t, sink, acceptClassic), "at rest, too")
		require.Equal(t, "# EOF\n", get(t, sink, acceptOpen))
		require.NoError(t, buffer.Close())
	})
}

// A gauge that was set once stays while an instrument holds it, however many series come and go.
func TestHeldGaugeStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		version := buffer.Gauge("version")
		version.Set(7)
		for i := range 100 {
			buffer.SetGauge("churn", 1, tag{Key: "i", Value: strconv.Itoa(i)})
			page := get(t, sink, acceptClassic)
			require.Contains(t, page, "\nversion 7\n")
			require.Less(t, strings.Count(page, "churn{"), 6, "an idle series ends soon after its time")
			time.Sleep(30 * time.Second)
		}
		runtime.KeepAlive(version)
		require.NoError(t, buffer.Close())
	})
}

// Series that come and go, some of them back, while Writes fail: their ends arrive with later batches. Each total is
// that of the updates since the series began, and the page is no longer than the series that there are.
func TestChurnWithFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t)
		buffer, err := metricsbuffer.New(metricsbuffer.WithIdleExpiry(time.Second),
			metricsbuffer.WithSink(sinktest.Failing(sink, func(write int64) bool { return write%3 > 0 })))
		require.NoError(t, err)
		jobs := buffer.Counter("jobs")
		for i := range 500 {
			jobs.Inc()
			buffer.IncrCounter("churn", 1, tag{Key: "i", Value: strconv.Itoa(i)})
			buffer.IncrCounter("back", 1, tag{Key: "i", Value: strconv.Itoa(i % 7)})
			time.Sleep(time.Second)
			page := get(t, sink, acceptClassic)
			require.Less(t, strings.Count(page, "\n"), 60)
		}
		require.NoError(t, buffer.Close())
		require.Contains(t, get(t, sink, acceptClassic), "\njobs_total 500\n")
	})
}

// A total that exceeds an int64 begins anew, with another time of creation.
func TestCreatedMoves(t *testing.T) {
	sink := detached(t)
	for i := range 3 {
		batch := second(counter("jobs", math.MaxInt64), counter("other", 1))
		batch.Start = time.Unix(int64(i), int64(i)*1e8)
		require.NoError(t, sink.Write(t.Context(), batch))
		page := get(t, sink, acceptOpen)
		require.Contains(t, page, fmt.Sprintf("\njobs_created %v\n", float64(i)*1.1))
		require.Contains(t, page, "\nother_created 0\n")
	}
	before := second(counter("before", 1))
	before.Start = time.Unix(-2, 5e8)
	require.NoError(t, sink.Write(t.Context(), before))
	require.Contains(t, get(t, sink, acceptOpen), "\nbefore_created -1.5\n")
}

// A series that ended and is back has another time of creation. A series that goes on keeps its own.
func TestCreatedOfSeriesThatAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t)
		buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithIdleExpiry(time.Minute))
		require.NoError(t, err)
		begin := time.Now()
		scrapedFor := func(d time.Duration) (created map[string]float64) { // seconds since the begin, by name
			for end := time.Now().Add(d); ; time.Sleep(10 * time.Second) {
				buffer.IncrCounter("on", 1)
				buffer.IncrTimer("on", 1)
				families, err := parse(get(t, sink, acceptOpen), true)
				require.NoError(t, err)
				created = make(map[string]float64)
				for _, f := range families {
					for _, s := range f.samples {
						if s.suffix == "_created" {
							created[f.name] = s.value - float64(begin.Unix())
						}
					}
				}
				if !time.Now().Before(end) {
					return created
				}
			}
		}
		buffer.IncrCounter("back", 1)
		buffer.IncrTimer("back", 1)
		require.Equal(t, map[string]float64{"on": 0, "on_seconds": 0, "back": 0, "back_seconds": 0}, scrapedFor(0))
		require.Equal(t, map[string]float64{"on": 0, "on_seconds": 0}, scrapedFor(200*time.Second))
		buffer.IncrCounter("back", 1)
		buffer.IncrTimer("back", 1)
		for range 3 { // a batch begins at the end of the one before
			require.Equal(t, map[string]float64{"on": 0, "on_seconds": 0, "back": 200, "back_seconds": 200},
				scrapedFor(10*time.Second))
			buffer.IncrCounter("back", 1)
			buffer.IncrTimer("back", 1)
		}
		require.NoError(t, buffer.Close())
	})
}

// TestDescription: a family's description is that of its latest points, and so is the unit if the name ends with it.
func TestDescription(t *testing.T) {
	sink := detached(t, openmetricssink.WithoutCreated())
	described := func(help, unit string, points ...point) []point {
		for i := range points {
			points[i].Help, points[i].Unit = help, unit
		}
		return points
	}
	a, b := tag{Key: "k", Value: "a"}, tag{Key: "k", Value: "b"}
	require.NoError(t, sink.Write(t.Context(), second(counter("sent.bytes", 1, a), gauge("idle.seconds", 2))))
	const without = "# HELP sent_bytes The counter \\\"sent.bytes\\\".\n# TYPE sent_bytes counter\nsent"
	require.Contains(t, get(t, sink, acceptOpen), without)
	require.NoError(t, sink.Write(t.Context(), second(described("Old.", "bytes", counter("sent.bytes", 1, b))...)))
	require.Contains(t, get(t, sink, acceptOpen), "# HELP sent_bytes Old.\n")
	require.NoError(t, sink.Write(t.Context(), second(described("A \"b\\\nc", "bytes", counter("sent.bytes", 1, a))...)))
	require.NoError(t, sink.Write(t.Context(), second(described("Idle.", "s", gauge("idle.seconds", 2))...)))
	require.Equal(t, `# HELP idle_seconds Idle.
# TYPE idle_seconds gauge
idle_seconds 2
# HELP sent_bytes A \"b\\\nc
# TYPE sent_bytes counter
# UNIT sent_bytes bytes
sent_bytes_total{k="a"} 2
sent_bytes_total{k="b"} 1
# EOF
`, get(t, sink, acceptOpen))
	require.Contains(t, get(t, sink, "text/plain"),
		"# HELP sent_bytes_total A \"b\\\\\\nc\n# TYPE sent_bytes_total counter\nsent")
	total := described("", "seconds", gauge("up.seconds.total", 1))
	require.NoError(t, sink.Write(t.Context(), second(total...)))
	require.NotContains(t, get(t, sink, acceptOpen), "# UNIT up", "it is not the end of a gauge's name")
	require.NoError(t, sink.Write(t.Context(), second(described("", "", counter("sent.bytes", 1, a), gauge("x--", 1))...)))
	require.NotContains(t, get(t, sink, acceptOpen), "# UNIT", "not even of a name that ends as an empty unit is written")
	require.Contains(t, get(t, sink, acceptOpen), without)
}

// A series that was dropped because another one had its name is served when the buffer has forgotten that one.
func TestNameIsFreeAgain(t *testing.T) {
	sink := detached(t, openmetricssink.WithoutCreated())
	owner, other := counter("a.b", 1), counter("a-b", 2)
	require.NoError(t, sink.Write(t.Context(), second(owner)))
	require.ErrorContains(t, sink.Write(t.Context(), second(other)), "a-b")
	require.NoError(t, sink.Write(t.Context(), second(other)), "it was reported")
	end := second(other)
	end.Ended = []point{owner}
	require.NoError(t, sink.Write(t.Context(), end))
	require.Contains(t, get(t, sink, acceptOpen), "\na_b_total 2\n")
}
