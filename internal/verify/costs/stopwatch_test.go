package costs

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/clock"
)

// BenchmarkStopwatch compares a stopwatch with the usual way to time a call, in interleaved rounds of one run, with two
// goroutines. It reports the medians and their ratio:
//
//	go test -run '^$' -bench Stopwatch -benchtime 1x ./internal/verify/costs
func BenchmarkStopwatch(b *testing.B) {
	const (
		rounds = 31
		calls  = 500_000 // so many that the start of two goroutines does not count
	)
	restore, sound := clock.UseCounter()
	b.Cleanup(restore)
	if !sound {
		b.Log("the processor's counter is not sound here: both ways measure by the runtime's clock")
	}
	buffer, err := metricsbuffer.New()
	if err != nil {
		b.Fatal(err)
	}
	timer := buffer.Timer("timer")
	ways := []struct {
		name string
		loop func(n int)
	}{
		{"stopwatch", func(n int) {
			for range n {
				timer.Start().Stop()
			}
		}},
		{"usual", func(n int) {
			for range n {
				start := time.Now()
				timer.Observe(time.Since(start))
			}
		}},
		{"observe", func(n int) {
			for range n {
				timer.Observe(100)
			}
		}},
	}
	times := make([][]float64, len(ways))
	for range b.N {
		for range rounds {
			for i, way := range ways {
				times[i] = append(times[i], float64(timeTwo(way.loop, calls))/calls)
			}
		}
	}
	medians := make([]float64, len(ways))
	for i, way := range ways {
		slices.Sort(times[i])
		medians[i] = times[i][len(times[i])/2]
		b.ReportMetric(medians[i], way.name+"-ns")
	}
	b.ReportMetric(medians[0]/medians[1], "ratio")
}

// timeTwo returns how long it takes two goroutines to do n calls each.
func timeTwo(loop func(n int), n int) time.Duration {
	var wait sync.WaitGroup
	begin := time.Now()
	for range 2 {
		wait.Go(func() { loop(n) })
	}
	wait.Wait()
	return time.Since(begin)
}
