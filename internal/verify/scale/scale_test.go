// Package scale shows that memory and flush time follow use and not the number of processors.
package scale

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

const (
	counters = 100_000
	timers   = 10_000
)

// A use says which series the n-th update of a P is for.
type use struct {
	name string
	pick func(rng *rand.Rand, p, procs, series int) func(n int) int
}

var uses = []use{
	{"Zipf", func(rng *rand.Rand, _, _, series int) func(int) int {
		zipf := rand.NewZipf(rng, 1.1, 1, uint64(series-1))
		return func(int) int { return int(zipf.Uint64()) }
	}},
	{"even", func(rng *rand.Rand, _, _, series int) func(int) int {
		return func(int) int { return rng.IntN(series) }
	}},
	{"one P each", func(_ *rand.Rand, p, procs, series int) func(int) int {
		return func(n int) int { return (p + n*procs) % series }
	}},
}

// A measurement is one buffer under one use.
type measurement struct {
	series  int
	used    metricsbuffer.Stats // after a flush in which everything was used
	flushed time.Duration       // that flush
	sparse  time.Duration       // a flush with 1 % of the series touched
	idle    int64               // bytes after 100 flushes without updates
	add     float64             // nanoseconds of an update, with one goroutine
}

// perSeries returns the bytes of values.
func (m *measurement) perSeries() float64 { return float64(m.used.Bytes) / float64(m.series) }

// measure has every P record updates in series, by a handle each, in some rounds between which it flushes.
func measure(
	tb testing.TB, procs, series, updates int, u use, record func(b *metricsbuffer.Buffer) func(i, n int),
) measurement {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithMaxSeries(series),
		metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil })))
	require.NoError(tb, err)
	update := record(b)
	flush := func() time.Duration {
		begin := time.Now()
		require.NoError(tb, b.Flush(context.Background()))
		return time.Since(begin)
	}
	m := measurement{series: series}
	for round := range 4 {
		var wait sync.WaitGroup
		for p := range procs {
			wait.Go(func() {
				pick := u.pick(rand.New(rand.NewPCG(uint64(p), uint64(round))), p, procs, series)
				for n := range updates / procs {
					update(pick(n), n)
					if n%200 == 0 {
						runtime.Gosched() // or one P after the other would do all the work
					}
				}
			})
		}
		wait.Wait()
		m.flushed = flush()
	}
	m.used = b.Stats()
	var sparse []time.Duration
	for range 21 {
		for i := 0; i < series; i += 100 {
			update(i, i)
		}
		sparse = append(sparse, flush())
	}
	slices.Sort(sparse)
	m.sparse = sparse[len(sparse)/2]
	rng := rand.New(rand.NewPCG(1, 2))
	pick := u.pick(rng, 0, procs, series)
	order := make([]int, 1<<16)
	for n := range order {
		order[n] = pick(n)
	}
	begin := time.Now()
	for n, i := range order {
		update(i, n)
	}
	m.add = float64(time.Since(begin).Nanoseconds()) / float64(len(order))
	for range 100 {
		flush()
	}
	m.idle = b.Stats().Bytes
	require.NoError(tb, b.Close())
	return m
}

func addTo(n int) func(b *metricsbuffer.Buffer) func(i, n int) {
	return func(b *metricsbuffer.Buffer) func(i, n int) {
		handles := make([]*metricsbuffer.Counter, n)
		for i := range handles {
			handles[i] = b.Counter(fmt.Sprint("counter ", i))
		}
		return func(i, _ int) { handles[i].Inc() }
	}
}

// observeIn observes values spread evenly over three decades, on the scale of their logarithm.
func observeIn(n int) func(b *metricsbuffer.Buffer) func(i, n int) {
	values := make([]time.Duration, 4096)
	for i := range values {
		values[i] = time.Duration(1000 * math.Pow(10, 3*float64(uint64(i)*2654435761%4096)/4096))
	}
	return func(b *metricsbuffer.Buffer) func(i, n int) {
		handles := make([]*metricsbuffer.Timer, n)
		for i := range handles {
			handles[i] = b.Timer(fmt.Sprint("timer ", i))
		}
		return func(i, n int) { handles[i].Observe(values[(n*7+i)%len(values)]) }
	}
}

// TestMemoryFollowsUse: with 64 Ps, values take little more memory than with 2, and what is idle takes none.
func TestMemoryFollowsUse(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("records millions of updates")
	}
	few := measure(t, 2, counters, 2_000_000, uses[0], addTo(counters))
	many := measure(t, 64, counters, 2_000_000, uses[0], addTo(counters))
	for range 2 { // the scheduler decides which P records how much: an unlucky measurement is made again
		if many.perSeries() > 1.5*few.perSeries() {
			many = measure(t, 64, counters, 2_000_000, uses[0], addTo(counters))
		}
	}
	t.Logf("counters, Zipf: %.1f bytes with 2 Ps, %.1f with 64; %d, %d own chunks; %d bytes of %d when idle",
		few.perSeries(), many.perSeries(), few.used.OwnChunks, many.used.OwnChunks, many.idle, many.used.Bytes)
	require.LessOrEqual(t, many.perSeries(), 1.5*few.perSeries())
	for i, limit := range []float64{2048, 6144} {
		m := measure(t, 64, timers, 2_000_000, uses[i], observeIn(timers))
		t.Logf("timers, %s: %.0f bytes with 64 Ps; %d own chunks; %d bytes of %d when idle",
			uses[i].name, m.perSeries(), m.used.OwnChunks, m.idle, m.used.Bytes)
		require.LessOrEqual(t, m.perSeries(), limit)
		require.LessOrEqual(t, m.idle, m.used.Bytes/20)
	}
	require.LessOrEqual(t, many.idle, many.used.Bytes/20)
}

// BenchmarkScale prints memory, flush times and a writer's cost by the number of Ps:
//
//	go test -run '^$' -bench Scale -benchtime 1x ./internal/verify/scale
//
// METRICSBUFFER_PROCS has other numbers of Ps than 2,8,64,256.
func BenchmarkScale(b *testing.B) {
	list := os.Getenv("METRICSBUFFER_PROCS")
	if list == "" {
		list = "2,8,64,256"
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(out, "\nseries\tuse\tPs\tB/series\tidle\town\tcommon\tpromoted\t")
	_, _ = fmt.Fprint(out, "flush, all\tflush, 1 %\tns/update\t\n")
	for range b.N {
		for _, u := range uses {
			for _, p := range strings.Split(list, ",") {
				var procs int
				if _, err := fmt.Sscan(p, &procs); err != nil {
					b.Fatal(err)
				}
				for _, kind := range []struct {
					name   string
					series int
					record func(b *metricsbuffer.Buffer) func(i, n int)
				}{{"counter", counters, addTo(counters)}, {"timer", timers, observeIn(timers)}} {
					m := measure(b, procs, kind.series, 2_000_000, u, kind.record)
					_, _ = fmt.Fprintf(out, "%s\t%s\t%d\t%.1f\t%.1f %%\t%d\t%d\t%d\t%v\t%v\t%.1f\t\n", kind.name, u.name, procs,
						m.perSeries(), 100*float64(m.idle)/float64(m.used.Bytes), m.used.OwnChunks, m.used.CommonChunks,
						m.used.Promotions, m.flushed.Round(time.Microsecond), m.sparse.Round(time.Microsecond), m.add)
				}
			}
		}
		_ = out.Flush()
	}
}

// BenchmarkSinks prints how long a collection takes for 1, 4 and 10 sinks, all counters touched. Stats collects and
// delivers nothing.
func BenchmarkSinks(b *testing.B) {
	for range b.N {
		for _, sinks := range []int{1, 4, 10} {
			opts := []metricsbuffer.Option{metricsbuffer.WithInterval(0), metricsbuffer.WithMaxSeries(counters)}
			for range sinks {
				sink := metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil })
				opts = append(opts, metricsbuffer.WithSink(sink))
			}
			buffer, err := metricsbuffer.New(opts...)
			require.NoError(b, err)
			update := addTo(counters)(buffer)
			var times []time.Duration
			for range 21 {
				for i := range counters {
					update(i, i)
				}
				begin := time.Now()
				_ = buffer.Stats()
				times = append(times, time.Since(begin))
				require.NoError(b, buffer.Flush(context.Background()))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), fmt.Sprint(sinks, "-sinks-µs"))
			require.NoError(b, buffer.Close())
		}
	}
}

// BenchmarkDecades prints the bytes of a timer by how many decades its values span.
func BenchmarkDecades(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for range b.N {
		for _, decades := range []float64{1, 3, 6} {
			buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
				metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error { return nil })))
			require.NoError(b, err)
			empty := buffer.Stats().Bytes
			handles := make([]*metricsbuffer.Timer, 2000)
			for i := range handles {
				handles[i] = buffer.Timer(fmt.Sprint("timer ", i))
			}
			for range 4 {
				for _, timer := range handles {
					for exponent := 0.0; exponent < decades; exponent += 0.02 {
						timer.Observe(time.Duration(1000 * math.Pow(10, exponent)))
					}
				}
				require.NoError(b, buffer.Flush(context.Background()))
			}
			b.ReportMetric(float64(buffer.Stats().Bytes-empty)/float64(len(handles)), fmt.Sprint(decades, "-decades-B"))
			require.NoError(b, buffer.Close())
		}
	}
}
