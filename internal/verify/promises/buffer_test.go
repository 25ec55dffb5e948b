package promises

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// newBuffer returns a buffer that flushes on demand, and the recorder of its batches.
func newBuffer(t *testing.T, opts ...metricsbuffer.Option) (*metricsbuffer.Buffer, *sinktest.Recorder) {
	recorder := new(sinktest.Recorder)
	opts = append([]metricsbuffer.Option{metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder)}, opts...)
	b, err := metricsbuffer.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		require.NoError(t, recorder.Err())
	})
	return b, recorder
}

func tag(key, value string) metricsbuffer.Tag { return metricsbuffer.Tag{Key: key, Value: value} }

func TestInstruments(t *testing.T) {
	b, recorder := newBuffer(t)
	b.Counter("c").Inc()
	b.Counter("c").Add(41)
	b.IncrCounter("c", -2)
	timer := b.Timer("t")
	for _, d := range []time.Duration{5, 2, math.MaxInt64 / 2, 1} {
		timer.Observe(d)
	}
	b.IncrTimer("t2", 0)
	b.IncrTimer("t2", -time.Second)
	b.Gauge("g").Set(3)
	b.Gauge("g").Add(0.5)
	b.SetGauge("g2", math.Inf(-1))
	require.NoError(t, b.Flush(t.Context()))

	c := recorder.Total(metricsbuffer.KindCounter, "c")
	require.EqualValues(t, 40, c.Count)
	p := recorder.Total(metricsbuffer.KindTimer, "t")
	require.Equal(t, [4]int64{4, 8 + math.MaxInt64/2, 1, math.MaxInt64 / 2}, [4]int64{p.Count, p.Sum, p.Min, p.Max})
	p = recorder.Total(metricsbuffer.KindTimer, "t2")
	require.Equal(t, [4]int64{2, 0, 0, 0}, [4]int64{p.Count, p.Sum, p.Min, p.Max}, "a negative duration counts as zero")
	require.InDelta(t, 3.5, recorder.Total(metricsbuffer.KindGauge, "g").Value, 0)
	require.True(t, math.IsInf(recorder.Total(metricsbuffer.KindGauge, "g2").Value, -1))
}

func TestTagsInAnyOrderAreOneSeries(t *testing.T) {
	b, recorder := newBuffer(t)
	tags := []metricsbuffer.Tag{tag("b", "2"), tag("a", "1"), tag("a", "0")}
	b.IncrCounter("c", 1, tags...)
	b.IncrCounter("c", 1, tags[2], tags[0], tags[1])
	b.Counter("c", tags[1], tags[2], tags[0]).Inc()
	tags[0].Value = "the caller's slice is not kept"
	b.IncrCounter("c", 1, tag("a", "1"), tag("b", "2"))
	b.IncrCounter("c", 1)
	require.NoError(t, b.Flush(t.Context()))
	three := recorder.Total(metricsbuffer.KindCounter, "c", tag("a", "0"), tag("a", "1"), tag("b", "2"))
	require.EqualValues(t, 3, three.Count)
	require.Len(t, recorder.Totals(), 3)
}

func TestNilDoesNothing(t *testing.T) {
	var b *metricsbuffer.Buffer
	b.Counter("c").Inc()
	b.Timer("t").Observe(1)
	require.GreaterOrEqual(t, b.Timer("t").Start().Stop(), time.Duration(0))
	b.Gauge("g").Set(1)
	b.Gauge("g").Add(1)
	b.IncrCounter("c", 1)
	b.IncrTimer("t", 1)
	b.ObserveHistogram("h", "bytes", 1)
	b.Histogram("h", "bytes").Observe(1)
	b.SetGauge("g", 1)
	require.Zero(t, b.Stats())
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Close())
}

func TestInstancesDoNotMix(t *testing.T) {
	b1, recorder1 := newBuffer(t)
	b2, recorder2 := newBuffer(t)
	b1.IncrCounter("c", 1)
	b2.IncrCounter("c", 2)
	b1.Timer("t").Observe(1)
	require.NoError(t, b1.Flush(t.Context()))
	require.NoError(t, b2.Flush(t.Context()))
	require.EqualValues(t, 1, recorder1.Total(metricsbuffer.KindCounter, "c").Count)
	require.EqualValues(t, 2, recorder2.Total(metricsbuffer.KindCounter, "c").Count)
	_, err := recorder2.Find(metricsbuffer.KindTimer, "t")
	require.Error(t, err)
}

func TestNothingIsDeliveredTwice(t *testing.T) {
	b, recorder := newBuffer(t)
	b.IncrCounter("c", 1)
	b.SetGauge("g", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()), "nothing to deliver is no failure")
	require.Len(t, recorder.Batches(), 1)
	b.SetGauge("g", 1) // set again, although to the same
	require.NoError(t, b.Flush(t.Context()))
	require.Len(t, recorder.Batches()[1].Points, 1)
}

// TestStringsAreCopied: names, tags, units and names of sinks may lie in a buffer that is reused.
func TestStringsAreCopied(t *testing.T) {
	var reused [][]byte
	s := func(text string) string {
		bytes := []byte(text)
		reused = append(reused, bytes)
		return unsafe.String(&bytes[0], len(bytes))
	}
	b, recorder := newBuffer(t,
		metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil }),
			metricsbuffer.SinkName(s("name of the sink"))))
	b.IncrCounter(s("by name"), 1, tag(s("key"), s("value")))
	b.IncrTimer(s("by name"), 1, tag(s("key"), s("value")))
	b.SetGauge(s("by name"), 1, tag(s("key"), s("value")))
	b.ObserveHistogram(s("by name"), s("unit 1"), 1, tag(s("key"), s("value")))
	b.Histogram(s("held"), s("unit 2"), tag(s("key"), s("value"))).Observe(1)
	b.Counter(s("held"), tag(s("key"), s("value"))).Inc()
	vec := metricsbuffer.Must(metricsbuffer.NewHistogramVec[struct{ K string }](b, s("vec"), s("unit 3")))
	for _, bytes := range reused {
		clear(bytes)
	}
	vec.With(struct{ K string }{"v"}).Observe(1)
	require.NoError(t, b.Flush(t.Context()))
	var got []string
	for _, p := range recorder.Totals() {
		got = append(got, fmt.Sprint(p.Kind, " ", p.Name, p.Unit, p.Tags))
	}
	require.ElementsMatch(t, []string{
		"counter by name[{key value}]", "timer by name[{key value}]", "gauge by name[{key value}]",
		"histogram by nameunit 1[{key value}]", "histogram heldunit 2[{key value}]", "counter held[{key value}]",
		"histogram vecunit 3[{K v}]",
	}, got)
	require.Equal(t, "name of the sink", b.Stats().Sinks[1].Name)
}

func TestOverflow(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithMaxSeries(2))
	b.IncrCounter("c", 1, tag("user", "1"))
	b.IncrTimer("t", 7)
	for _, user := range strings.Fields("2 3 4 1") {
		b.IncrCounter("c", 1, tag("user", user))
	}
	b.Counter("d", tag("user", "1")).Add(5)
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "c", tag("user", "1")).Count)
	require.EqualValues(t, 3, recorder.Total(metricsbuffer.KindCounter, "c", tag("overflow", "true")).Count)
	require.EqualValues(t, 5, recorder.Total(metricsbuffer.KindCounter, "d", tag("overflow", "true")).Count)
	require.Len(t, recorder.Totals(), 4)
}

// byUnit is a sink that adds up histograms by unit, and checks that no series is twice in one batch.
type byUnit map[string]metricsbuffer.Point

func (u byUnit) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	seen := make(map[string]bool)
	for _, p := range batch.Points {
		series := fmt.Sprint(p.Kind, p.Name, p.Tags, p.Unit)
		if seen[series] {
			return fmt.Errorf("%s is twice in one batch", series)
		}
		seen[series] = true
		total := u[p.Unit]
		u[p.Unit] = metricsbuffer.Point{Count: total.Count + p.Count, Sum: total.Sum + p.Sum}
	}
	return nil
}

// TestUnitsDoNotMix: the unit is part of the identity of a series, also of overflow series and of the last resort.
func TestUnitsDoNotMix(t *testing.T) {
	units := make(byUnit)
	b, err := metricsbuffer.New(
		metricsbuffer.WithInterval(0), metricsbuffer.WithMaxSeries(1), metricsbuffer.WithSink(units))
	require.NoError(t, err)
	for range 2 {
		for i := range 4 {
			name := "size " + strconv.Itoa(i)
			b.ObserveHistogram(name, "bytes", 10)
			b.Histogram(name, "lines").Observe(1)
			b.ObserveHistogram(name, "", 100)
		}
	}
	require.NoError(t, b.Close())
	require.Equal(t, byUnit{"bytes": {Count: 8, Sum: 80}, "lines": {Count: 8, Sum: 8}, "": {Count: 8, Sum: 800}}, units)
	require.EqualValues(t, 22, b.Stats().Overflowed.Observations)
}

// TestUnitsWithoutEnd: units may come from outside. Units beyond the limit share one family. A caller can ask for that
// family, too.
func TestUnitsWithoutEnd(t *testing.T) {
	for _, early := range []int{0, 1} {
		units := make(byUnit)
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(units))
		require.NoError(t, err)
		for range early {
			b.ObserveHistogram("size", "other", 1)
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for i := range 1000 {
					b.ObserveHistogram("size", "unit "+strconv.Itoa(i), 1)
				}
			})
		}
		wait.Wait()
		b.ObserveHistogram("size", "other", 1)
		require.NoError(t, b.Close())
		require.Len(t, units, 257-early)
		require.EqualValues(t, 4, units["unit 17"].Count)
		require.EqualValues(t, early+1+4*(1000-256+early), units["other"].Count)
	}
}

func TestWritersNeverAllocate(t *testing.T) {
	b, _ := newBuffer(t)
	counter, timer, gauge := b.Counter("c"), b.Timer("t"), b.Gauge("g")
	status := string([]byte("success")) // not a constant, whose address could stand in the caller's code
	operations := map[string]func(){
		"Counter.Add":           func() { counter.Add(1) },
		"Timer.Observe":         func() { timer.Observe(time.Millisecond) },
		"Timer.Observe, zero":   func() { timer.Observe(0) },
		"Stopwatch":             func() { timer.Start().Stop() },
		"Gauge.Set":             func() { gauge.Set(1) },
		"Gauge.Add":             func() { gauge.Add(1) },
		"IncrCounter":           func() { b.IncrCounter("c", 1) },
		"IncrCounter with tags": func() { b.IncrCounter("c", 1, tag("status", status), tag("producer", "p")) },
		"IncrTimer":             func() { b.IncrTimer("t", time.Millisecond) },
		"IncrTimer with tags":   func() { b.IncrTimer("t", time.Millisecond, tag("producer", "p"), tag("status", status)) },
		"ObserveHistogram":      func() { b.ObserveHistogram("h", "bytes", 1) },
		"ObserveHistogram with tags": func() {
			b.ObserveHistogram("h", "bytes", 1, tag("producer", "p"), tag("status", status))
		},
		"SetGauge with tags": func() { b.SetGauge("g", 1, tag("producer", "p")) },
	}
	for name, operation := range operations {
		onEveryP(operation)
		require.NoError(t, b.Flush(t.Context()))
		onEveryP(operation) // in the other bank as well
		require.Zero(t, testing.AllocsPerRun(1000, operation), name)
	}
}

// onEveryP makes it very likely that f is called on every P.
func onEveryP(f func()) {
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) * 4 {
		wait.Go(func() {
			for range 1000 {
				f()
			}
			runtime.Gosched()
		})
	}
	wait.Wait()
}

func TestWritersDoNotWaitForAHangingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, late := new(sinktest.Recorder), new(sinktest.Recorder)
		hanging, release := sinktest.Hanging(late)
		b, err := metricsbuffer.New(
			metricsbuffer.WithInterval(0),
			metricsbuffer.WithCloseTimeout(3*time.Second),
			metricsbuffer.WithSink(good, metricsbuffer.SinkName("good")),
			metricsbuffer.WithSink(hanging, metricsbuffer.SinkName("hanging"), metricsbuffer.SinkTimeout(time.Hour)))
		require.NoError(t, err)
		counter := b.Counter("c")
		counter.Inc()

		// Time stands still in here unless all goroutines wait. So a writer that waited would be seen.
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err = b.Flush(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `sink "hanging"`)
		require.NotContains(t, err.Error(), `sink "good"`)
		require.Equal(t, 2*time.Second, time.Since(begin))

		begin = time.Now()
		for range 1_000_000 {
			counter.Inc()
			b.IncrTimer("t", 5)
		}
		require.Zero(t, time.Since(begin), "writers waited")

		begin = time.Now()
		err = b.Close()
		require.ErrorContains(t, err, `sink "hanging"`)
		require.NotContains(t, err.Error(), `sink "good"`)
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.Equal(t, err, b.Close(), "a second Close returns the same error")
		require.EqualValues(t, 1_000_001, good.Total(metricsbuffer.KindCounter, "c").Count)

		stats := b.Stats()
		require.EqualValues(t, 1, stats.Sinks[1].Pending.Increments-1_000_000)
		release()
		synctest.Wait()
		require.EqualValues(t, 1, late.Total(metricsbuffer.KindCounter, "c").Count)
		stats = b.Stats()
		require.EqualValues(t, 1, stats.Sinks[1].Acknowledged.Increments, "a late acknowledgement counts")
		require.EqualValues(t, 1_000_000, stats.Sinks[1].Dropped.Increments)
		require.Zero(t, stats.Sinks[1].Pending)
		requireBalance(t, stats)
	})
}

// requireBalance checks that every sink's account adds up.
func requireBalance(t *testing.T, stats metricsbuffer.Stats) {
	t.Helper()
	for _, s := range stats.Sinks {
		sum := metricsbuffer.Totals{
			Increments:   s.Acknowledged.Increments + s.Pending.Increments + s.Dropped.Increments,
			Observations: s.Acknowledged.Observations + s.Pending.Observations + s.Dropped.Observations,
		}
		require.Equal(t, stats.Recorded, sum, s.Name)
	}
}

func TestWritingAfterCloseIsCounted(t *testing.T) {
	b, recorder := newBuffer(t)
	counter := b.Counter("c")
	counter.Add(2)
	require.NoError(t, b.Close())
	counter.Add(3)
	b.IncrTimer("t", 1)
	b.IncrCounter("new", 4)
	require.ErrorIs(t, b.Flush(t.Context()), metricsbuffer.ErrClosed)
	stats := b.Stats()
	require.Equal(t, metricsbuffer.Totals{Increments: 9, Observations: 1}, stats.Recorded)
	require.Equal(t, metricsbuffer.Totals{Increments: 2}, stats.Sinks[0].Acknowledged)
	require.Equal(t, metricsbuffer.Totals{Increments: 7, Observations: 1}, stats.Sinks[0].Dropped)
	requireBalance(t, stats)
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "c").Count)
}

func TestWithoutSinksItCounts(t *testing.T) {
	before := runtime.NumGoroutine()
	b, err := metricsbuffer.New()
	require.NoError(t, err)
	require.Equal(t, before, runtime.NumGoroutine())
	b.IncrCounter("c", 3)
	b.IncrTimer("t", 1)
	b.IncrTimer("t", 0)
	require.Equal(t, metricsbuffer.Totals{Increments: 3, Observations: 2}, b.Stats().Recorded)
	require.NoError(t, b.Flush(t.Context()))
	require.NoError(t, b.Close())
}

// flushers returns the number of running flushers.
func flushers() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "metricsbuffer.(*flusher).run(")
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := flushers()
	b, err := metricsbuffer.New(metricsbuffer.WithSink(new(sinktest.Recorder)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return flushers() == before+1 }, 10*time.Second, time.Millisecond)
	b.IncrCounter("c", 1)
	require.NoError(t, b.Close())
	require.Eventually(t, func() bool { return flushers() == before }, 10*time.Second, time.Millisecond)
}

func TestDroppedBufferIsFlushedAndLeavesNoGoroutine(t *testing.T) {
	before := flushers()
	recorder := new(sinktest.Recorder)
	counter := func() *metricsbuffer.Counter {
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder))
		require.NoError(t, err)
		b.IncrTimer("t", 1)
		b.SetGauge("g", 1)
		return b.Counter("c")
	}()
	counter.Inc()
	for range 3 {
		runtime.GC()
	}
	counter.Inc() // an instrument keeps its buffer
	require.Equal(t, before+1, flushers())
	require.Empty(t, recorder.Batches())
	runtime.KeepAlive(counter)
	require.Eventually(t, func() bool { runtime.GC(); return flushers() == before }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "c").Count)
	require.EqualValues(t, 1, recorder.Total(metricsbuffer.KindTimer, "t").Count)
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	b, err := metricsbuffer.New(
		metricsbuffer.WithInterval(-1), metricsbuffer.WithCloseTimeout(0), metricsbuffer.WithMaxSeries(0),
		metricsbuffer.WithIdleExpiry(0),
		metricsbuffer.WithSink(nil), metricsbuffer.WithSink((*sinktest.Recorder)(nil)),
		metricsbuffer.WithSink(metricsbuffer.SinkFunc(nil)),
		metricsbuffer.WithSink(new(sinktest.Recorder), metricsbuffer.SinkInterval(-1), metricsbuffer.SinkTimeout(-1)))
	require.Nil(t, b)
	options := "WithInterval WithCloseTimeout WithMaxSeries WithIdleExpiry WithSink SinkInterval SinkTimeout"
	for _, option := range strings.Fields(options) {
		require.ErrorContains(t, err, option)
	}
}

func TestNewSaysWhatIsNoMistakeToTheCompiler(t *testing.T) {
	recorder := new(sinktest.Recorder)
	for want, opts := range map[string][]metricsbuffer.Option{
		"option 2 of 2 is nil":  {metricsbuffer.WithInterval(0), nil},
		"option 1 of 1 is nil":  {metricsbuffer.WithSink(recorder, nil)},
		"10ns is less than":     {metricsbuffer.WithInterval(10)},
		"5µs is less than":      {metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(5*time.Microsecond))},
		"CloseTimeout: 10ns is": {metricsbuffer.WithCloseTimeout(10)},
		"IdleExpiry: 3.6µs is":  {metricsbuffer.WithIdleExpiry(3600)},
		"SinkTimeout: 5ns is":   {metricsbuffer.WithSink(recorder, metricsbuffer.SinkTimeout(5))},
		"given twice":           {metricsbuffer.WithSink(recorder), metricsbuffer.WithSink(recorder)},
		"*sinktest.Recorder":    {metricsbuffer.WithSink((*sinktest.Recorder)(nil))},
		"the sink is nil: ":     {metricsbuffer.WithSink(nil)},
		"a nil promises.byUnit": {metricsbuffer.WithSink(byUnit(nil))},
		"the name is empty":     {metricsbuffer.WithSink(recorder, metricsbuffer.SinkName(""))},
		`value "v" has no key`:  {metricsbuffer.WithTags(tag("", "v"))},
		`"k" is given twice`:    {metricsbuffer.WithTags(tag("k", "v")), metricsbuffer.WithTags(tag("j", ""), tag("k", "v"))},
		`"overflow" belongs to`: {metricsbuffer.WithTags(tag("overflow", "false"))},
		`two sinks are named "s"`: {
			metricsbuffer.WithSink(recorder, metricsbuffer.SinkName("s")),
			metricsbuffer.WithSink(new(sinktest.Recorder), metricsbuffer.SinkName("s")),
		},
	} {
		_, err := metricsbuffer.New(opts...)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "<nil>")
	}
	f := metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil })
	b, err := metricsbuffer.New(metricsbuffer.WithSink(f), metricsbuffer.WithSink(f))
	require.NoError(t, err, "a function may be used twice")
	require.NoError(t, b.Close())
}

// nameless is a sink with a default name.
type nameless struct {
	metricsbuffer.Sink
	name string
}

func (n *nameless) String() string { return n.name }

// TestSinksHaveNamesOfTheirOwn: default names give way to each other and to those that were chosen.
func TestSinksHaveNamesOfTheirOwn(t *testing.T) {
	sink := func(name string) *nameless { return &nameless{new(sinktest.Recorder), name} }
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink("a")),
		metricsbuffer.WithSink(sink("a")), metricsbuffer.WithSink(sink("")), metricsbuffer.WithSink(sink("b")),
		metricsbuffer.WithSink(sink(""), metricsbuffer.SinkName("a #2")),
		metricsbuffer.WithSink(sink(""), metricsbuffer.SinkName("b")))
	require.NoError(t, err)
	var names []string
	for _, s := range b.Stats().Sinks {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{"a", "a #3", "*promises.nameless", "b #2", "a #2", "b"}, names)
	require.NoError(t, b.Close())
}

func TestGrowingGOMAXPROCS(t *testing.T) {
	b, recorder := newBuffer(t)
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	want := int64(0)
	for n := range 40 {
		runtime.GOMAXPROCS(n%20 + 1)
		var wait sync.WaitGroup
		var recorded atomic.Int64
		for range 40 {
			wait.Go(func() {
				for range 100 {
					b.IncrCounter("c", 1)
					recorded.Add(1)
				}
			})
		}
		wait.Wait()
		want += recorded.Load()
		require.NoError(t, b.Flush(t.Context()))
		require.Equal(t, want, recorder.Total(metricsbuffer.KindCounter, "c").Count)
	}
}

// TestSelfMetricsThatOverflow do not count themselves.
func TestSelfMetricsThatOverflow(t *testing.T) {
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithMaxSeries(1),
		metricsbuffer.WithSelfMetrics(), metricsbuffer.WithSink(new(sinktest.Recorder)))
	require.NoError(t, err)
	const flushes = 200
	for range flushes {
		require.NoError(t, b.Flush(t.Context()))
	}
	stats := b.Stats()
	require.LessOrEqual(t, stats.Overflowed.Increments, stats.Flips+2*flushes)
	require.NoError(t, b.Close())
}
