package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A life is that of one buffer: it is opened with options that differ each time, used, and ended in one of several
// ways, after which every update has to be accounted for.
type life struct {
	report *report
	u      *universe
	label  string // in problems: "buffer 17"
	rng    *rand.Rand
	fate   int
	length time.Duration

	options   []metricsbuffer.Option
	sinks     []*sink
	limited   bool
	selfish   bool // has self-metrics, which nobody can foretell
	hot       bool // nobody ever pauses
	published [maxWriters]atomic.Int64
}

// A fate is how a buffer ends.
const (
	closedQuiet   = iota // the writers have ended, the sinks are well again, everything arrives, and then it is closed
	closedMidway         // it is closed under way, with little time, and sinks that fail and hang
	left                 // nobody closes it
	leftUnhealthy        // nobody closes it, and its sinks fail on
)

var fates = [...]string{"closed when quiet", "closed in the middle of writing", "left without Close",
	"left without Close with failing sinks"}

func newLife(r *report, number int64, rng *rand.Rand, fate int, length time.Duration) *life {
	l := &life{
		report: r, label: fmt.Sprintf("buffer %d (%s)", number, fates[fate]), rng: rng, fate: fate, length: length,
	}
	l.limited = rng.IntN(4) == 0
	l.selfish = rng.IntN(4) == 0
	l.hot = rng.IntN(4) == 0 && length < 2*time.Second
	l.u = newUniverse(l.limited)
	l.choose()
	return l
}

// milliseconds returns a random duration of low to high milliseconds.
func (l *life) milliseconds(low, high int) time.Duration {
	return time.Duration(low*1000+l.rng.IntN((high-low)*1000)) * time.Microsecond
}

// choose chooses the options and the sinks.
func (l *life) choose() {
	l.options = []metricsbuffer.Option{metricsbuffer.WithErrorHandler(func(error) { l.report.failed.Add(1) })}
	closeTimeout, sinkTimeout := l.milliseconds(1, 200), l.milliseconds(5, 50)
	if l.fate == left { // the one and only flush that remains must not fail for lack of time
		closeTimeout, sinkTimeout = time.Minute, time.Minute
	}
	l.option(metricsbuffer.WithCloseTimeout(closeTimeout))
	if l.limited {
		l.option(metricsbuffer.WithMaxSeries(len(l.u.items) + l.rng.IntN(100)))
	}
	if l.selfish {
		l.option(metricsbuffer.WithSelfMetrics())
	}
	if l.rng.IntN(3) > 0 {
		l.option(metricsbuffer.WithIdleExpiry(l.milliseconds(4, 40)))
	}
	for i := range 1 + l.rng.IntN(3) {
		temper := &tempers[l.rng.IntN(len(tempers))]
		s := newSink(l.report, l.u, temper, rand.New(rand.NewPCG(l.rng.Uint64(), 0)))
		s.name = fmt.Sprintf("sink-%d", i)
		s.label = fmt.Sprintf("%s, %s (%s)", l.label, s.name, temper.name)
		s.stuck = l.rng.IntN(8) == 0
		s.forever = l.fate == closedMidway || l.fate == leftUnhealthy
		l.sinks = append(l.sinks, s)
		interval := l.milliseconds(1, 20)
		if l.rng.IntN(5) == 0 {
			interval = 0
		}
		var given metricsbuffer.Sink = s
		if l.rng.IntN(4) == 0 {
			given = wrapper{s}
		}
		l.option(metricsbuffer.WithSink(given, metricsbuffer.SinkName(s.name), metricsbuffer.SinkInterval(interval),
			metricsbuffer.SinkTimeout(sinkTimeout)))
	}
}

func (l *life) option(o metricsbuffer.Option) { l.options = append(l.options, o) }

// run lives the life. At its end nothing of it is left, or it is reported.
func (l *life) run() {
	f := l.live() // has a frame of its own, so that the buffer is unreachable from here
	switch l.fate {
	case left:
		l.awaitFinalFlush(f)
	case leftUnhealthy:
		l.abandon(f)
	}
	l.awaitSinksClosed()
	l.report.updates.Add(f.updates)
	l.report.buffers[l.fate].Add(1)
	l.report.sinks.Add(int64(len(l.sinks)))
}

// live opens the buffer, uses it, and ends it.
//
//go:noinline
func (l *life) live() *fleet {
	b, err := metricsbuffer.New(l.options...)
	if err != nil {
		panic(err) // of the soak's own making
	}
	var stop, stopAsking atomic.Bool
	writers := l.write(b, &stop)
	var askers sync.WaitGroup
	rng := rand.New(rand.NewPCG(l.rng.Uint64(), 2))
	askers.Go(func() { l.watch(b, rng, &stopAsking) })
	for seed := range 2 {
		rng := rand.New(rand.NewPCG(l.rng.Uint64(), uint64(seed)))
		askers.Go(func() {
			for !stopAsking.Load() {
				l.flush(b, rng)
				l.rest(rng, 20*time.Millisecond)
			}
		})
	}
	time.Sleep(l.length)
	if l.fate == closedMidway {
		l.closeMidway(b)
	}
	stop.Store(true)
	f := writers()
	switch l.fate {
	case closedQuiet:
		l.closeQuiet(b, f)
	case closedMidway:
		l.heal() // what hangs can end
		l.settleClosed(b, f)
	case left:
		l.heal()
	}
	stopAsking.Store(true)
	askers.Wait()
	stats := b.Stats()
	l.report.flips.Add(stats.Flips)
	l.report.promotions.Add(stats.Promotions)
	l.report.demotions.Add(stats.Demotions)
	return f
}

// write starts the writers. The function it returns waits for them and adds up what they recorded.
func (l *life) write(b *metricsbuffer.Buffer, stop *atomic.Bool) func() *fleet {
	n := 1 + l.rng.IntN(maxWriters)
	l.report.writers.Add(int64(n))
	results := make(chan *writer)
	for i := range n {
		w := &writer{
			buffer: b, u: l.u, number: i, tag: writerTag(i), leaves: l.fate == left, published: &l.published[i],
		}
		rng := rand.New(rand.NewPCG(l.rng.Uint64(), 0))
		go func() {
			w.run(rng, stop, l.rest)
			results <- w
		}()
	}
	return func() *fleet {
		f := new(fleet)
		for range n {
			f.add(<-results)
		}
		return f
	}
}

// rest pauses for less than the given time, unless nobody does.
func (l *life) rest(rng *rand.Rand, most time.Duration) {
	if !l.hot {
		time.Sleep(time.Duration(rng.Int64N(int64(most))))
	}
}

// flush flushes, and holds the buffer to what that promises: what had been recorded before is settled by every sink of
// which no error tells.
func (l *life) flush(b *metricsbuffer.Buffer, rng *rand.Rand) {
	published := int64(0)
	for i := range l.published {
		published += l.published[i].Load()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rng.IntN(200))*time.Millisecond)
	defer cancel()
	sinks, flush := l.sinks, b.Flush
	if i := rng.IntN(2 * len(sinks)); i < len(sinks) {
		sinks = sinks[i : i+1]
		flush = sinks[0].flush
	}
	err := flush(ctx)
	runtime.KeepAlive(b) // the sink's flush does not keep it
	if errors.Is(err, metricsbuffer.ErrClosed) || err != nil && !strings.Contains(err.Error(), "sink") {
		return // nothing was flushed
	}
	l.settledBy(err, published, sinks)
}

// settledBy checks that those of the sinks which the error of a Flush or Close does not name have settled what was
// published before it.
func (l *life) settledBy(err error, published int64, sinks []*sink) {
	for _, s := range sinks {
		if err != nil && strings.Contains(err.Error(), s.name) {
			continue
		}
		l.report.flushes.Add(1)
		if settled := s.settled(l.u.published); settled < published {
			l.report.count(lost, published-settled, "%s: flushed without an error, after %d updates, of which it has %d",
				s.label, published, settled)
		}
	}
}

func (l *life) heal() {
	for _, s := range l.sinks {
		s.heal()
	}
}
