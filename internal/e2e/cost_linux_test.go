package e2e

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/metricsbuffer/metricsbuffer"
)

// BenchmarkWriters compares the cost of a writer with one sink and with all sinks. It measures both in turns within one
// run, and prints medians. The cost is the processor time of the writer's own thread: the sinks and their servers work
// at the same time, on a machine that may have no processors left for them. Sinks are flushed a hundred times more
// often than by default, so that each round has many flushes. Run it with -benchtime=1x:
//
//	go test -run '^$' -bench Writers -benchtime 1x .
func BenchmarkWriters(b *testing.B) {
	const (
		writers  = 2
		rounds   = 31
		round    = 100 * time.Millisecond
		interval = 10 * time.Millisecond // of the first sink; those of the others are longer
	)
	all := startAll(b)
	one := &endpoints{list: []*endpoint{etsy(b)}}
	buffers := make([]*metricsbuffer.Buffer, 2)
	for i, e := range []*endpoints{one, all} {
		buffer, err := metricsbuffer.New(options(e, interval)...)
		require.NoError(b, err)
		defer buffer.Close()
		buffers[i] = buffer
	}

	operations := []string{"Counter.Inc", "Timer.Observe", "IncrCounter"}
	costs := make(map[string]*[2][]float64)
	for _, operation := range operations {
		costs[operation] = new([2][]float64)
	}
	for range b.N * rounds {
		for _, operation := range operations {
			for i, buffer := range buffers {
				cost := measure(loops(buffer)[operation], writers, round)
				costs[operation][i] = append(costs[operation][i], cost)
			}
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(out, "\nmedian of %d rounds\tone sink\t%d sinks\tratio\t\n", b.N*rounds, len(all.list))
	for _, operation := range operations {
		one, all := median(costs[operation][0]), median(costs[operation][1])
		_, _ = fmt.Fprintf(out, "%s\t%.2f ns\t%.2f ns\t%.3f\t\n", operation, one, all, all/one)
		b.ReportMetric(all/one, operation+"-ratio")
	}
	require.NoError(b, out.Flush())
}

// loops returns the operations of writers, a thousand of each.
func loops(buffer *metricsbuffer.Buffer) map[string]func() {
	counter, timer := buffer.Counter("counter"), buffer.Timer("timer")
	return map[string]func(){
		"Counter.Inc": func() {
			for range 1000 {
				counter.Inc()
			}
		},
		"Timer.Observe": func() {
			for i := range 1000 {
				timer.Observe(time.Duration(i + 1))
			}
		},
		"IncrCounter": func() {
			for range 1000 {
				buffer.IncrCounter("named", 1, metricsbuffer.Tag{Key: "label", Value: "1"})
			}
		},
	}
}

// measure returns the processor time of one operation of a loop, in nanoseconds.
func measure(loop func(), writers int, round time.Duration) float64 {
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		spent   int64
		done    int64
	)
	deadline := time.Now().Add(round)
	for range writers {
		running.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			n, before := int64(0), threadTime()
			for ; time.Now().Before(deadline); n++ {
				loop()
			}
			took := threadTime() - before
			mu.Lock()
			defer mu.Unlock()
			spent += took
			done += n * 1000
		})
	}
	running.Wait()
	return float64(spent) / float64(done)
}

func threadTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
