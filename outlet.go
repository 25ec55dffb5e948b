package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// An outlet is a sink with its cursor: the updates that it has not acknowledged, and the callers that wait for that. It
// belongs to the flusher's goroutine.
type outlet struct {
	name     string
	named    bool // by SinkName
	sink     Sink
	interval time.Duration // 0: only on Flush
	timeout  time.Duration // of one Write

	pending *pending // collected, in no batch yet
	next    *pending // empty: takes the place of pending when that becomes a batch; nil while one is being written

	due     time.Time // when the interval is over
	writing *delivery // at most one at a time
	waiting []chan<- reply

	closer   io.Closer     // the sink's, or nil
	closing  bool          // close has been called
	closed   chan struct{} // closed when closeErr is set
	closeErr error

	onError    func(error)            // may be nil
	unreported atomic.Pointer[report] // for onError
	reporting  atomic.Bool            // there is a goroutine that calls onError

	stats SinkStats
}

// lastWord is the grace period after the deadline in which a sink can still return its own error.
const lastWord = 100 * time.Millisecond

// wakeAt returns when the flusher has to look at the outlet again, or zero.
func (o *outlet) wakeAt(closing bool) (t time.Time) {
	if !closing {
		t = o.due
	}
	if o.writing != nil && !o.writing.overdue {
		if limit := o.writing.began.Add(o.timeout).Add(lastWord); t.IsZero() || limit.Before(t) {
			t = limit
		}
	}
	return t
}

func (o *outlet) isDue(now time.Time) bool { return !o.due.IsZero() && !o.due.After(now) }

func (o *outlet) overdueError() error {
	return fmt.Errorf("Write has not returned within %v; what it was given stays pending until it does: %w",
		o.timeout, context.DeadlineExceeded)
}

// wrap says which sink an error is about.
func (o *outlet) wrap(err error) error { return fmt.Errorf("metricsbuffer: sink %q: %w", o.name, err) }

func answer(o *outlet, replies *[]chan<- reply, err error) {
	for _, r := range *replies {
		r <- reply{o, err} // never blocks: there is room for one reply of each sink
	}
	*replies = nil
}

// account counts each point of a delivery as acknowledged or dropped, or makes it pending again.
func (o *outlet) account(d *delivery, series [storages][]*series) {
	if d.err == nil && len(d.outcome.dropped) == 0 {
		o.stats.Acknowledged.add(d.content.totals)
		return
	}
	i := 0
	for storage, slot := range d.content.all() {
		reason, dropped := d.outcome.dropped[i]
		switch {
		case dropped:
			o.stats.Dropped.count(storage, d.content.amount(storage, slot))
			o.countDrop(reason, series[storage][slot])
		case d.err == nil || i < d.outcome.acknowledged:
			o.stats.Acknowledged.count(storage, d.content.amount(storage, slot))
		default:
			o.pending.merge(d.content, storage, slot)
			o.pending.start = d.content.start
		}
		i++
	}
}

// Drops are counted by reason, up to maxReasons of them; those of all further reasons are counted together.
const (
	maxReasons   = 100
	otherReasons = "other reasons"
)

// countDrop counts a dropped point, and reports the first of each reason.
func (o *outlet) countDrop(reason string, s *series) {
	if o.stats.Drops == nil {
		o.stats.Drops = make(map[string]int64)
	}
	key := reason
	if o.stats.Drops[key] == 0 && len(o.stats.Drops) >= maxReasons {
		key = otherReasons
	}
	if o.stats.Drops[key]++; o.stats.Drops[key] == 1 {
		err := fmt.Errorf("it dropped the %v %.200q with tags %.200q: %.200q; "+
			"further drops for this reason are counted in Stats only", s.Value.kind, s.Name, fmt.Sprint(s.Tags()), reason)
		o.add(report{drops: []error{err}})
	}
}

// A report holds the errors of a sink that the error handler has not been told yet.
type report struct {
	failure error   // the latest
	drops   []error // all: there is one for each reason
}

// report tells the error handler of a failure. If the handler takes longer than until the next failure, it misses all
// failures but the latest.
func (o *outlet) report(err error) { o.add(report{failure: err}) }

// add hands a report to the error handler, which runs on a goroutine of its own. Each outlet has one at most.
func (o *outlet) add(r report) {
	if o.onError == nil {
		return
	}
	for {
		old, all := o.unreported.Load(), r
		if old != nil {
			all.drops = append(slices.Clip(old.drops), r.drops...)
			if r.failure == nil {
				all.failure = old.failure
			}
		}
		if o.unreported.CompareAndSwap(old, &all) {
			break
		}
	}
	if o.reporting.CompareAndSwap(false, true) {
		go o.handle()
	}
}

// handle calls the error handler until there is nothing to report.
func (o *outlet) handle() {
	for again := true; again; {
		for r := o.unreported.Swap(nil); r != nil; r = o.unreported.Swap(nil) {
			for _, err := range r.drops {
				o.onError(o.wrap(err))
			}
			if r.failure != nil {
				o.onError(o.wrap(r.failure)) // wrap calls the error's method, which is not ours either
			}
		}
		o.reporting.Store(false)
		// A report that was added since, by a caller that found the mark still set, is this goroutine's to make.
		again = o.unreported.Load() != nil && o.reporting.CompareAndSwap(false, true)
	}
}

// close closes the sink, on a goroutine of its own: like Write, it may take any time.
func (o *outlet) close() {
	if o.closing || o.closer == nil {
		return
	}
	o.closing = true
	go func() {
		defer close(o.closed)
		o.closeErr = errors.New("Close ended its goroutine (runtime.Goexit)")
		defer func() {
			if v := recover(); v != nil {
				o.closeErr = fmt.Errorf("Close panicked: %v\n%s", v, debug.Stack())
			}
		}()
		o.closeErr = o.closer.Close()
	}()
}

// awaitClosed returns the error with which the sink was closed, or that it has not been when ctx ended.
func (o *outlet) awaitClosed(ctx context.Context) error {
	if o.closer == nil {
		return nil
	}
	select {
	case <-o.closed:
	case <-ctx.Done():
		select {
		case <-o.closed: // both are over: select would have chosen either
		default:
			return o.wrap(fmt.Errorf("it is not closed yet: %w", ctx.Err()))
		}
	}
	if o.closeErr != nil {
		return o.wrap(fmt.Errorf("Close: %w", o.closeErr))
	}
	return nil
}
