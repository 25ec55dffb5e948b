package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// tryWrite calls Write with a context that ends, as a buffer does.
func (s Subject) tryWrite(t *testing.T, batch *metricsbuffer.Batch) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.writeUntil(ctx, t, batch)
}

// write fails the test if Write returns an error.
func (s Subject) write(t *testing.T, batch *metricsbuffer.Batch) {
	t.Helper()
	if err := s.tryWrite(t, batch); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

// writeAll writes the points and returns which were dropped. It checks that the sink leaves the batch unchanged. The
// sink may return an error that reports drops, if it has acknowledged the batch.
func (s Subject) writeAll(t *testing.T, points []metricsbuffer.Point) (dropped []bool) {
	t.Helper()
	batch := batchOf(clonePoints(points)...)
	err := s.tryWrite(t, batch)
	if err != nil && batch.Acknowledged() < len(points) {
		at := min(batch.Acknowledged(), len(points)-1)
		t.Fatalf("Write failed after %d of %d points, at %s. A point that cannot be delivered must be dropped: %.300v",
			batch.Acknowledged(), len(points), describe(points[at]), err)
	}
	if len(batch.Points) != len(points) {
		t.Fatalf("Write changed the length of the batch from %d to %d", len(points), len(batch.Points))
	}
	reasons := make(map[string]int)
	dropped = make([]bool, len(points))
	for i := range points {
		if !identical(points[i], batch.Points[i]) {
			t.Fatalf("Write changed a point of the batch from %s to %s, or its description or distribution: change a copy",
				describe(points[i]), describe(batch.Points[i]))
		}
		var reason string
		if reason, dropped[i] = batch.Dropped(i); dropped[i] {
			reasons[reason]++
		}
	}
	t.Logf("dropped of %d points, by reason: %v", len(points), reasons)
	if err != nil && len(reasons) == 0 {
		t.Errorf("Write acknowledged the batch, dropped nothing, and returned an error: %.300v", err)
	}
	if len(reasons) > 10 || reasons[""] > 0 {
		t.Errorf("points were dropped for %d reasons: reasons must be few, constant and not empty", len(reasons))
	}
	return dropped
}

// identical takes a NaN for identical to itself.
func identical(a, b metricsbuffer.Point) bool {
	return sameSeries(&a, &b) && a.ID == b.ID && fmt.Sprint(a.Buckets) == fmt.Sprint(b.Buckets) &&
		fmt.Sprint(a.Exemplars) == fmt.Sprint(b.Exemplars) && a.Unit == b.Unit && a.Help == b.Help &&
		a.Decimals == b.Decimals && a.Count == b.Count && a.Sum == b.Sum && a.Min == b.Min && a.Max == b.Max &&
		math.Float64bits(a.Value) == math.Float64bits(b.Value)
}

// testRetention reuses a batch after Write, as a buffer does.
func testRetention(t *testing.T, s Subject) {
	for n := range int64(3) {
		batch := some(n + 1)
		s.write(t, batch)
		for i := range batch.Points {
			p := &batch.Points[i]
			if p.Buckets != nil {
				p.Buckets.Counts[0], p.Buckets.Zeros = 1<<40, 1<<40
			}
			clear(p.Exemplars)
			*p = metricsbuffer.Point{Name: "overwritten", Kind: metricsbuffer.KindGauge, Count: 1 << 40}
		}
		*batch = metricsbuffer.Batch{}
	}
	time.Sleep(10 * time.Millisecond) // for a goroutine that still reads one of them
	s.expectOrdinary(t, 1+2+3)
	for _, p := range s.arrived(t) {
		if p.Name != jobs && p.Name != latency {
			t.Errorf("the sink used a batch after Write had returned: %s", describe(p))
		}
	}
}

// writeUntil writes the batch, and fails the test if Write goes on for longer than Grace after its context ended. A
// panic is an error, as it is to a buffer.
func (s Subject) writeUntil(ctx context.Context, t *testing.T, batch *metricsbuffer.Batch) error {
	t.Helper()
	returned := make(chan error, 1)
	go func() {
		err := errors.New("Write ended its goroutine (runtime.Goexit)")
		defer func() { returned <- err }() // also if a method of the panic's value ends the goroutine
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("Write panicked: %v\n%s", v, debug.Stack())
			}
		}()
		err = s.Sink.Write(ctx, batch)
	}()
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-returned:
		return err
	case <-time.After(Grace):
		t.Fatalf("Write has not returned %v after its context ended: do not wait for the backend any longer then", Grace)
		return nil
	}
}

func testCancelled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch := some(5)
	s.finish(t, batch, s.writeUntil(ctx, t, batch))
	s.expectOrdinary(t, 5)
}

// stall makes the backend silent, or else broken.
func (s Subject) stall() {
	if s.Stall != nil {
		s.Stall()
	} else {
		s.Break()
	}
}

// testStalled does not count. The backend may have taken a batch whose acknowledgement the sink did not wait for.
func testStalled(t *testing.T, s Subject) {
	if s.Break == nil {
		t.Skip("the subject has no Break and Mend")
	}
	s.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	batch := some(5)
	err := s.writeUntil(ctx, t, batch)
	s.Mend()
	s.finish(t, batch, err)
}

// finish delivers the rest of a batch after a failed Write. Like a buffer it tries again, as a sink may need time to
// find a backend that has come back.
func (s Subject) finish(t *testing.T, batch *metricsbuffer.Batch, err error) {
	t.Helper()
	for began := time.Now(); err != nil; time.Sleep(10 * time.Millisecond) {
		for i := range batch.Points {
			if reason, dropped := batch.Dropped(i); dropped && !isInexpressible(&batch.Points[i]) {
				t.Fatalf("Write dropped %s, %q, when it failed: drop points that can never be delivered, and return an error for "+
					"the others", describe(batch.Points[i]), reason)
			}
		}
		batch = batchOf(batch.Points[batch.Acknowledged():]...)
		if err = s.tryWrite(t, batch); batch.Acknowledged() > 0 {
			began = time.Now() // it gets on
		}
		if err != nil && time.Since(began) > patience {
			t.Fatalf("Write still fails %v after one that failed, though the backend works (again): %v", patience, err)
		}
	}
}

func testFailure(t *testing.T, s Subject) {
	if s.Break == nil {
		t.Skip("the subject has no Break and Mend")
	}
	for n := range int64(2) {
		s.Break()
		batch := some(5)
		err := s.tryWrite(t, batch)
		if err == nil {
			t.Error("Write acknowledged a batch while the backend was broken: return an error, and the buffer keeps the batch")
		}
		s.Mend()
		s.finish(t, batch, err)
		s.expectOrdinary(t, 5*(n+1))
	}
}

// isInexpressible says whether a point of [testMiddle] is one that many sinks drop.
func isInexpressible(p *metricsbuffer.Point) bool { return p.Name == "" || math.IsNaN(p.Value) }

// testMiddle has a backend that fails in the middle of long batches, some of whose points are dropped. The middle is
// found by trial: after a Write that was over when the backend failed, it fails earlier, and otherwise later. Whenever
// it fails, the points arrive once.
func testMiddle(t *testing.T, s Subject) {
	if s.Break == nil {
		t.Skip("the subject has no Break and Mend")
	}
	const tries = 30
	points := items(1000)
	for i := range points {
		switch p := &points[i]; i % 20 {
		case 0:
			p.Name = ""
		case 10:
			*p = metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "conformance_nan", Tags: p.Tags, Value: math.NaN()}
		}
	}
	identify(points)
	began, first := time.Now(), batchOf(clonePoints(points)...)
	s.finish(t, first, s.tryWrite(t, first))
	after, parts := time.Since(began)/2, 0
	for range tries {
		batch, broken := batchOf(clonePoints(points)...), make(chan struct{})
		began := time.Now()
		go func() {
			defer close(broken)
			for time.Since(began) < after { // more exactly than Sleep
				runtime.Gosched()
			}
			s.Break()
		}()
		err := s.tryWrite(t, batch)
		<-broken
		s.Mend()
		failed := err != nil && batch.Acknowledged() < len(points) // another error reports drops
		if failed {
			after += after / 4
		} else {
			after -= after / 4
		}
		if failed && batch.Acknowledged() > 0 {
			parts++
		}
		s.finish(t, batch, err)
	}
	t.Logf("a part of the batch was acknowledged in %d of %d tries", parts, tries)
	var wrong []string
	if s.Received != nil {
		arrived := s.arrived(t)
		for _, p := range points {
			if isInexpressible(&p) {
				continue
			}
			if got, ok := ordinary(arrived, &p); !ok || got.Count != 1+tries {
				p.Count = 1 + tries
				wrong = append(wrong, describe(p)+" "+arrivedAs(got, ok))
			}
		}
	}
	complain(t, "series have not arrived once in each batch, though the backend failed in the middle of some "+
		"(batch.Acknowledge takes a number of points of the batch, dropped ones included)", wrong)
}

// items returns so many counters of one.
func items(n int) []metricsbuffer.Point {
	points := make([]metricsbuffer.Point, n)
	for i := range points {
		points[i] = metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: jobs, Count: 1,
			Tags: []metricsbuffer.Tag{{Key: "item", Value: strconv.Itoa(i)}}}
	}
	identify(points)
	return points
}

// testLarge has a batch that is longer than a queue, a packet or a request of many sinks.
func testLarge(t *testing.T, s Subject) {
	points := items(20_000)
	batch := batchOf(clonePoints(points)...)
	s.finish(t, batch, s.tryWrite(t, batch))
	for i := range points {
		if reason, dropped := batch.Dropped(i); dropped {
			t.Fatalf("%s was dropped, %q: divide a batch that is too long into several packets or requests",
				describe(points[i]), reason)
		}
	}
	if s.Received == nil {
		return
	}
	got := make(map[string]int64)
	for _, p := range s.arrived(t) {
		got[seriesKey(&p)] = p.Count
	}
	var wrong []string
	for _, p := range points {
		if n := got[seriesKey(&p)]; n != p.Count {
			wrong = append(wrong, fmt.Sprintf("%s has arrived as %d", describe(p), n))
		}
	}
	complain(t, "points of a long batch were acknowledged, and have not arrived once", wrong)
}

// testGoroutines looks for goroutines that Writes leave behind. They are many, and stand at one place in the end; the
// backend and other tests may have a few more than before, too.
func testGoroutines(t *testing.T, s Subject) {
	const writes = 100
	s.write(t, some(1))
	number, before := runtime.NumGoroutine(), goroutines()
	for range writes {
		s.write(t, some(1))
	}
	s.expectOrdinary(t, 1+writes)
	for began := time.Now(); runtime.NumGoroutine()-number >= writes/2; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) < patience {
			continue
		}
		if place, n := mostGrown(before, goroutines()); n >= writes/2 {
			t.Errorf("%d Writes left goroutines behind, %d of them at the place below: end them, close response bodies and "+
				"cancel contexts before Write returns\n%s", writes, n, place)
		}
		break
	}
}

// A stack is the places at which a goroutine stands, from the innermost call on.
type stack = [32]uintptr

// goroutines returns how many goroutines have which stack.
func goroutines() map[stack]int {
	var records []runtime.StackRecord
	n, ok := runtime.GoroutineProfile(nil)
	for !ok {
		records = make([]runtime.StackRecord, n+n/8+10) // others may be started meanwhile
		n, ok = runtime.GoroutineProfile(records)
	}
	counts := make(map[stack]int)
	for i := range records[:n] {
		counts[records[i].Stack0]++
	}
	return counts
}

// mostGrown returns the stack of which the most goroutines were added, as lines, and how many that are.
func mostGrown(before, after map[stack]int) (lines string, n int) {
	var most stack
	for place, count := range after {
		if grown := count - before[place]; grown > n {
			most, n = place, grown
		}
	}
	depth := slices.Index(most[:], 0)
	if depth < 0 {
		depth = len(most)
	}
	for frames := runtime.CallersFrames(most[:depth]); ; {
		frame, more := frames.Next()
		lines += fmt.Sprintf("\t%s\n\t\t%s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return lines, n
		}
	}
}

// testExact has everything at once: writers, flushes, and a backend that comes and goes.
func testExact(t *testing.T, s Subject) {
	const workers, updates = 4, 10_000
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(s.Sink, metricsbuffer.SinkInterval(5*time.Millisecond)))
	if err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	for i := range workers {
		writing.Go(func() {
			for n := range updates {
				buffer.IncrCounter(jobs, 1, workerTag(i))
				buffer.IncrTimer(latency, time.Duration(n+1))
				if n%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 5 {
		if s.Break != nil {
			s.Break()
			time.Sleep(10 * time.Millisecond)
			s.Mend()
		}
		time.Sleep(10 * time.Millisecond)
	}
	writing.Wait()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		if err = buffer.Flush(t.Context()); err == nil {
			break
		}
	}
	if s.Received != nil {
		s.expectExact(t, workers, updates)
	}
	if err := errors.Join(err, buffer.Close()); err != nil {
		t.Errorf("the last flush: %v", err)
	}
	stats := buffer.Stats().Sinks[0]
	want := metricsbuffer.Totals{Increments: workers * updates, Observations: workers * updates}
	if stats.Acknowledged != want {
		t.Errorf("the sink has acknowledged %+v, want %+v; dropped: %v", stats.Acknowledged, want, stats.Drops)
	}
}

func (s Subject) expectExact(t *testing.T, workers int, updates int64) {
	t.Helper()
	want := []metricsbuffer.Point{{Kind: metricsbuffer.KindTimer, Name: latency, Count: int64(workers) * updates}}
	for i := range workers {
		tags := []metricsbuffer.Tag{workerTag(i)}
		want = append(want, metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: jobs, Tags: tags, Count: updates})
	}
	arrived := s.arrived(t)
	for _, p := range want {
		if got, ok := ordinary(arrived, &p); !ok || got.Count != p.Count {
			t.Errorf("%s %s", describe(p), arrivedAs(got, ok))
		}
	}
	for _, p := range arrived {
		if !slices.ContainsFunc(want, func(q metricsbuffer.Point) bool { return sameSeries(&p, &q) }) {
			t.Errorf("a series arrived that was not recorded: %s", describe(p))
		}
	}
}
