package workload

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

const (
	orderLength = 1 << 13 // operations of a worker before it does the same again
	chunk       = 1 << 8  // operations between two looks at the clock
)

// spin has workers run the loop for some time, each with its own order, and returns the cost of an operation: processor
// time in nanoseconds (the elapsed time, times the number of processors that were busy, per operation) and memory.
func spin(loop contender.Loop, orders [][]uint32, s Setting) Values {
	for worker, order := range orders { // first uses, on some P
		loop(worker, order)
	}
	spinFor(loop, orders, s.Duration/8) // and on all of them

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	elapsed, operations := spinFor(loop, orders, s.Duration)
	runtime.ReadMemStats(&after)

	busy := min(len(orders), s.CPU, runtime.NumCPU())
	return Values{
		"ns/op":     float64(elapsed) * float64(busy) / float64(operations),
		"allocs/op": per(after.Mallocs-before.Mallocs, operations),
		"B/op":      per(after.TotalAlloc-before.TotalAlloc, operations),
	}
}

// per divides and rounds, so that allocations of the measurement itself do not show.
func per(n uint64, operations int64) float64 {
	return math.Round(float64(n)/float64(operations)*100) / 100
}

// spinFor returns for how long the workers were busy, on average, and how many operations all of them did.
func spinFor(loop contender.Loop, orders [][]uint32, d time.Duration) (time.Duration, int64) {
	var (
		ready, done sync.WaitGroup
		start       = make(chan struct{})
		mu          sync.Mutex
		elapsed     time.Duration
		operations  int64
	)
	ready.Add(len(orders))
	for worker, order := range orders {
		done.Go(func() {
			ready.Done()
			<-start
			begin, n := time.Now(), 0
			var took time.Duration
			for took < d {
				at := n % len(order)
				loop(worker, order[at:min(at+chunk, len(order))])
				n += min(chunk, len(order)-at)
				took = time.Since(begin)
			}
			mu.Lock()
			defer mu.Unlock()
			elapsed += took
			operations += int64(n)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return elapsed / time.Duration(len(orders)), operations
}

// same returns orders for series 0 only.
func same(workers int) [][]uint32 {
	return orders(workers, func(*rand.Rand) uint32 { return 0 })
}

// zipf returns orders over that many series, of which few are used often: of 1,000, the most frequent one in one of ten
// operations.
func zipf(workers, series int) [][]uint32 { return orders(workers, zipfian(series)) }

// zipfian returns a choice of one of the series under Zipf's law. A permutation keeps the frequent ones from being
// neighbours.
func zipfian(series int) func(*rand.Rand) uint32 {
	shuffled := rand.New(rand.NewPCG(1, 2)).Perm(series)
	return func(r *rand.Rand) uint32 {
		return uint32(shuffled[int(math.Pow(float64(series+1), r.Float64()))-1])
	}
}

// durations returns orders of nanoseconds, between a microsecond and a second, evenly on a logarithmic scale.
func durations(workers int) [][]uint32 {
	return orders(workers, func(r *rand.Rand) uint32 { return uint32(1e3 * math.Pow(1e6, r.Float64())) })
}

func orders(workers int, next func(*rand.Rand) uint32) [][]uint32 {
	orders := make([][]uint32, workers)
	for worker := range orders {
		r := rand.New(rand.NewPCG(3, uint64(worker)))
		orders[worker] = make([]uint32, orderLength)
		for i := range orders[worker] {
			orders[worker][i] = next(r)
		}
	}
	return orders
}
