//go:build metricsbuffer_yield

package metricsbuffer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/atomic"
	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
	"github.com/metricsbuffer/metricsbuffer/internal/verify/interleave"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// These tests run the writer's and the flusher's code in every order of their accesses to shared memory. They run the
// code itself, and not a model of it. The models in internal/verify/spec have the orders that store buffers add.
//
//	go test -tags metricsbuffer_yield -run Interleavings -v .
//	go test -tags metricsbuffer_yield,purego -run Interleavings -v .
//
// One flush runs at the same time as the writers, and one after them. With METRICSBUFFER_INTERLEAVINGS=full two flushes
// run at the same time as the writers. A failure prints an order that can be replayed:
// METRICSBUFFER_REPLAY="0*12 2*1 …", with -run for that test.

// A scene is a buffer, with the numbers of its recorded and acknowledged updates.
type scene struct {
	t *testing.T
	r *interleave.Run
	b *Buffer

	counter  *Counter
	timer    *Timer
	together bool // every update is a commit of both, which must arrive together

	updates    int64 // that the writers will make
	recorded   int64 // that have returned
	delivered  int64 // that the sink has acknowledged
	batches    int
	failWrites int // the number of Writes that fail, from the first on
	wrong      error
	cleanUp    func()
}

const observed = 1_000_003 // by every observation of the timer

// explore runs the program in every order. The shards of two Ps exist. They have chunks of their own, if own is true,
// and there are common chunks, if common is true.
func explore(t *testing.T, own, common bool, program func(s *scene)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one thread at a time runs anyway, and handing over is quicker
	result, err := interleave.Explore(func(r *interleave.Run) func() error {
		s := newScene(t, r, own, common)
		program(s)
		return s.check
	}, interleave.Options{
		Exclusive: owner.Exclusive,
		Replay:    os.Getenv("METRICSBUFFER_REPLAY"),
		Switch:    func(s yield.Scheduler) { yield.Current = s },
	})
	t.Logf("%d orders; %d were cut, because they are equivalent to one of these; up to %d steps",
		result.Orders, result.Cut, result.Steps)
	require.NoError(t, err)
}

func newScene(t *testing.T, r *interleave.Run, own, common bool) *scene {
	s := &scene{t: t, r: r}
	b, err := New(WithInterval(0), WithSink(SinkFunc(s.write)))
	require.NoError(t, err)
	s.b, s.counter, s.timer = b, b.Counter("counter"), b.Timer("timer")
	for id := range 2 {
		b.shards.makeShard(id)
		shard := b.shards.table[id].Load()
		interleave.Name(r, &shard.gate, fmt.Sprint("the gate of shard ", id))
		if own {
			s.seat(shard, fmt.Sprint("shard ", id))
		}
	}
	interleave.Name(r, &b.shards.common.gate, "the common gate")
	interleave.Name(r, &s.recorded, "the number of recorded updates")
	if common {
		b.shards.common.makeCounters(s.counter.slot)
		b.shards.common.makeDistributions(s.timer.slot)
		s.touch(b.shards.common.counters.at(s.counter.slot/countersPerChunk),
			b.shards.common.distributions.at(s.timer.slot/distributionsPerChunk), "the common chunk")
	}
	return s
}

// seat gives a shard chunks of its own.
func (s *scene) seat(shard *shard, called string) {
	counters := newCounterChunk(s.counter.slot / countersPerChunk)
	distributions := newDistributionChunk(s.timer.slot / distributionsPerChunk)
	s.touch(counters, distributions, "the own chunk of "+called)
	shard.counters.at(counters.number()).Store(counters)
	shard.distributions.at(distributions.number()).Store(distributions)
}

// touch makes the windows that the first updates would make.
func (s *scene) touch(counters *counterChunk, distributions *distributionChunk, called string) {
	// One slot of each kind and one bucket are in use. (Two tallies are in one word.)
	for bank := range uint32(2) {
		in := fmt.Sprintf("bank %d of %s", bank, called)
		first, words := counters.words(bank)
		used := int(s.counter.slot%countersPerChunk) - first
		interleave.Private(s.r, words[:used])
		interleave.Private(s.r, words[used+1:])
		interleave.Name(s.r, &words[used], "the counter in "+in)
		cell := distributions.cell(bank, s.timer.slot)
		w := widen(nil, bucket.Index(observed), 1, commonStep)
		cell.window.Store(w)
		at := (bucket.Index(observed) - w.first) &^ 1
		interleave.Private(s.r, w.counts[:at])
		interleave.Private(s.r, w.counts[at+2:])
		interleave.Name(s.r, &cell.sum, "the timer's sum in "+in)
		interleave.Name(s.r, &cell.greatest, "the timer's maximum in "+in)
	}
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
		observed := int64(observed)
		if p.Count == 0 { // the series is new
			observed = 0
		}
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

func (s *scene) record() {
	Record(s.counter.Delta(1), s.timer.Took(observed))
	s.note(2)
}

func (s *scene) commit() {
	l := s.b.Local()
	counter, timer := l.Counter(s.counter), l.Timer(s.timer)
	runtime.SetFinalizer(counter, nil) // a finalizer would pass marks during a later order
	runtime.SetFinalizer(timer, nil)
	counter.Inc()
	timer.Observe(observed)
	l.Commit()
	s.note(2)
}

// commitUnpinned commits as Commit does with many instruments.
func (s *scene) commitUnpinned() {
	counter := &LocalCounter{n: 1, slot: s.counter.slot}
	timer := &localDistribution{slot: s.timer.slot}
	timer.observe(observed)
	for done := false; !done; {
		in := s.b.shards.enterUnpinned()
		if done = hasRoom(s.b.shards, in, []*LocalCounter{counter}, []*localDistribution{timer}); done {
			move([]*LocalCounter{counter}, []*localDistribution{timer})
		}
		s.b.shards.leave(in)
		if !done {
			makeRoom(s.b.shards, []*LocalCounter{counter}, []*localDistribution{timer})
		}
	}
	s.note(2)
}

func (s *scene) note(n int64) {
	yield.Add(&s.recorded)
	s.recorded += n
}

// writer adds a thread that makes updates. It is pinned to each of the places in turn.
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

// flusher adds a thread that flushes. The buffer's goroutine takes one call after the other. All orders of the calls
// are tried.
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

// check compares the totals when all threads have ended.
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
	case s.delivered != s.updates || recorded != s.updates:
		return fmt.Errorf("%d updates, of which %d were delivered and %d collected", s.updates, s.delivered, recorded)
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

// ways are the chunks that updates go to: the shard's own, or the common ones.
var ways = []struct {
	name string
	own  bool
}{{"own chunks", true}, {"common chunks", false}}

func TestInterleavingsOfCounters(t *testing.T) {
	for _, way := range ways {
		for _, p := range places {
			t.Run(way.name+", "+p.name, func(t *testing.T) {
				explore(t, way.own, !way.own, func(s *scene) {
					s.writer("writer a", p.a, s.add, s.add)
					s.writer("writer b", p.b, s.add, s.add)
					s.flushers()
				})
			})
		}
	}
}

func TestInterleavingsOfTimers(t *testing.T) {
	for _, way := range ways {
		for _, p := range places {
			t.Run(way.name+", "+p.name, func(t *testing.T) {
				explore(t, way.own, !way.own, func(s *scene) {
					s.writer("writer a", p.a, s.observe)
					s.writer("writer b", p.b, s.observe)
					s.flushers()
				})
			})
		}
	}
}

// TestInterleavingsOfCommit: updates that are committed together arrive together. This must hold if the sink fails
// first, and if one update goes to an own chunk and the other to a common one.
func TestInterleavingsOfCommit(t *testing.T) {
	for name, chunks := range map[string]struct{ own, both bool }{
		"own chunks": {own: true}, "common chunks": {}, "one of each": {own: true, both: true},
	} {
		t.Run(name, func(t *testing.T) {
			explore(t, chunks.own, !chunks.own || chunks.both, func(s *scene) {
				if chunks.both {
					s.b.shards.each(func(shard *shard) {
						shard.distributions.at(s.timer.slot / distributionsPerChunk).Store(nil)
					})
				}
				s.together = true
				s.writer("writer a", []int{0}, s.commit)
				s.writer("writer b", []int{0}, s.commit)
				s.flusher("flush 1")
			})
		})
		t.Run(name+", the sink fails first", func(t *testing.T) {
			explore(t, chunks.own, !chunks.own || chunks.both, func(s *scene) {
				s.together, s.failWrites = true, 1
				s.writer("writer", []int{0}, s.commit)
				s.flusher("flush 1")
			})
		})
	}
}

// TestInterleavingsOfRecord: updates that are recorded together arrive together. This must hold if the timer has no own
// chunk, no room in it, or no chunk at all.
func TestInterleavingsOfRecord(t *testing.T) {
	for name, lack := range map[string]func(s *scene, own *atomic.Pointer[distributionChunk]){
		"own chunks": func(*scene, *atomic.Pointer[distributionChunk]) {},
		"no window": func(s *scene, own *atomic.Pointer[distributionChunk]) {
			own.Store(newDistributionChunk(s.timer.slot / distributionsPerChunk))
		},
		"no own chunk for the timer": func(s *scene, own *atomic.Pointer[distributionChunk]) {
			own.Store(nil)
		},
		"no chunk for the timer": func(s *scene, own *atomic.Pointer[distributionChunk]) {
			own.Store(nil)
			number := s.timer.slot / distributionsPerChunk
			s.b.shards.common.distributions.pages[number/chunksPerPage].Load().chunks[number%chunksPerPage].Store(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			explore(t, true, true, func(s *scene) {
				s.together = true
				s.b.shards.each(func(shard *shard) {
					lack(s, shard.distributions.at(s.timer.slot/distributionsPerChunk))
				})
				s.writer("writer", []int{0}, s.record, s.record)
				s.flushers()
			})
		})
	}
}

// TestInterleavingsOfLongCommit has updates committed in a section that is not pinned.
func TestInterleavingsOfLongCommit(t *testing.T) {
	explore(t, true, true, func(s *scene) {
		s.together = true
		s.writer("writer a", []int{0}, s.commitUnpinned)
		s.writer("writer b", []int{0}, s.commit)
		s.flusher("flush 1")
	})
}

// TestInterleavingsOfFirstTouch has writers that put chunks and windows in place.
func TestInterleavingsOfFirstTouch(t *testing.T) {
	explore(t, false, false, func(s *scene) {
		s.writer("writer", []int{0}, s.observe)
		s.flusher("flush 1")
	})
}

// TestInterleavingsOfPromotion has a chunk become a P's own while writers and a flush are under way.
func TestInterleavingsOfPromotion(t *testing.T) {
	explore(t, false, true, func(s *scene) {
		promote := func() { s.b.shards.promoteCounters(s.counter.slot / countersPerChunk); s.add() }
		s.writer("writer a", []int{0}, promote)
		s.writer("writer b", []int{0}, promote)
		s.flusher("flush 1")
	})
}

// TestInterleavingsOfDemotion has chunks taken away in the first flush, from a P and from all, while writers use them.
func TestInterleavingsOfDemotion(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			explore(t, way.own, true, func(s *scene) {
				number := s.counter.slot / countersPerChunk
				s.b.shards.each(func(shard *shard) { shard.counters.idle[number%seatsPerShard] = idleLimit - 1 })
				s.b.shards.common.counters.pages[number/chunksPerPage].Load().idle[number%chunksPerPage] = idleLimit - 1
				s.writer("writer a", []int{0}, s.add)
				s.writer("writer b", []int{0}, s.add)
				s.flusher("flush 1")
			})
		})
	}
}

// TestInterleavingsOfShards has a P write for the first time while a flush is under way: its shard has to begin with
// the right bank.
func TestInterleavingsOfShards(t *testing.T) {
	explore(t, false, true, func(s *scene) {
		s.b.shards.table[0].Store(nil)
		s.writer("writer a", []int{0}, s.add, s.add)
		s.flusher("flush 1")
		s.flusher("flush 2")
	})
}

// TestInterleavingsOfFlips has two goroutines flip one gate to bank 1. The gate must be at bank 1 in the end, in every
// order.
func TestInterleavingsOfFlips(t *testing.T) {
	explore(t, true, false, func(s *scene) {
		shard := s.b.shards.table[0].Load()
		for i := range 2 {
			s.r.Go(fmt.Sprint("flusher ", i+1), func() { shard.gate.Flip(1) })
		}
		s.cleanUp = func() {
			if bank := shard.gate.Enter(); bank != 1 && s.wrong == nil {
				s.wrong = fmt.Errorf("two flips to bank 1 end at bank %d", bank)
			}
			shard.gate.Leave(1)
			shard.gate.Flip(0)
		}
	})
}

// A mutant is the library with one mistake in it.
type mutant struct {
	name   string
	file   string
	tests  string   // that must find it
	change []string // pairs of old and new text
}

var mutantsOfBoth = []mutant{
	{"drained without a wait", "flush.go", "Counters", []string{
		"\tf.shards.each(func(s *shard) { s.gate.Await(drained) })\n", "",
	}},
	{"the common gate is not awaited", "flush.go", "LongCommit", []string{"\tcommon.Await(drained)", "\t"}},
	{"the common gate is awaited after the shards are flipped", "flush.go", "Shards", []string{
		"\tcommon.Await(drained)", "\t", "\tfence.Process()\n", "\tcommon.Await(drained)\n\tfence.Process()\n",
	}},
	{"no second look for shards that began with the old bank", "flush.go", "Shards", []string{
		"f.flips += 1 + f.flipShards(1-drained)", "f.flips++",
	}},
	{"a shard begins with bank 0", "shard.go", "Shards", []string{"\tmade.gate.Flip(bank)\n", ""}},
	{"common chunks have banks of their own", "shard.go", "Commit", []string{
		"return chunk.cell(in.bank, slot), commonStep", "return chunk.cell(s.common.gate.Active(), slot), commonStep",
	}},
	{"the updates of a Record are made in another section than their places are found", "record.go", "Record", []string{
		"\t\t\tif found {\n", "\t\t\tshard.gate.Leave(bank)\n\t\t\tbank = shard.gate.Enter()\n\t\t\tif found {\n",
	}},
	{"a Record that lacks a place keeps the rest", "record.go", "Record", []string{
		"places.words[i] = chunk.word(bank, u.of.slot)",
		"chunk.word(bank, u.of.slot).Add(u.value)\nplaces.words[i] = new(owner.Word)",
	}},
	{"not zeroed", "flush.go", "Counters", []string{"owner.Clear(words)", "_ = owner.Clear[owner.Word]"}},
	{"a chunk that was taken away is forgotten", "flush.go", "Demotion", []string{"\tf.drainDropped(drained)\n", ""}},
	{"the other bank of a chunk that was taken away is drained", "flush.go", "Demotion", []string{
		"f.drainDropped(drained)", "f.drainDropped(1 - drained)",
	}},
	{"a promoted chunk takes the place of another", "shard.go", "Promotion", []string{
		"if in.shard != nil && in.shard.counters.at(number).CompareAndSwap(nil, chunk) {",
		"if in.shard.counters.at(number).Store(chunk); true {",
	}},
	{"a long commit does not look a second time", "internal/owner/gate.go", "LongCommit", []string{
		"if g.active.Load() == bank {", "if true {",
	}},
}

var mutantsOfExclusive = []mutant{
	{"no wait", "internal/owner/gate_exclusive.go", "Counters", []string{"passed%2 == 1 &&", "false &&"}},
	{"no wait", "internal/owner/gate_exclusive.go", "Timers", []string{"passed%2 == 1 &&", "false &&"}},
	{"the bank is loaded before the gate is odd", "internal/owner/gate_exclusive.go", "Counters", []string{
		"func (g *Gate) Enter() (bank uint32) {\n",
		"func (g *Gate) Enter() (bank uint32) {\n\tearly := g.active.Load()\n",
		"return g.active.Load()", "return early",
	}},
}

var mutantsOfShared = []mutant{
	{"no wait", "internal/owner/gate.go", "Counters", []string{"inside.Load() != 0", "false"}},
	{"no second look", "internal/owner/gate.go", "Counters", []string{"if g.active.Load() == bank {", "if true {"}},
}

// TestMutantsOfInterleavings makes the mistakes that the protocol is built to avoid, and expects each to be found.
func TestMutantsOfInterleavings(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once for each mutant: run without -short")
	}
	tags, mutants := "metricsbuffer_yield", append(mutantsOfBoth, mutantsOfExclusive...)
	if !owner.Exclusive {
		tags, mutants = tags+",purego", append(mutantsOfBoth, mutantsOfShared...)
	}
	for _, m := range mutants {
		t.Run(m.name+", "+m.tests, func(t *testing.T) {
			text, err := os.ReadFile(m.file)
			require.NoError(t, err)
			mutated := string(text)
			for i := 0; i < len(m.change); i += 2 {
				require.Equal(t, 1, strings.Count(mutated, m.change[i]),
					"%s has changed: bring the mutant up to date, which replaces %q", m.file, m.change[i])
				mutated = strings.Replace(mutated, m.change[i], m.change[i+1], 1)
			}
			out, err := exec.Command("go", "test", "-overlay", overlay(t, m.file, mutated), "-vet", "off", "-count", "1",
				"-tags", tags, "-run", "^TestInterleavingsOf"+m.tests+"$", ".").CombinedOutput()
			require.Error(t, err, "nothing was found")
			require.Contains(t, string(out), "replay: ", "it failed for another reason")
			t.Logf("%s", out)
		})
	}
}

// overlay writes a description for go -overlay. With it, the go command sees the given text in the file.
func overlay(t *testing.T, file, text string) (description string) {
	directory := t.TempDir()
	path, err := filepath.Abs(file)
	require.NoError(t, err)
	mutated := filepath.Join(directory, filepath.Base(file))
	require.NoError(t, os.WriteFile(mutated, []byte(text), 0o600))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	require.NoError(t, err)
	description = filepath.Join(directory, "overlay.json")
	require.NoError(t, os.WriteFile(description, replace, 0o600))
	return description
}
