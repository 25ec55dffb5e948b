package metricsbuffer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/atomicmap"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// known counts the series that the registry and the flusher have in mind, without those for names that find no place.
func known(b *Buffer) (series, slots int) {
	for i := range b.registry.numbered {
		if f := b.registry.numbered[i].Load(); f != nil {
			series += f.series.Len()
		}
	}
	b.flusher.do(context.Background(), func() {
		b.flusher.collect()
		for in := range b.flusher.series {
			for _, s := range b.flusher.series[in] {
				if s != nil {
					slots++
				}
			}
		}
	})
	return series - kinds, slots - kinds
}

func TestIdleSeriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &auditor{t: t, got: make(amounts)}
		b, err := New(WithSink(sink), WithIdleExpiry(10*time.Second))
		require.NoError(t, err)
		held := b.Counter("held")
		for _, name := range []string{"c", "busy"} {
			b.IncrCounter(name, 1)
			b.IncrTimer(name, constant(name))
			b.SetGauge(name, 1)
		}
		for range 20 {
			time.Sleep(time.Second)
			b.IncrCounter("busy", 1)
		}
		series, slots := known(b)
		require.Equal(t, []int{2, 2}, []int{series, slots}, "held and the counter that is busy remain")
		highest := b.registry.slots[sums].Load()
		b.IncrCounter("c", 5, Tag{"new", "tag"})
		b.IncrCounter("c", 7)
		held.Inc()
		require.LessOrEqual(t, b.registry.slots[sums].Load(), highest+1, "the slot that is free is used again")
		b.Gauge("g").Add(2) // in a slot that was used by another
		require.NoError(t, b.Flush(t.Context()))
		slot := b.registry.find(&b.registry.families[KindGauge], atomicmap.HashName("g"), "g", nil).Value.slot
		require.InDelta(t, 2, b.registry.gauge(slot).value(), 0)
		require.Less(t, b.registry.slots[gauges].Load(), uint32(4))
		require.NoError(t, b.Close())
		require.Equal(t, amounts{
			key(KindGauge, "g"): 0, key(KindCounter, "c"): 8, key(KindCounter, "c", Tag{"new", "tag"}): 5,
			key(KindCounter, "busy"): 21, key(KindCounter, "held"): 1,
			key(KindTimer, "c"): 1, key(KindTimer, "busy"): 1, key(KindGauge, "c"): 0, key(KindGauge, "busy"): 0,
		}, sink.got)
	})
}

func TestSeriesDoesNotExpireWhilePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		sink := &auditor{t: t, got: make(amounts), fault: func(batch *Batch) (int, error) {
			if failing.Load() {
				return 0, fmt.Errorf("injected")
			}
			return len(batch.Points), nil
		}}
		b, err := New(WithSink(sink), WithIdleExpiry(5*time.Second))
		require.NoError(t, err)
		b.IncrCounter("c", 1)
		time.Sleep(time.Minute)
		series, _ := known(b)
		require.Equal(t, 1, series)
		b.IncrCounter("c", 1)
		failing.Store(false)
		time.Sleep(time.Minute)
		series, _ = known(b)
		require.Zero(t, series)
		require.Equal(t, amounts{key(KindCounter, "c"): 2}, sink.got)
		require.NoError(t, b.Close())
	})
}

func TestInstrumentKeepsItsSeries(t *testing.T) {
	sink := &auditor{t: t, got: make(amounts)}
	b, err := New(WithSink(sink), WithInterval(time.Millisecond), WithIdleExpiry(time.Millisecond))
	require.NoError(t, err)
	counter := b.Counter("c")
	time.Sleep(50 * time.Millisecond)
	series, _ := known(b)
	require.Equal(t, 1, series)
	counter.Inc()
	runtime.KeepAlive(counter)
	require.Eventually(t, func() bool {
		runtime.GC()
		series, _ := known(b)
		return series == 0
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, b.Close())
	require.EqualValues(t, 1, sink.got[key(KindCounter, "c")])
}

// TestInstrumentsStayAlive: the compiler keeps an instrument alive during the call that uses its series' slot, and a
// buffer during the call that records by name. The garbage collector could take them otherwise, and the slot would be
// given to another series. That would need a collection in just those nanoseconds, so the test asks the compiler
// instead.
func TestInstrumentsStayAlive(t *testing.T) {
	path, err := exec.LookPath("go")
	if err != nil || testing.Short() || !owner.Exclusive {
		t.Skip("builds the package once more, with the go command")
	}
	out, err := exec.Command(path, "build", "-gcflags=-live", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for callee, callers := range map[string]int{
		`instruments.go.*shards\).add: c`:               2, // Add and Inc
		`instruments.go.*shards\).observe: [th.]`:       3, // Timer.Observe, Histogram.Observe, Stopwatch.Stop
		`buffer.go.*call to .*Buffer\).addNamed: b`:     1,
		`buffer.go.*call to .*Buffer\).observeNamed: b`: 2,
		`buffer.go.*call to .*Buffer\).setNamed: b`:     1,
	} {
		live := regexp.MustCompile(`(?m)^.*`+callee).FindAllString(string(out), -1)
		require.Len(t, live, callers, "live at calls of %s", callee)
	}
	// The compiler lists calls only, and the methods of a gauge are compiled into one piece.
	source, err := os.ReadFile("instruments.go")
	require.NoError(t, err)
	methods := regexp.MustCompile(`(?s)func \((\w) \*\w+\) \w+\([^{]*\{\n.*?\n}\n`)
	checked := 0
	for _, m := range methods.FindAllStringSubmatch(string(source), -1) {
		if strings.Contains(m[0], ".slot") || strings.Contains(m[0], ".cell.") {
			require.Contains(t, m[0], "\n\t\truntime.KeepAlive("+m[1]+")\n\t}\n}\n")
			checked++
		}
	}
	require.Equal(t, 5, checked)
}

// TestStressExpiry has names come and go while they are written to, so that looking a name up, making it idle, giving
// its slot away and registering it again meet each other.
func TestStressExpiry(t *testing.T) {
	const always = 123_456
	sinks := []*auditor{
		{t: t, always: always, got: make(amounts)},
		{t: t, always: always, got: make(amounts), fault: atRandom},
	}
	b, err := New(WithInterval(time.Millisecond), WithIdleExpiry(time.Microsecond), WithMaxSeries(50),
		WithSink(sinks[0]), WithSink(sinks[1]))
	require.NoError(t, err)
	var stopped atomic.Bool
	var wait sync.WaitGroup
	var mutex sync.Mutex
	recorded := Totals{}
	for w := range 8 {
		wait.Go(func() {
			var sum Totals
			for n := w; !stopped.Load(); n++ {
				name := fmt.Sprint("name ", n%200)
				b.IncrCounter(name, int64(n))
				b.IncrTimer(name, always)
				b.SetGauge(name, 1)
				sum.add(Totals{Increments: int64(n), Observations: 1})
				if n%1000 == 0 {
					b.Counter(name).Inc() // an instrument that is dropped at once
					sum.Increments++
					time.Sleep(time.Millisecond)
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			recorded.add(sum)
		})
	}
	time.Sleep(stressTime(t))
	stopped.Store(true)
	wait.Wait()
	sinks[1].healed.Store(true)
	for b.Flush(t.Context()) != nil {
	}
	stats := b.Stats()
	require.NoError(t, b.Close())
	require.Equal(t, recorded, stats.Recorded)
	for i, sink := range sinks {
		require.Equal(t, recorded, stats.Sinks[i].Acknowledged)
		require.Equal(t, recorded, total(sink.got))
	}
	t.Logf("%d slots of counters for %d series", b.registry.slots[sums].Load(), len(sinks[0].got))
}

// TestNamesWithoutEnd abandons names: a thousand times the limit, or 10 million if METRICSBUFFER_STRESS is set.
func TestNamesWithoutEnd(t *testing.T) {
	limit, names := 1_000, 300_000
	if os.Getenv("METRICSBUFFER_STRESS") != "" {
		limit, names = 10_000, 10_000_000
	}
	var delivered, overflowed int64
	perName := make(map[string]int64)
	b, err := New(WithInterval(10*time.Millisecond), WithMaxSeries(limit), WithIdleExpiry(20*time.Millisecond),
		WithSink(SinkFunc(func(_ context.Context, batch *Batch) error {
			for _, p := range batch.Points {
				delivered += p.Count
				switch {
				case p.Name == "steady" || p.Name == overflowName:
					perName[p.Name] += p.Count
				case len(p.Tags) > 0:
					overflowed++
				}
			}
			return nil
		})))
	require.NoError(t, err)
	var stopped atomic.Bool
	var wait sync.WaitGroup
	counter, steady := b.Counter("steady"), make([]int64, 2)
	for w := range steady {
		wait.Go(func() {
			for ; !stopped.Load(); steady[w]++ {
				counter.Inc()
			}
		})
	}
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	early := int64(0)
	for n := range names {
		b.IncrCounter(fmt.Sprint("name ", n), 1)
		if n == names/10 {
			early = heap()
		}
	}
	late := heap()
	stopped.Store(true)
	wait.Wait()
	require.NoError(t, b.Close())
	want := steady[0] + steady[1]
	require.Equal(t, want, perName["steady"])
	require.Equal(t, want+int64(names), delivered)
	require.Less(t, late, early+early/4+1<<20, "memory at the end, and after a tenth")
	t.Logf("%d names, %d overflowed by themselves, %d in common: heap %d KiB after a tenth, %d KiB at the end",
		names, overflowed, perName[overflowName], early>>10, late>>10)
}
