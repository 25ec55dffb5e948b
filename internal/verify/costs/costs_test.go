// Package costs measures the price of each operation.
package costs

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
	"unsafe"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/clock"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// An operation is measured by how long a goroutine takes for n of them. Each has its own loop, so that nothing but the
// operation is in it.
type operation struct {
	name string
	loop func(worker, n int)
}

// A private word has the pair of cache lines to itself.
type private struct {
	n atomic.Int64
	_ [120]byte
}

func operations(b *testing.B) []operation {
	buffer, err := metricsbuffer.New()
	if err != nil {
		b.Fatal(err)
	}
	var (
		words   [2]private
		shared  atomic.Int64
		counter = buffer.Counter("counter")
		second  = buffer.Counter("second counter")
		timer   = buffer.Timer("timer")
		inline  [256]struct { // by P: the least that an update of an owned word can cost
			gate  owner.Gate
			words [2]owner.Word
			_     [128 - unsafe.Sizeof(owner.Gate{}) - 16]byte
		}
		theirs     = xsync.NewCounter()
		theirNames = xsync.NewMapOf[string, *private]()
		names      [1000]string
		plain      [2]struct {
			n int64
			_ [120]byte
		}
	)
	group, topic := metricsbuffer.T("group", "g"), metricsbuffer.T("topic", "t")
	type delivery struct{ Status, Producer string }
	vec, err := metricsbuffer.NewCounterVec[delivery](buffer, "vec")
	if err != nil {
		b.Fatal(err)
	}
	for i := range names {
		names[i] = fmt.Sprintf("arroyo.consumer.series_%d", i)
		theirNames.Store(names[i], new(private))
	}
	common := neverOwn(b)
	copies := strings.Repeat(fmt.Sprintf("%-32s", "arroyo.consumer.run.count"), 1024)
	return []operation{
		{"atomic.Int64.Add, private", func(worker, n int) {
			word := &words[worker].n
			for range n {
				word.Add(1)
			}
		}},
		{"atomic.Int64.Add, shared", func(_, n int) {
			for range n {
				shared.Add(1)
			}
		}},
		{"xsync v3 Counter.Inc", func(_, n int) {
			for range n {
				theirs.Inc()
			}
		}},
		{"xsync v3 MapOf.Load + atomic add, 1,000 names", func(worker, n int) {
			for i, k := 0, worker*500; i < n; i++ {
				if k++; k >= len(names) {
					k = 0
				}
				word, _ := theirNames.Load(names[k])
				word.n.Add(1)
			}
		}},
		{"Counter.Add", func(_, n int) {
			for range n {
				counter.Add(1)
			}
		}},
		{"Counter.Add, common chunk, shared", func(_, n int) {
			for range n {
				common.Add(1)
			}
		}},
		{"pin + gate + add, in line", func(_, n int) {
			for range n {
				id := owner.Pin()
				s := &inline[id]
				s.words[s.gate.Enter()].Add(1)
				s.gate.Leave(0)
				owner.Unpin()
			}
		}},
		{"pin + unpin, in a function", func(_, n int) {
			for range n {
				pinAndUnpin()
			}
		}},
		{"two counters and a timer", func(_, n int) {
			for i := range n {
				counter.Add(1)
				second.Add(int64(i))
				timer.Observe(time.Duration(i&0xfffff + 1000))
			}
		}},
		{"Record(two counters and a timer)", func(_, n int) {
			for i := range n {
				metricsbuffer.Record(counter.Delta(1), second.Delta(int64(i)), timer.Took(time.Duration(i&0xfffff+1000)))
			}
		}},
		{"time.Now + time.Since + Timer.Observe", func(_, n int) {
			for range n {
				begin := time.Now()
				timer.Observe(time.Since(begin))
			}
		}},
		{"Timer.Observe", func(_, n int) {
			for i := range n {
				timer.Observe(time.Duration(i&0xfffff + 1000))
			}
		}},
		{"IncrCounter, 1,000 names", func(worker, n int) {
			for i, k := 0, worker*500; i < n; i++ {
				if k++; k >= len(names) {
					k = 0
				}
				buffer.IncrCounter(names[k], 1)
			}
		}},
		{"IncrCounter, one name", func(_, n int) {
			for range n {
				buffer.IncrCounter("arroyo.consumer.run.count", 1)
			}
		}},
		{"IncrCounter, one name in 1,024 places", func(_, n int) {
			for i := range n {
				buffer.IncrCounter(copies[i%1024*32:][:25], 1)
			}
		}},
		{"IncrCounter, one name, two tags", func(_, n int) {
			for range n {
				buffer.IncrCounter("arroyo.consumer.run.count", 1, group, topic)
			}
		}},
		{"Gauge.Set", func(_, n int) {
			gauge := buffer.Gauge("gauge")
			for i := range n {
				gauge.Set(float64(i))
			}
		}},
		{"x++ in memory, private", func(worker, n int) {
			word := &plain[worker].n
			for range n {
				*word++
			}
		}},
		{"Local.Counter(c).Inc", func(_, n int) {
			local := buffer.Local()
			for range n {
				local.Counter(counter).Inc()
			}
			local.Commit()
		}},
		{"CounterVec.With(two strings).Inc", func(_, n int) {
			for range n {
				vec.With(delivery{"success", "events"}).Inc()
			}
		}},
		{"Timer.Start + Stop", func(_, n int) {
			for range n {
				timer.Start().Stop()
			}
		}},
	}
}

// BenchmarkCosts measures every operation with one and with two goroutines, in interleaved rounds, and prints medians
// and ratios of one run. It is run with -benchtime=1x:
//
//	go test -run '^$' -bench Costs -benchtime 1x ./internal/verify/costs
func BenchmarkCosts(b *testing.B) {
	const (
		rounds  = 15
		atLeast = 20 * time.Millisecond
	)
	clock.UseCounter() // in tests the stopwatch uses the runtime's clock
	operations := operations(b)
	medians := make([][2]float64, len(operations))
	for range b.N {
		times := make([][2][]float64, len(operations))
		loops := make([]int, len(operations))
		for i, op := range operations { // find out how many make a measurement, and warm up
			for loops[i] = 1000; measure(op, 1, loops[i]) < atLeast; loops[i] *= 2 {
			}
		}
		for range rounds {
			for i, op := range operations {
				for j := range 2 {
					elapsed := measure(op, j+1, loops[i])
					times[i][j] = append(times[i][j], float64(elapsed)/float64(loops[i]))
				}
			}
		}
		for i := range times {
			for j := range times[i] {
				slices.Sort(times[i][j])
				medians[i][j] = times[i][j][rounds/2]
			}
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(out, "\nmedian of %d rounds\t1 goroutine\t2 goroutines\t", rounds)
	_, _ = fmt.Fprint(out, "÷ private atomic\t÷ shared atomic\t2 ÷ 1\t\n")
	for i, op := range operations {
		m := medians[i]
		_, _ = fmt.Fprintf(out, "%s\t%.2f ns\t%.2f ns\t%.2f\t%.2f\t%.2f\t\n",
			op.name, m[0], m[1], m[1]/medians[0][1], m[1]/medians[1][1], m[1]/m[0])
		b.ReportMetric(m[1], fmt.Sprintf("%d-ns", i))
	}
	_ = out.Flush()
}

// measure returns how long it takes that many goroutines to do n operations each.
func measure(op operation, goroutines, n int) time.Duration {
	var wait sync.WaitGroup
	begin := time.Now()
	for worker := range goroutines {
		wait.Go(func() { op.loop(worker, n) })
	}
	wait.Wait()
	return time.Since(begin)
}

// BenchmarkAddresses compares the price of Counter.Add in 300 buffers: the addresses of a gate and of a word must not
// matter (internal/owner). It reports the slowest buffer in relation to the median one, and how many are slow.
//
// Some processors of AMD predict the way of their first cache by a hash of the address, of 8 bits (Lipp et al., Take A
// Way, 2020, for Bulldozer to Zen 2; it was seen on Zen 4, too). Two lines of one set with one hash then evict each
// other, and an update takes 3 to 14 ns longer. That happens to about one of 300 buffers, mostly with a line of the
// goroutine's stack or of the runtime's P. No layout avoids it, because the hash has the upper bits of the address.
//
//	go test -run '^$' -bench Addresses -benchtime 1x ./internal/verify/costs
func BenchmarkAddresses(b *testing.B) {
	const buffers, rounds, n = 300, 7, 20_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range b.N {
		counters := make([]*metricsbuffer.Counter, buffers)
		for i := range counters {
			buffer, err := metricsbuffer.New()
			if err != nil {
				b.Fatal(err)
			}
			counters[i] = buffer.Counter("counter")
			for range 10_000 { // until it is the P's own
				counters[i].Inc()
			}
		}
		best := make([]float64, buffers)
		for round := range rounds {
			for i, counter := range counters {
				begin := time.Now()
				for range n {
					counter.Inc()
				}
				if each := float64(time.Since(begin)) / n; round == 0 || each < best[i] {
					best[i] = each
				}
			}
		}
		slices.Sort(best)
		limit, _ := slices.BinarySearch(best, 1.3*best[buffers/2])
		b.ReportMetric(float64(buffers-limit), "buffers-beyond-1.3-medians")
		b.ReportMetric(best[buffers/2], "median-ns")
		b.ReportMetric(best[buffers-1], "slowest-ns")
		b.ReportMetric(best[buffers-1]/best[buffers/2], "slowest/median")
	}
}

// pinAndUnpin does the least that a function can do that pins, and that the compiler does not inline. Counter.Add is
// such a function. Its two calls of the runtime alone exceed the compiler's limit for inlining.
//
//go:noinline
func pinAndUnpin() {
	owner.Pin()
	owner.Unpin()
}

// neverOwn returns a counter in a common chunk that no P makes its own: on every P, a chunk that is used more has its
// seat. There are 32 seats on a P, and 119 counters in a chunk.
func neverOwn(b *testing.B) *metricsbuffer.Counter {
	buffer, err := metricsbuffer.New()
	if err != nil {
		b.Fatal(err)
	}
	counters := make([]*metricsbuffer.Counter, 119*34)
	for i := range counters {
		counters[i] = buffer.Counter(fmt.Sprint("filler ", i))
	}
	var wait sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for chunk := range 32 {
				for range 2000 {
					counters[119*chunk+118].Inc()
				}
				runtime.Gosched()
			}
		})
	}
	wait.Wait()
	return counters[119*33]
}
