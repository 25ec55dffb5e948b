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
	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
	"github.com/metricsbuffer/metricsbuffer/internal/verify/interleave"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// The writer's and the flusher's code in every order of their accesses to shared memory. What is run is the code
// itself, and not a model of it; what a processor adds to these orders is in internal/verify/spec.
//
//	go test -tags metricsbuffer_yield -run Interleavings -v .
//	go test -tags metricsbuffer_yield,purego -run Interleavings -v .
//
// That is with one flush beside the writers, and one after them. With METRICSBUFFER_INTERLEAVINGS=full there are two
// beside them. In a failure there is an order to be replayed: METRICSBUFFER_REPLAY="0*12 2*1 …", with -run for that
// test.

// A scene is a buffer, what was recorded in it, and what its sink has acknowledged.
type scene struct {
	t *testing.T
	r *interleave.Run
	b *Buffer

	counter  *Counter
	timer    *Timer
	together bool // every update is of both, and must arrive so

	updates    int64 // that there will be
	recorded   int64 // those that have returned
	delivered  int64 // to the sink
	flipped    int64 // drained by flips of the test's own
	batches    int
	failWrites int // how many Writes fail, from the first on
	wrong      error
	cleanUp    func()
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
	// One slot of each kind is in use, and one bucket. (Tallies have half a word each.)
	interleave.Private(s.r, counters[:s.counter.slot%countersPerChunk])
	interleave.Private(s.r, counters[s.counter.slot%countersPerChunk+1:])
	w := cell.window.Load()
	used := (bucket.Index(observed) - w.first) &^ 1
	interleave.Private(s.r, w.counts[:used])
	interleave.Private(s.r, w.counts[used+2:])
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
	counts := make(map[Kind]int64)
	for _, p := range batch.Points {
		s.delivered += p.Count
		counts[p.Kind] += p.Count
		if p.Kind == KindTimer && (p.Sum != p.Count*observed || p.Min != observed || p.Max != observed) {
			s.wrong = fmt.Errorf("torn: %d observations with sum %d, min %d, max %d", p.Count, p.Sum, p.Min, p.Max)
		}
	}
	if s.together && counts[KindCounter] != counts[KindTimer] {
		s.wrong = fmt.Errorf("a batch has %d increments and %d observations that were committed together",
			counts[KindCounter], counts[KindTimer])
	}
	return nil
}

// add and observe are updates, noted when they have returned.
func (s *scene) add()     { s.counter.Add(1); s.note(1) }
func (s *scene) observe() { s.timer.Observe(observed); s.note(1) }

func (s *scene) commit() {
	l := s.b.Local()
	counter, timer := l.Counter(s.counter), l.Timer(s.timer)
	runtime.SetFinalizer(counter, nil) // it would pass marks in the midst of a later order
	runtime.SetFinalizer(timer, nil)
	counter.Inc()
	timer.Observe(observed)
	l.Commit()
	s.note(2)
}

func (s *scene) note(n int64) {
	yield.Add(&s.recorded)
	s.recorded += n
}

// writer adds a thread that makes updates, on the Ps given one after the other.
func (s *scene) writer(name string, places []int, updates ...func()) {
	s.updates += int64(len(updates))
	if s.together {
		s.updates += int64(len(updates))
	}
	s.r.Go(name, func() {
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
	if s.cleanUp != nil {
		s.cleanUp()
	}
	for s.b.Flush(context.Background()) != nil && s.batches <= s.failWrites {
	}
	stats := s.b.Stats()
	if err := s.b.Close(); err != nil {
		return err
	}
	recorded := stats.Recorded.Increments + stats.Recorded.Observations
	switch {
	case s.wrong != nil:
		return s.wrong
	case s.flipped+s.delivered != s.updates || s.flipped+recorded != s.updates:
		return fmt.Errorf("%d updates, of which %d were delivered and %d collected, and %d drained by the test",
			s.updates, s.delivered, recorded, s.flipped)
	}
	return nil
}

// flushers adds the threads that flush.
func (s *scene) flushers() {
	s.flusher("flush 1")
	if os.Getenv("METRICSBUFFER_INTERLEAVINGS") == "full" {
		s.flusher("flush 2")
	}
}

// places are the Ps of two writers.
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
				s.writer("writer a", p.a, s.add, s.add)
				s.writer("writer b", p.b, s.add, s.add)
				s.flushers()
			})
		})
	}
}

func TestInterleavingsOfTimers(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			explore(t, true, func(s *scene) {
				s.writer("writer a", p.a, s.observe)
				s.writer("writer b", p.b, s.observe)
				s.flushers()
			})
		})
	}
}

// TestInterleavingsOfCommit has what is committed together arrive together, also if the sink fails first.
func TestInterleavingsOfCommit(t *testing.T) {
	explore(t, true, func(s *scene) {
		s.together, s.failWrites = true, 1
		s.writer("writer a", []int{0}, s.commit)
		s.writer("writer b", []int{0}, s.commit)
		s.flusher("flush 1")
	})
}

// TestInterleavingsOfFirstTouch has writers that put chunks and windows in place.
func TestInterleavingsOfFirstTouch(t *testing.T) {
	explore(t, false, func(s *scene) {
		s.writer("writer", []int{0}, s.observe)
		s.flusher("flush 1")
	})
}

// TestInterleavingsOfFlips has two flushers flip one shard. In the library there is one, which owns the spare bank;
// here each has its own, which is put in place whenever that flusher goes on. What has to hold is that nobody gets a
// bank that somebody else has, and that no update is lost between them.
func TestInterleavingsOfFlips(t *testing.T) {
	explore(t, true, func(s *scene) {
		shard := (*s.b.shards.table.Load())[0]
		second := new(bank)
		s.touch(second, "bank C of shard 0")
		s.writer("writer a", []int{0}, s.add)
		s.writer("writer b", []int{0}, s.add)
		for i, spare := range []*bank{shard.spare, second} {
			s.r.Go(fmt.Sprint("flusher ", i+1), func() {
				old := shard.flip()
				fence.Process()
				shard.await(old)
				word := &old.counters.at(s.counter.slot / countersPerChunk)[s.counter.slot%countersPerChunk]
				n := word.Peek()
				word.Reset()
				s.flipped += n
			})
			s.r.OnResume(func() { shard.spare = spare })
		}
		s.cleanUp = func() { shard.spare = nil } // both spares may have become the active bank
	})
}
