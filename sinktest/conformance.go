package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Subject is a sink to be tested by [Run], and what can be asked of its backend.
type Subject struct {
	Sink metricsbuffer.Sink

	// Count returns how much of a series has arrived at the backend until now: of a counter the sum of its deltas, of a
	// timer the number of observations. It may wait for what is still on its way. It is asked for series with names of
	// letters and underscores, and no tag or one that is called worker. If it is nil, what has arrived is not tested.
	Count func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int64

	// Break makes the backend fail, so that no Write can succeed, and Mend makes it work again. What it has got must
	// still be counted. If they are nil, failures are not tested.
	Break, Mend func()
}

// Run tests that a sink does what a buffer expects of it:
//
//   - It takes points of any kind, name, tags and value. Those that its backend cannot express are dropped with a
//     reason, others are not affected, and none of them is an error that comes again and again.
//   - It does not change the batch, and does not use it after Write has returned.
//   - A Write whose context has ended returns soon.
//   - What it acknowledges has arrived, once; what it does not has not. That is tested when all goes well, with a
//     context that has ended, and while the backend fails.
//
// It calls begin for each of its subtests, to get a sink with an empty backend. Run it with the race detector: that
// sees what is used too late.
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Subject {
//			backend := startBackend(t)
//			return sinktest.Subject{Sink: mysink.New(backend.Address), Count: backend.Count}
//		})
//	}
func Run(t *testing.T, begin func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"Empty", testEmpty},
		{"Anything", testAnything},
		{"Retention", testRetention},
		{"Cancelled", testCancelled},
		{"Failure", testFailure},
		{"Exact", testExact},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, begin(t)) })
	}
}

// batchOf returns a batch of the last second.
func batchOf(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	end := time.Now()
	return &metricsbuffer.Batch{Start: end.Add(-time.Second), End: end, Points: points}
}

func testEmpty(t *testing.T, s Subject) {
	if err := s.Sink.Write(t.Context(), batchOf()); err != nil {
		t.Errorf("Write of a batch without points: %v", err)
	}
}

func testAnything(t *testing.T, s Subject) {
	points := anything()
	for range 2 {
		batch := batchOf(clonePoints(points)...)
		err := s.Sink.Write(t.Context(), batch)
		if err != nil && batch.Acknowledged() < len(points) {
			t.Fatalf("Write failed at the %d. of %d points (%.300q): drop what cannot be delivered: %v",
				batch.Acknowledged()+1, len(points), fmt.Sprint(points[batch.Acknowledged()]), err)
		}
		if i := slices.IndexFunc(indexes(points), func(i int) bool { return !equal(points[i], batch.Points[i]) }); i >= 0 {
			t.Errorf("Write changed a point of the batch, %.300q", fmt.Sprint(batch.Points[i]))
		}
		reasons := make(map[string]int)
		for i, p := range points {
			reason, dropped := batch.Dropped(i)
			if dropped {
				reasons[reason]++
			}
			if dropped && p.Name == "plain" && p.Kind == metricsbuffer.KindCounter && len(p.Tags) == 0 && p.Count > 0 {
				t.Errorf("a counter that anybody can deliver was dropped: %s", reason)
			}
		}
		t.Logf("dropped of %d points, by reason: %v", len(points), reasons)
		if len(reasons) > 10 || reasons[""] > 0 {
			t.Errorf("points were dropped for %d reasons: they should be few, constant and not empty", len(reasons))
		}
	}
}

// some returns a batch in which the counter is n, and a timer has n observations.
func some(n int64) *metricsbuffer.Batch {
	return batchOf(
		metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: jobs, Count: n, Tags: []metricsbuffer.Tag{workerTag(0)}},
		metricsbuffer.Point{
			Kind: metricsbuffer.KindTimer, Name: latency, Count: n, Sum: n, Min: 1, Max: 1,
			Buckets: &metricsbuffer.Buckets{Offset: -1, Counts: []uint64{uint64(n)}},
		},
	)
}

const jobs, latency = "conformance_jobs", "conformance_latency"

func workerTag(i int) metricsbuffer.Tag {
	return metricsbuffer.Tag{Key: "worker", Value: string(rune('a' + i))}
}

func (s Subject) expect(t *testing.T, n int64) {
	t.Helper()
	if s.Count == nil {
		return
	}
	if got := s.Count(metricsbuffer.KindCounter, jobs, workerTag(0)); got != n {
		t.Errorf("of the counter %d arrived, want %d", got, n)
	}
	if got := s.Count(metricsbuffer.KindTimer, latency); got != n {
		t.Errorf("of the timer %d observations arrived, want %d", got, n)
	}
}

// What a batch becomes after Write must not matter.
func testRetention(t *testing.T, s Subject) {
	for n := range int64(3) {
		batch := some(n + 1)
		if err := s.Sink.Write(t.Context(), batch); err != nil {
			t.Fatalf("Write: %v", err)
		}
		for i := range batch.Points {
			p := &batch.Points[i]
			if p.Buckets != nil {
				p.Buckets.Counts[0], p.Buckets.Zeros = 1<<40, 1<<40
			}
			*p = metricsbuffer.Point{Name: "overwritten", Kind: metricsbuffer.KindGauge, Count: 1 << 40}
		}
		*batch = metricsbuffer.Batch{}
	}
	s.expect(t, 1+2+3)
}

func testCancelled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch := some(5)
	returned := make(chan error, 1)
	go func() { returned <- s.Sink.Write(ctx, batch) }()
	var err error
	select {
	case err = <-returned:
	case <-time.After(patience):
		t.Fatalf("Write has not returned %v after its context had ended", patience)
	}
	s.finish(t, batch, err)
	s.expect(t, 5)
}

// finish delivers what of the batch has not been, as a buffer does: again and again, as a sink may take its time to
// find a backend that has come back.
func (s Subject) finish(t *testing.T, batch *metricsbuffer.Batch, err error) {
	t.Helper()
	for began := time.Now(); err != nil; time.Sleep(10 * time.Millisecond) {
		batch = batchOf(batch.Points[batch.Acknowledged():]...)
		if err = s.Sink.Write(t.Context(), batch); err != nil && time.Since(began) > patience {
			t.Fatalf("Write after one that failed: %v", err)
		}
	}
}

// patience is how long a sink may take for what should not take long.
const patience = 10 * time.Second

func testFailure(t *testing.T, s Subject) {
	if s.Break == nil || s.Mend == nil {
		t.Skip("the subject has no Break and Mend")
	}
	for range 2 {
		s.Break()
		batch := some(5)
		err := s.Sink.Write(t.Context(), batch)
		if err == nil {
			t.Error("Write acknowledged a batch while the backend was broken")
		}
		s.Mend()
		s.finish(t, batch, err)
	}
	s.expect(t, 10)
}

// All together: writers, flushes, and a backend that comes and goes.
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
		if s.Break != nil && s.Mend != nil {
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
	if err := errors.Join(err, buffer.Close()); err != nil {
		t.Errorf("the last flush: %v", err)
	}
	stats := buffer.Stats().Sinks[0]
	want := metricsbuffer.Totals{Increments: workers * updates, Observations: workers * updates}
	if stats.Acknowledged != want {
		t.Errorf("the sink has acknowledged %+v, want %+v; dropped: %v", stats.Acknowledged, want, stats.Drops)
	}
	if s.Count == nil {
		return
	}
	for i := range workers {
		if got := s.Count(metricsbuffer.KindCounter, jobs, workerTag(i)); got != updates {
			t.Errorf("of counter %d %d arrived, want %d", i, got, updates)
		}
	}
	if got := s.Count(metricsbuffer.KindTimer, latency); got != workers*updates {
		t.Errorf("of the timer %d observations arrived, want %d", got, workers*updates)
	}
}
