package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// watch asks for accounts until it is told to stop: each of them has to balance.
func (l *life) watch(b *metricsbuffer.Buffer, rng *rand.Rand, stop *atomic.Bool) {
	series := 0
	for !stop.Load() {
		stats := b.Stats()
		l.balance(&stats)
		if stats.Series < series {
			l.report.expired.Add(int64(series - stats.Series))
		}
		series = stats.Series
		l.rest(rng, 2*time.Millisecond) // often, so that idle chunks are found soon
	}
	stats := b.Stats()
	l.report.overflowed.Add(stats.Overflowed.Increments + stats.Overflowed.Observations)
}

// balance checks that an account is one: recorded = acknowledged + pending + dropped.
func (l *life) balance(stats *metricsbuffer.Stats) {
	l.report.accounts.Add(1)
	for i, s := range stats.Sinks {
		sum := metricsbuffer.Totals{
			Increments:   s.Acknowledged.Increments + s.Pending.Increments + s.Dropped.Increments,
			Observations: s.Acknowledged.Observations + s.Pending.Observations + s.Dropped.Observations,
		}
		if sum != stats.Recorded {
			l.report.problem(wrong, "%s: recorded %+v, but acknowledged %+v, pending %+v, dropped %+v",
				l.sinks[i].label, stats.Recorded, s.Acknowledged, s.Pending, s.Dropped)
		}
	}
}

// closeQuiet lets everything arrive, and closes the buffer.
func (l *life) closeQuiet(b *metricsbuffer.Buffer, f *fleet) {
	l.heal()
	for b.Flush(context.Background()) != nil { // a Write that began before may yet fail
		time.Sleep(time.Millisecond)
	}
	for _, s := range l.sinks {
		s.exact(f.recorded)
	}
	l.compare(b, f)
	err := b.Close()
	if errors.Is(err, context.DeadlineExceeded) { // it may have little time
		return
	}
	stuck := false
	for _, s := range l.sinks {
		stuck = stuck || s.stuck
		if s.closes.Load() == 0 {
			l.report.problem(wrong, "%s: not closed when Buffer.Close returned %v", s.label, err)
		}
	}
	if (err != nil) != stuck || stuck && !errors.Is(err, errInjected) {
		l.report.problem(wrong, "%s: closed with nothing pending: %v", l.label, err)
	}
}

// awaitSinksClosed waits until the buffer, which was closed or left to the garbage collector, has closed its sinks.
func (l *life) awaitSinksClosed() {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
		closed := 0
		for _, s := range l.sinks {
			if s.closes.Load() > 0 {
				closed++
			}
		}
		if closed == len(l.sinks) {
			l.report.closed.Add(int64(closed))
			return
		}
		if l.fate == left || l.fate == leftUnhealthy {
			l.report.collect()
		}
	}
	for _, s := range l.sinks {
		if s.closes.Load() == 0 {
			l.report.problem(wrong, "%s: not closed a minute after the end of its buffer", s.label)
		}
	}
}

// closeMidway closes the buffer while everything goes on, from one or two goroutines.
func (l *life) closeMidway(b *metricsbuffer.Buffer) {
	published := int64(0)
	for i := range l.published {
		published += l.published[i].Load()
	}
	var errs [2]error
	var wait sync.WaitGroup
	for i := range 1 + l.rng.IntN(2) {
		wait.Go(func() { errs[i] = b.Close() })
	}
	wait.Wait()
	l.settledBy(errs[0], published, l.sinks)
	if err := b.Flush(context.Background()); !errors.Is(err, metricsbuffer.ErrClosed) {
		l.report.problem(wrong, "%s: Flush after Close returned %v", l.label, err)
	}
	time.Sleep(l.milliseconds(0, 5)) // the writers go on for a while
}

// settleClosed waits until no Write is left, and then compares.
func (l *life) settleClosed(b *metricsbuffer.Buffer, f *fleet) {
	for pending := true; pending; {
		stats := b.Stats()
		l.balance(&stats)
		pending = false
		for i := range stats.Sinks {
			pending = pending || stats.Sinks[i].Pending != metricsbuffer.Totals{} || l.sinks[i].inside.Load() > 0
		}
		time.Sleep(time.Millisecond)
	}
	l.compare(b, f)
}

// compare holds the buffer's account, when nothing is pending, against those of the writers and of the sinks.
func (l *life) compare(b *metricsbuffer.Buffer, f *fleet) {
	stats := b.Stats()
	l.balance(&stats)
	recorded := l.u.total(f.recorded)
	if !l.selfish && stats.Recorded != recorded {
		l.report.problem(wrong, "%s: %+v were recorded, and Stats says %+v", l.label, recorded, stats.Recorded)
	}
	if stats.Negatives != f.negatives {
		l.report.problem(wrong, "%s: %d were negative, and Stats says %d", l.label, f.negatives, stats.Negatives)
	}
	for i, s := range l.sinks {
		got, given := s.atMost(f.recorded)
		if l.selfish && l.fate == closedQuiet {
			continue // it goes on, recording and delivering what it says of itself
		}
		if a := stats.Sinks[i].Acknowledged; a != got {
			l.report.problem(wrong, "%s: acknowledged %+v, and Stats says %+v", s.label, got, a)
		}
		if d := stats.Sinks[i].Dropped; l.fate == closedQuiet && d != given { // otherwise also what was left
			l.report.problem(wrong, "%s: %+v were given up, and Stats says %+v dropped", s.label, given, d)
		}
	}
}

// abandon has the garbage collector find the buffer that nobody closed, while its sinks fail and hang: it may try to
// deliver what is left, and must not do so twice.
func (l *life) abandon(f *fleet) {
	for range 4 {
		l.report.collect()
		time.Sleep(l.milliseconds(1, 20))
	}
	l.heal() // what hangs can end
	for running := true; running; time.Sleep(time.Millisecond) {
		running = false
		for _, s := range l.sinks {
			running = running || s.inside.Load() > 0
		}
	}
	for _, s := range l.sinks {
		s.atMost(f.recorded)
	}
}

// awaitFinalFlush has the garbage collector find the buffer that nobody closed, which then delivers what is left.
func (l *life) awaitFinalFlush(f *fleet) {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
		l.report.collect()
		complete := true
		for _, s := range l.sinks {
			complete = complete && s.complete(f.recorded)
		}
		if complete {
			break
		}
	}
	for _, s := range l.sinks {
		s.exact(f.recorded)
	}
}

func (s *sink) complete(recorded []int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, want := range recorded {
		if s.u.items[id].kind != gauge && s.got[id]+s.given[id] < want {
			return false
		}
	}
	return true
}
