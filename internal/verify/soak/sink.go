package main

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A sink goes wrong in every way there is, and books what it acknowledges and what it gives up, and nothing else: what
// a receiver behind it would have. It examines every batch, see audit.go.
type sink struct {
	report *report
	u      *universe
	name   string // in errors of the buffer
	label  string // in problems: which sink of which buffer this is

	temper  *temper
	forever bool          // hangs until healed
	healed  chan struct{} // closed: no faults any more

	inside atomic.Int32                // Writes
	closes atomic.Int32                // calls of Close
	flush  func(context.Context) error // delivers to this sink alone
	stuck  bool                        // its Close returns an error

	mu      sync.Mutex // guards what follows: Write has it but for the time it waits, others read
	rng     *rand.Rand
	got     []int64   // by id: acknowledged; of gauges the value that was last acknowledged or given up
	given   []int64   // by id: given up
	own     [2]int64  // of the buffer's own counters, which are not in the universe: acknowledged, given up
	end     time.Time // of the last batch that was acknowledged
	ids     []int     // of the points of the batch
	seen    []int64   // by id: the number of the last Write that had a point for it
	counts  []int64   // by id: of the points in that Write
	writes  int64
	scratch []byte
}

// selfID is the id of all series that the buffer itself records.
const selfID = -1

func newSink(r *report, u *universe, t *temper, rng *rand.Rand) *sink {
	return &sink{
		report: r, u: u, temper: t, healed: make(chan struct{}), rng: rng,
		got: make([]int64, len(u.items)), given: make([]int64, len(u.items)), seen: make([]int64, len(u.items)),
		counts: make([]int64, len(u.items)),
	}
}

// Attach implements [metricsbuffer.Attacher].
func (s *sink) Attach(flush func(context.Context) error) error {
	if s.flush != nil {
		s.report.problem(wrong, "%s: Attach was called twice", s.label)
	}
	s.flush = flush
	return nil
}

// Close implements [io.Closer].
func (s *sink) Close() error {
	if s.closes.Add(1) != 1 {
		s.report.problem(wrong, "%s: Close was called twice", s.label)
	}
	if s.inside.Load() != 0 {
		s.report.problem(wrong, "%s: Close was called while a Write was running", s.label)
	}
	if s.stuck {
		return errInjected
	}
	return nil
}

// A wrapper is a sink around another one, whose Attach and Close the buffer has to find.
type wrapper struct{ s *sink }

// Write implements [metricsbuffer.Sink].
func (w wrapper) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	return w.s.Write(ctx, batch)
}

// Unwrap returns the sink inside.
func (w wrapper) Unwrap() metricsbuffer.Sink { return w.s }

// Write implements [metricsbuffer.Sink].
func (s *sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	if s.inside.Add(1) != 1 {
		s.report.problem(wrong, "%s: Write was called while another one was running", s.label)
	}
	defer s.inside.Add(-1)
	if s.closes.Load() != 0 {
		s.report.problem(wrong, "%s: Write was called after Close", s.label)
	}

	s.mu.Lock()
	chosen := s.temper.choose(s.rng)
	rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0))
	s.mu.Unlock()
	select {
	case <-s.healed:
		chosen = 0
	default:
	}
	f := &faults[chosen]
	f.wait(ctx, rng, s.healed, s.forever)

	s.mu.Lock()
	s.examine(batch)
	s.book(batch, f, rng)
	s.mu.Unlock()
	s.report.wrote(chosen)
	switch f.ends {
	case refuses:
		return errInjected
	case panics:
		panic(errInjected)
	case exits:
		runtime.Goexit()
	}
	return nil
}

// book decides about each point, tells the batch, and accounts for it.
func (s *sink) book(batch *metricsbuffer.Batch, f *fault, rng *rand.Rand) {
	n := 0
	if f.some {
		n = rng.IntN(len(batch.Points) + 1)
		batch.Acknowledge(n)
	}
	if f.ends == acknowledges {
		n = len(batch.Points)
		s.end = batch.End
	}
	for i := range batch.Points {
		p, id := &batch.Points[i], s.ids[i]
		drop := f.drops && rng.IntN(8) == 0
		if drop {
			batch.Drop(i, "the soak gave it up")
		}
		switch {
		case id == selfID && drop:
			s.own[1] += p.Count
		case id == selfID && i < n:
			s.own[0] += p.Count
		case p.Kind == gauge && (drop || i < n):
			s.got[id] = int64(p.Value)
		case drop:
			s.given[id] += p.Count
		case i < n:
			s.got[id] += p.Count
		}
	}
}

// heal ends all faults, also one that lasts.
func (s *sink) heal() { close(s.healed) }

// settled returns how much of a series was acknowledged or given up.
func (s *sink) settled(id int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[id] + s.given[id]
}

// identify finds out which series the points are of.
func (s *sink) identify(batch *metricsbuffer.Batch) {
	s.ids = s.ids[:0]
	for i := range batch.Points {
		p := &batch.Points[i]
		id, ok := s.u.find(s.scratch[:0], p)
		if !ok {
			id = selfID
			if !strings.HasPrefix(p.Name, "metricsbuffer.") {
				s.report.problem(wrong, "%s: nobody recorded %v %q %v", s.label, p.Kind, p.Name, p.Tags)
			}
		}
		s.ids = append(s.ids, id)
	}
}
