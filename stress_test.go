package metricsbuffer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// stressTime returns the duration of each stress test: METRICSBUFFER_STRESS, such as 5m, or 1.5 seconds at most.
func stressTime(t *testing.T) time.Duration {
	if s := os.Getenv("METRICSBUFFER_STRESS"); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err, "METRICSBUFFER_STRESS must be a duration such as 5m")
		return d
	}
	if testing.Short() {
		return 300 * time.Millisecond
	}
	return 1500 * time.Millisecond
}

// amounts are totals by series: the key is the kind, the name and the tags, and the amount a counter's sum or a timer's
// observations.
type amounts map[string]int64

func key(kind Kind, name string, tags ...Tag) string { return fmt.Sprint(kind, name, tags) }

// constant returns the only duration that the timer of a name observes. So every batch can be checked by itself.
func constant(name string) time.Duration {
	d := time.Duration(1)
	for _, c := range name {
		d = d*31 + time.Duration(c)
	}
	return d%1_000_000 + 1
}

// An auditor is a sink that adds up the points that it acknowledges. Its fault makes it fail. It does not add points
// that it does not acknowledge. So its totals are those that a real receiver would have.
type auditor struct {
	t      *testing.T
	fault  func(*Batch) (acknowledge int, err error)
	always time.Duration // if it is not 0, every timer observes this and not constant(name)
	healed atomic.Bool   // no faults any more
	inside atomic.Int32

	// Only Write changes these fields. They are read when the buffer is quiet.
	got     amounts
	batches int
	end     time.Time
}

func (a *auditor) Write(_ context.Context, batch *Batch) error {
	if a.inside.Add(1) != 1 {
		a.t.Error("Write was called concurrently")
	}
	defer a.inside.Add(-1)
	a.check(batch)
	acknowledge, err := len(batch.Points), error(nil)
	if a.fault != nil && !a.healed.Load() {
		acknowledge, err = a.fault(batch)
	}
	for _, p := range batch.Points[:acknowledge] {
		if p.Count != 0 || p.Kind == KindGauge {
			a.got[key(p.Kind, p.Name, p.Tags...)] += p.Count
		}
	}
	if err == nil {
		a.batches++
		a.end = batch.End
	} else {
		batch.Acknowledge(acknowledge)
	}
	return err
}

func (a *auditor) check(batch *Batch) {
	if batch.Start.After(batch.End) || batch.Start.Before(a.end) {
		a.t.Errorf("batch from %v to %v after one that ended at %v", batch.Start, batch.End, a.end)
	}
	seen := make(map[string]bool, len(batch.Points))
	for _, p := range batch.Points {
		if k := key(p.Kind, p.Name, p.Tags...); seen[k] {
			a.t.Errorf("%s is twice in one batch", k)
		} else {
			seen[k] = true
		}
		if p.Kind != KindTimer && p.Kind != KindHistogram {
			continue
		}
		inBuckets := uint64(0)
		for bucket := range p.Buckets.All() {
			inBuckets += bucket.Count
		}
		if inBuckets != uint64(p.Count) {
			a.t.Errorf("inconsistent: %d observations in %s, %d in its buckets", p.Count, p.Name, inBuckets)
		}
		d := int64(cmp.Or(a.always, constant(p.Name)))
		if p.Count == 0 { // the series is new
			d = 0
		}
		if p.Min != d || p.Max != d || p.Sum != p.Count*d {
			a.t.Errorf("inconsistent: %d observations of %d in %s have sum %d (off by %d), min %d, max %d",
				p.Count, d, p.Name, p.Sum, p.Sum-p.Count*d, p.Min, p.Max)
		}
	}
}

// atRandom fails in every way in which a sink can fail.
func atRandom(batch *Batch) (int, error) {
	n := len(batch.Points)
	switch rand.IntN(6) {
	case 0:
		return 0, errors.New("injected")
	case 1:
		return rand.IntN(n + 1), errors.New("injected, half-way")
	case 2:
		panic("injected")
	case 3:
		time.Sleep(time.Millisecond)
	}
	return n, nil
}

// writeForAWhile records in every way until stop is set, and returns the recorded totals.
func writeForAWhile(b *Buffer, stop *atomic.Bool) amounts {
	recorded := make(amounts)
	var counters [4]*Counter
	var timers [4]*Timer
	names := [...]string{"a", "b", "c", "d"}
	for i, name := range names {
		counters[i], timers[i] = b.Counter("counter."+name), b.Timer("timer."+name)
	}
	histogram, local := b.Histogram("histogram", "bytes"), b.Local()
	vec, err := NewCounterVec[struct{ Writer string }](b, "vec")
	if err != nil {
		panic(err)
	}
	tags := []Tag{{"k", "v"}, {"l", "w"}}
	swapped := []Tag{tags[1], tags[0]}
	for n := 0; !stop.Load(); n++ {
		i := n % 4
		counters[i].Add(int64(n))
		recorded[key(KindCounter, "counter."+names[i])] += int64(n)
		timers[i].Observe(constant("timer." + names[i]))
		recorded[key(KindTimer, "timer."+names[i])]++
		b.IncrCounter("by name", 2, tags...)
		b.IncrCounter("by name", 3, swapped...)
		recorded[key(KindCounter, "by name", tags...)] += 5
		b.IncrTimer("by name", constant("by name"), tags...)
		recorded[key(KindTimer, "by name", tags...)]++
		histogram.Observe(int64(constant("histogram")))
		recorded[key(KindHistogram, "histogram")]++
		vec.With(struct{ Writer string }{names[i]}).Inc()
		recorded[key(KindCounter, "vec", Tag{"Writer", names[i]})]++
		local.Counter(counters[i]).Inc()
		local.Timer(timers[i]).Observe(constant("timer." + names[i]))
		recorded[key(KindCounter, "counter."+names[i])]++
		recorded[key(KindTimer, "timer."+names[i])]++
		if n%8 == 0 {
			local.Commit()
		}
		if n%64 == 0 { // a new series, which several writers may use first at the same moment
			name := fmt.Sprint("new ", n/64%5000)
			b.IncrCounter(name, 1)
			b.IncrTimer(name, constant(name))
			recorded[key(KindCounter, name)]++
			recorded[key(KindTimer, name)]++
		}
	}
	local.Commit()
	return recorded
}

// write has n goroutines record until the returned function is called. That function returns the totals of all of them.
func write(b *Buffer, n int) (stop func() amounts) {
	var stopped atomic.Bool
	results := make(chan amounts)
	for range n {
		go func() { results <- writeForAWhile(b, &stopped) }()
	}
	return func() amounts {
		stopped.Store(true)
		sum := make(amounts)
		for range n {
			for k, v := range <-results {
				sum[k] += v
			}
		}
		return sum
	}
}

// disturb changes GOMAXPROCS up and down, forces garbage collections, and flushes from several goroutines, until it is
// stopped.
func disturb(b *Buffer) (stop func()) {
	var stopped atomic.Bool
	var wait sync.WaitGroup
	procs := runtime.GOMAXPROCS(0)
	wait.Go(func() {
		for n := 0; !stopped.Load(); n++ {
			runtime.GOMAXPROCS(1 + rand.IntN(8))
			time.Sleep(3 * time.Millisecond)
			if n%20 == 0 {
				runtime.GC()
			}
		}
		runtime.GOMAXPROCS(procs)
	})
	for range 3 {
		wait.Go(func() {
			for !stopped.Load() {
				_ = b.Flush(context.Background()) // the failing sink's errors are expected
			}
		})
	}
	return func() { stopped.Store(true); wait.Wait() }
}

func TestStressExactlyOnce(t *testing.T) {
	sinks := []*auditor{
		{t: t, got: make(amounts)},
		{t: t, got: make(amounts), fault: atRandom},
		{t: t, got: make(amounts), fault: func(batch *Batch) (int, error) {
			time.Sleep(5 * time.Millisecond)
			return len(batch.Points), nil
		}},
	}
	b, err := New(WithInterval(time.Millisecond), WithSink(sinks[0]), WithSink(sinks[1]), WithSink(sinks[2]))
	require.NoError(t, err)
	stopWriters, stopDisturbing := write(b, 16), disturb(b)
	time.Sleep(stressTime(t))
	for b.Stats().Sinks[1].Failures == 0 { // a busy machine may have written few batches only
		_ = b.Flush(context.Background())
	}
	recorded := stopWriters()
	stopDisturbing()
	sinks[1].healed.Store(true)
	for b.Flush(context.Background()) != nil { // a Write that began with the fault may still be under way
	}
	stats := b.Stats()
	require.NoError(t, b.Close())
	for i, sink := range sinks {
		requireSame(t, recorded, sink.got)
		s := stats.Sinks[i]
		require.Equal(t, stats.Recorded, s.Acknowledged, "sink %d", i)
		require.Zero(t, s.Pending)
		require.Zero(t, s.Dropped)
		t.Logf("sink %d: %d batches acknowledged, %d failed", i, s.Batches, s.Failures)
	}
	require.Zero(t, stats.Sinks[0].Failures)
	t.Logf("%+v in %d series", stats.Recorded, len(recorded))
}

func TestStressCloseInTheMiddle(t *testing.T) {
	end := time.Now().Add(stressTime(t) / 2)
	for round := 0; time.Now().Before(end); round++ {
		sinks := []*auditor{{t: t, got: make(amounts)}, {t: t, got: make(amounts), fault: atRandom}}
		b, err := New(WithInterval(time.Millisecond), WithSink(sinks[0]), WithSink(sinks[1]))
		require.NoError(t, err)
		stop := write(b, 16)
		time.Sleep(10 * time.Millisecond)
		_ = b.Close() // the failing sink may fail
		recorded := total(stop())
		stats := b.Stats()
		require.Equal(t, recorded, stats.Recorded)
		for i, sink := range sinks {
			s := stats.Sinks[i]
			require.Equal(t, total(sink.got), s.Acknowledged)
			require.Zero(t, s.Pending)
			s.Acknowledged.add(s.Dropped)
			require.Equal(t, recorded, s.Acknowledged, "acknowledged and dropped")
		}
	}
}

// TestStressFlip tests the protocol alone. Writers only observe. The flusher only flips, and looks at the drained banks
// at once. The test fails if the fence, a gate or the order of either is wrong, or if a chunk that is taken from a P is
// forgotten too early.
func TestStressFlip(t *testing.T) {
	t.Run("few writers", func(t *testing.T) { stressFlip(t, max(1, runtime.GOMAXPROCS(0)-1)) }) // flips most often
	t.Run("many writers", func(t *testing.T) { stressFlip(t, 4*runtime.GOMAXPROCS(0)) })        // pre-empted most often
	t.Run("stopping the world", func(t *testing.T) {
		fence.Refuse(true)
		defer fence.Refuse(false)
		stressFlip(t, max(1, runtime.GOMAXPROCS(0)-1))
	})
}

// A flips is a flusher of one timer.
type flips struct {
	shards *shards
	slot   uint32
	d      int64 // the timer observes only this

	all              []*shard
	dropped, next    []*distributionChunk
	n, torn, late    int
	drained          int64
	common, own, old int64 // drained observations, by the kind of their chunk
}

func (f *flips) check(chunk *distributionChunk, bank uint32) (n int64) {
	cell := chunk.cell(bank, f.slot)
	n, sum := cell.total(), cell.sum.Peek()
	if sum != n*f.d || n > 0 && (cell.greatest.Peek() != f.d || cell.least.Peek() != math.MaxInt64-f.d) {
		f.torn++
	}
	f.drained += n
	cell.reset()
	return n
}

// flip is one collection. It looks at each bank as soon as it may, because a missing fence shows soonest then. If
// demote is true, it takes the timer's chunk from every P.
func (f *flips) flip(demote bool) {
	number := f.slot / distributionsPerChunk
	old := f.shards.common.gate.Active()
	late := func(chunk *distributionChunk) {
		if chunk != nil && !chunk.cell(1-old, f.slot).isEmpty() {
			f.late++
		}
	}
	late(f.shards.common.distributions.at(number))
	f.all = f.all[:0]
	f.shards.each(func(s *shard) { late(s.distributions.at(number).Load()) })
	f.shards.common.gate.Flip(1 - old)
	f.shards.common.gate.Await(old)
	f.shards.each(func(s *shard) { f.all = append(f.all, s) })
	for _, s := range f.all {
		s.gate.Flip(1 - old)
	}
	fence.Process()
	for i := len(f.all) - 1; i >= 0; i-- { // the last to be flipped comes first
		s := f.all[i]
		s.gate.Await(old)
		seat := s.distributions.at(number)
		if own := seat.Load(); own != nil {
			f.own += f.check(own, old)
			if demote {
				seat.Store(nil)
				f.next = append(f.next, own)
			}
		}
	}
	for _, chunk := range f.dropped {
		f.old += f.check(chunk, 0) + f.check(chunk, 1)
	}
	f.dropped, f.next = f.next, f.dropped[:0]
	if common := f.shards.common.distributions.at(number); common != nil { // it may have been made since the flip began
		f.common += f.check(common, old)
	}
	f.n++
}

func stressFlip(t *testing.T, writers int) {
	b, err := New()
	require.NoError(t, err)
	const d = 1_000_003
	f := flips{shards: b.shards, slot: b.Timer("timer").slot, d: d}
	var stopped atomic.Bool
	var recorded atomic.Int64
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			timer, n := b.Timer("timer"), int64(0)
			for ; !stopped.Load(); n++ {
				timer.Observe(d)
			}
			recorded.Add(n)
		})
	}
	for end := time.Now().Add(stressTime(t) / 2); time.Now().Before(end); {
		f.flip(f.n%64 == 0)
	}
	stopped.Store(true)
	wait.Wait()
	f.flip(true)
	f.flip(true)
	t.Logf("%d flips, %d updates: %d in own chunks, %d in chunks just taken away, %d in the common one; %d promotions",
		f.n, recorded.Load(), f.own, f.old, f.common, b.shards.promotions.Load())
	require.Zero(t, f.torn, "inconsistent banks")
	require.Zero(t, f.late, "banks written to after they were drained")
	require.Equal(t, recorded.Load(), f.drained, "recorded and drained")
}

func total(a amounts) (t Totals) {
	for k, v := range a {
		if strings.HasPrefix(k, "timer") || strings.HasPrefix(k, "histogram") {
			t.Observations += v
		} else {
			t.Increments += v
		}
	}
	return t
}

func requireSame(t *testing.T, want, got amounts) {
	t.Helper()
	maps.DeleteFunc(want, func(_ string, n int64) bool { return n == 0 })
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s: recorded %d, delivered %d", k, n, got[k])
		}
	}
	require.Len(t, got, len(want))
}

// TestTheFenceMatters builds the package with a fence that does nothing, and expects the stress test to fail. A stress
// test that passes says something only if it can fail.
func TestTheFenceMatters(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("builds the package once more")
	case !owner.Exclusive:
		t.Skip("this build uses atomic words and needs no fence")
	case fence.Mode() != "membarrier":
		t.Skipf("the fence of this build is %q", fence.Mode())
	case runtime.NumCPU() < 2:
		t.Skip("one core keeps the order by itself")
	}
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	program := filepath.Join(t.TempDir(), "nofence.test")
	out, err := exec.Command(path, "test", "-tags", "metricsbuffer_nofence", "-c", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	torn := regexp.MustCompile(`inconsistent banks|after they were drained|recorded and drained`)
	// Where other programs use the cores, too, writer and flusher may be on one core for long, which keeps the order. Each
	// process places its threads anew, so many short runs find more than a long one.
	for range 500 {
		command := exec.Command(program, "-test.run", "^TestStressFlip$/few_writers")
		command.Env = append(os.Environ(), "METRICSBUFFER_STRESS=600ms")
		out, err := command.CombinedOutput()
		if err == nil {
			continue
		}
		require.Regexp(t, torn, string(out), "it failed for another reason")
		return
	}
	t.Error("the stress test passes without the fence")
}

// TestFlipAwaitsWriters: a collection has the updates of writers that were inside a gate when it began.
func TestFlipAwaitsWriters(t *testing.T) {
	for name, enter := range map[string]func(*shards) section{
		"of a shard": (*shards).enter, "of the common gate": (*shards).enterUnpinned,
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
			b, slot := flippable(t)
			var inside atomic.Bool
			go func() {
				in := enter(b.shards)
				inside.Store(true)
				for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); { // pinned, it cannot sleep
				}
				word, _ := b.shards.word(in, slot)
				word.AddShared(1)
				b.shards.leave(in)
			}()
			for !inside.Load() {
				runtime.Gosched()
			}
			require.EqualValues(t, 2, b.Stats().Recorded.Increments, "the flusher has not waited")
		})
	}
}

// TestFlipComesBeforeTheFence: the flusher flips, and then calls the fence. A fence that stops the world cannot end
// while a writer is pinned, so the writer sees the flip only if that comes first.
func TestFlipComesBeforeTheFence(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	fence.Refuse(true)
	defer fence.Refuse(false)
	b, _ := flippable(t)
	var inside, flipped, left atomic.Bool
	go func() {
		in := b.shards.enter()
		inside.Store(true)
		for end := time.Now().Add(time.Second); !flipped.Load() && time.Now().Before(end); {
			active := in.shard.gate.Enter() // it writes nothing, so it may enter and leave as it likes
			in.shard.gate.Leave(active)
			flipped.Store(active != in.bank)
		}
		b.shards.leave(in)
		left.Store(true)
	}()
	for !inside.Load() {
		runtime.Gosched()
	}
	before := worldStops(t)
	b.Stats()
	require.Greater(t, worldStops(t), before, "there was no fence")
	for !left.Load() {
		runtime.Gosched()
	}
	require.True(t, flipped.Load(), "the fence came before the flip")
}

// TestFlipComesBeforeAdoption: the flusher flips, and then takes over new series. A series that is registered while the
// flusher waits for writers is known when their updates are drained.
func TestFlipComesBeforeAdoption(t *testing.T) {
	var batches []Batch
	b, err := New(WithInterval(0), WithSink(keep(&batches)))
	require.NoError(t, err)
	in := b.shards.enterUnpinned()
	flushed := make(chan error, 1)
	go func() { flushed <- b.Flush(t.Context()) }()
	for b.shards.common.gate.Active() == in.bank {
		runtime.Gosched()
	}
	late := b.Counter("late")
	b.shards.common.makeCounters(late.slot)
	word, _ := b.shards.word(in, late.slot)
	word.AddShared(1)
	b.shards.leave(in)
	require.NoError(t, <-flushed)
	require.Equal(t, "late", batches[0].Points[0].Name)
	require.EqualValues(t, 1, batches[0].Points[0].Count)
	require.NoError(t, b.Close())
}

// flippable returns a buffer with a counter that has a chunk and was increased by one.
func flippable(t *testing.T) (b *Buffer, slot uint32) {
	t.Helper()
	b, err := New(WithInterval(0), WithSink(SinkFunc(func(context.Context, *Batch) error { return nil })))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	counter := b.Counter("counter")
	counter.Inc()
	b.Stats()
	return b, counter.slot
}

// worldStops returns how often the runtime has stopped the world for anything but garbage collection.
func worldStops(t *testing.T) (n uint64) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	require.Equal(t, metrics.KindFloat64Histogram, sample[0].Value.Kind())
	for _, count := range sample[0].Value.Float64Histogram().Counts {
		n += count
	}
	return n
}
