package workload

import (
	"io"
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

// latencies returns the workloads that look at single operations.
func latencies() []Workload {
	const about = "Goroutines, one less than GOMAXPROCS, increment one of 1,000 counters and read the clock after each " +
		"operation, which is in the figures. "
	return []Workload{{
		Name: "latency", Title: "A writer's latencies", Main: "p99.9-ns", Once: true,
		Description: about + "Nothing else runs.",
		run:         func(c contender.Contender, s Setting) (Values, error) { return latency(c, s, false) },
	}, {
		Name: "latency-flush", Title: "A writer's latencies while flushing", Main: "p99.9-ns", Once: true,
		Description: about + "One more goroutine writes a report every millisecond.",
		run:         func(c contender.Contender, s Setting) (Values, error) { return latency(c, s, true) },
	}}
}

func latency(c contender.Contender, s Setting, flushing bool) (Values, error) {
	instance, err := c.Open(nil)
	if err != nil {
		return nil, err
	}
	workers := max(1, s.CPU-1)
	loop, orders := instance.Counters(names(some)), zipf(workers, some)
	for worker, order := range orders {
		loop(worker, order)
	}

	stopping, stopped := make(chan struct{}), make(chan error, 1)
	if flushing {
		go func() {
			var err error
			for err == nil {
				select {
				case <-stopping:
					stopped <- nil
					return
				case <-time.After(time.Millisecond):
					err = instance.Export(io.Discard)
				}
			}
			stopped <- err
		}()
	} else {
		stopped <- nil
	}
	var all histogram
	var mu sync.Mutex
	var done sync.WaitGroup
	for worker, order := range orders {
		done.Go(func() {
			var h histogram
			begin := time.Now()
			last := time.Duration(0)
			for n := 0; last < 4*s.Duration; n++ {
				i := n % len(order)
				loop(worker, order[i:i+1])
				now := time.Since(begin)
				h.record(now - last)
				last = now
			}
			mu.Lock()
			defer mu.Unlock()
			all.merge(&h)
		})
	}
	done.Wait()
	close(stopping)
	if err := <-stopped; err != nil {
		return nil, err
	}
	return Values{
		"p50-ns": all.quantile(.5), "p99-ns": all.quantile(.99), "p99.9-ns": all.quantile(.999),
		"p99.99-ns": all.quantile(.9999), "max-ns": float64(all.max),
	}, instance.Close()
}

// A histogram counts durations in 32 buckets from one power of two to the next.
type histogram struct {
	counts [64 * 32]int64
	total  int64
	max    time.Duration
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

func bucketOf(v uint64) int {
	if v < 32 {
		return int(v)
	}
	shift := bits.Len64(v) - 6
	return shift*32 + int(v>>shift)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile returns the upper end of the bucket in which the quantile is.
func (h *histogram) quantile(q float64) float64 {
	rank, seen := int64(math.Ceil(q*float64(h.total))), int64(0)
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			if i < 64 {
				return float64(i)
			}
			shift := i/32 - 1
			return float64(uint64(i-shift*32+1)<<shift) - 1
		}
	}
	return float64(h.max)
}
