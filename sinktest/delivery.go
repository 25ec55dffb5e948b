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

// write writes a batch of ordinary counters and timers. It fails the test if Write returns an error or drops one.
func (s Subject) write(t *testing.T, batch *metricsbuffer.Batch) {
	t.Helper()
	if err := s.tryWrite(t, batch); err != nil {
		t.Fatalf("Write: %v", err)
	}
	expectNoDrops(t, batch)
}

// expectNoDrops is for batches of ordinary series, also if the Write has failed.
func expectNoDrops(t *testing.T, batch *metricsbuffer.Batch) {
	t.Helper()
	for i := range batch.Points {
		if reason, dropped := batch.Dropped(i); dropped {
			t.Fatalf("Write dropped %s: %q. A sink must deliver counters and timers with ordinary names, in some form",
				describe(batch.Points[i]), reason)
		}
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
			t.Fatalf("Write changed a point of the batch from %s to %s", describe(points[i]), describe(batch.Points[i]))
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
		t.Fatalf("Write has not returned %v after its context ended", Grace)
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

// testStalled does not count. The backend may have taken a batch whose acknowledgement the sink did not wait for.
func testStalled(t *testing.T, s Subject) {
	stall := s.Stall
	if stall == nil {
		stall = s.Break
	}
	if stall == nil {
		t.Skip("the subject has no Break and Mend")
	}
	stall()
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
	expectNoDrops(t, batch)
	for began := time.Now(); err != nil; time.Sleep(10 * time.Millisecond) {
		batch = batchOf(batch.Points[batch.Acknowledged():]...)
		if err = s.tryWrite(t, batch); err != nil && time.Since(began) > patience {
			t.Fatalf("Write still fails %v after one that failed: %v", patience, err)
		}
		expectNoDrops(t, batch)
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
			t.Error("Write acknowledged a batch while the backend was broken")
		}
		s.Mend()
		s.finish(t, batch, err)
		s.expectOrdinary(t, 5*(n+1))
	}
}

// testMiddle has a backend that fails in the middle of long batches. The middle is found by trial: after a Write that
// was over when the backend failed, it fails earlier, and otherwise later. Whenever it fails, the points arrive once.
func testMiddle(t *testing.T, s Subject) {
	if s.Break == nil {
		t.Skip("the subject has no Break and Mend")
	}
	const tries = 30
	points := make([]metricsbuffer.Point, 1000)
	for i := range points {
		points[i] = metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: jobs, Count: 1,
			Tags: []metricsbuffer.Tag{{Key: "item", Value: strconv.Itoa(i)}}}
	}
	identify(points)
	began := time.Now()
	s.write(t, batchOf(clonePoints(points)...))
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
		if err == nil {
			after -= after / 4
		} else {
			after += after / 4
		}
		if err != nil && batch.Acknowledged() > 0 {
			parts++
		}
		s.finish(t, batch, err)
	}
	t.Logf("a part of the batch was acknowledged in %d of %d tries", parts, tries)
	var wrong []string
	doubled := false
	if s.Received != nil {
		arrived := s.arrived(t)
		for _, p := range points {
			switch got, ok := ordinary(arrived, &p); {
			case !ok:
				wrong = append(wrong, describe(p)+" has not arrived")
			case got.Count != 1+tries:
				wrong = append(wrong, fmt.Sprintf("%s, want %d", describe(got), 1+tries))
				doubled = doubled || got.Count > 1+tries
			}
		}
	}
	complain(t, "series have not arrived once in each batch, though the backend failed in the middle of some", wrong)
	if doubled {
		t.Error("some have arrived twice: call Batch.Acknowledge for the points that have arrived, before Write fails")
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
		switch got, ok := ordinary(arrived, &p); {
		case !ok:
			t.Errorf("%s has not arrived", describe(p))
		case got.Count != p.Count:
			t.Errorf("%s has arrived as %s", describe(p), describe(got))
		}
	}
	for _, p := range arrived {
		if !slices.ContainsFunc(want, func(q metricsbuffer.Point) bool { return sameSeries(&p, &q) }) {
			t.Errorf("a series arrived that was not recorded: %s", describe(p))
		}
	}
}
