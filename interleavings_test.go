//go:build metricsbuffer_yield

package metricsbuffer

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/interleave"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// The writer's and the flusher's code in every order of their accesses to shared memory. What is run is the code
// itself, and not a model of it; what a processor adds to these orders is in spec/.
//
//	go test -tags metricsbuffer_yield -run Interleavings -v .
//	go test -tags metricsbuffer_yield,purego -run Interleavings -v .
//
// In a failure there is an order to be replayed: METRICSBUFFER_REPLAY="0*12 2*1 …" with -run for that test.

// A scene is a buffer, what was recorded in it, and what its sink has acknowledged.
type scene struct {
	t *testing.T
	r *interleave.Run
	b *Buffer

	counter    *Counter
	timer      *Timer
	recorded   int64 // updates of which each has returned
	updates    int64
	delivered  int64 // by Flush, to the sink
	failWrites int   // how many of the first Writes fail
	batches    int
	consistent error
}

const observed = 1_000_003 // by every observation of the timer

// explore runs the program in every order. The shards of two Ps exist; touched says whether their banks have been
// written to before, both of each.
func explore(t *testing.T, touched bool, program func(s *scene)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one thread at a time runs anyway, and handing over is quicker
	result, err := interleave.Explore(func(r *interleave.Run) func() error {
		s := newScene(t, r, touched)
		program(s)
		return s.check
	}, interleave.Options{
		Exclusive: owner.Exclusive,
		Replay:    os.Getenv("METRICSBUFFER_REPLAY"),
		Switch:    func(s yield.Scheduler) { yield.Current = s },
	})
	t.Logf("%d orders, and %d begun that are like one of these; up to %d steps", result.Orders, result.Cut, result.Steps)
	require.NoError(t, err)
}

func newScene(t *testing.T, r *interleave.Run, touched bool) *scene {
	s := &scene{t: t, r: r}
	b, err := New(WithInterval(0), WithSink(SinkFunc(s.write)))
	require.NoError(t, err)
	s.b, s.counter, s.timer = b, b.Counter("counter"), b.Timer("timer")
	b.shards.grow(1)
	for i, shard := range *b.shards.table.Load() {
		interleave.Name(r, &shard.gate, fmt.Sprint("the gate of shard ", i))
		interleave.Name(r, &shard.bank, fmt.Sprint("the active bank of shard ", i))
		if touched {
			shard.spare = new(bank)
			s.touch(shard.bank.Load(), fmt.Sprintf("bank A of shard %d", i))
			s.touch(shard.spare, fmt.Sprintf("bank B of shard %d", i))
		}
	}
	interleave.Name(r, &s.recorded, "what has been recorded")
	return s
}

// touch puts into a bank what the first update would.
func (s *scene) touch(b *bank, called string) {
	counters := b.counters.put(s.counter.slot/countersPerChunk, new(page[counterChunk]), new(counterChunk))
	cell := &b.distributions.put(s.timer.slot/distributionsPerChunk, new(page[distributionChunk]),
		new(distributionChunk))[s.timer.slot%distributionsPerChunk]
	cell.window.Store(widen(nil, floor(bucket.Index(observed)), windowStep))
	interleave.Name(s.r, &b.visitors, "the visitors of "+called)
	interleave.Name(s.r, &counters[s.counter.slot%countersPerChunk], "the counter in "+called)
	interleave.Name(s.r, &cell.sum, "the timer's sum in "+called)
	interleave.Name(s.r, &cell.greatest, "the timer's maximum in "+called)
}

// write is the sink.
func (s *scene) write(_ context.Context, batch *Batch) error {
	s.batches++
	if s.batches <= s.failWrites {
		return context.DeadlineExceeded
	}
	for _, p := range batch.Points {
		s.delivered += p.Count
		if p.Kind == KindTimer && (p.Sum != p.Count*observed || p.Min != observed || p.Max != observed) {
			s.consistent = fmt.Errorf("torn: %d observations with sum %d, min %d, max %d", p.Count, p.Sum, p.Min, p.Max)
		}
	}
	return nil
}

// add and observe are updates, noted when they have returned.
func (s *scene) add()     { s.counter.Add(1); s.note(1) }
func (s *scene) observe() { s.timer.Observe(observed); s.note(1) }

func (s *scene) note(n int64) {
	yield.Add(&s.recorded)
	s.recorded += n
}

// writer adds a thread that makes updates, on the Ps given one after the other.
func (s *scene) writer(places []int, updates ...func()) {
	s.updates += int64(len(updates))
	s.r.Go(fmt.Sprint("writer ", s.updates), func() {
		for _, update := range updates {
			update()
		}
	}, places...)
}

// flusher adds a thread that flushes. The buffer's goroutine takes one call after the other: whose turn it is, is part
// of the order.
func (s *scene) flusher(name string) {
	s.r.Go(name, func() {
		yield.Read(&s.recorded)
		known := s.recorded
		s.r.Lock("the flusher's goroutine")
		err := s.b.Flush(context.Background())
		delivered := s.delivered
		s.r.Unlock("the flusher's goroutine")
		if err == nil && delivered < known {
			panic(fmt.Sprintf("Flush has delivered %d updates of %d that were recorded before", delivered, known))
		}
	})
}

// check adds up, when all is quiet.
func (s *scene) check() error {
	if err := s.b.Flush(context.Background()); err != nil && s.failWrites == 0 {
		return err
	}
	stats := s.b.Stats()
	if err := s.b.Close(); err != nil {
		return err
	}
	recorded := stats.Recorded.Increments + stats.Recorded.Observations
	switch {
	case s.consistent != nil:
		return s.consistent
	case s.delivered != s.updates || recorded != s.updates:
		return fmt.Errorf("%d updates, of which %d were delivered and %d collected", s.updates, s.delivered, recorded)
	}
	return nil
}

// bothOn0 has two writers on one P, apart on two, or change places.
var places = []struct {
	name string
	a, b []int
}{
	{"a P each", []int{0}, []int{1}},
	{"one P", []int{0}, []int{0}},
	{"changing Ps", []int{0, 1}, []int{1, 0}},
}

func TestInterleavingsOfCounters(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			explore(t, true, func(s *scene) {
				s.writer(p.a, s.add, s.add)
				s.writer(p.b, s.add, s.add)
				s.flusher("flush 1")
				s.flusher("flush 2")
			})
		})
	}
}

func TestInterleavingsOfTimers(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			explore(t, true, func(s *scene) {
				s.writer(p.a, s.observe, s.observe)
				s.writer(p.b, s.observe, s.observe)
				s.flusher("flush 1")
				s.flusher("flush 2")
			})
		})
	}
}
