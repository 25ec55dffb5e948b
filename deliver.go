package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// An outlet is a sink with its cursor: what it has not acknowledged, and who waits for it to. It belongs to the
// flusher's goroutine.
type outlet struct {
	name     string
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

	unreported atomic.Pointer[error] // what the error handler is to be told
	reporting  atomic.Bool           // it has a goroutine

	stats SinkStats
}

// A delivery is one call of Sink.Write. It belongs to the goroutine that writes, until that hands it back.
type delivery struct {
	outlet  *outlet
	content *pending
	end     time.Time

	began    time.Time
	overdue  bool // flusher's: nobody waits for it any more
	replies  []chan<- reply
	outcome  outcome
	err      error
	duration time.Duration
}

// A reply tells one caller of Flush about one sink.
type reply struct {
	outlet *outlet
	err    error
}

// lastWord is how long after the end of its context a sink is waited for: one that heeds it says what kept it.
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

// checkTimeout answers those who wait for a Write that takes longer than it may. The Write itself cannot be ended: it
// was told by its context, and is believed when it returns.
func (f *flusher) checkTimeout(o *outlet, now time.Time) {
	if d := o.writing; d != nil && !d.overdue && !now.Before(d.began.Add(o.timeout).Add(lastWord)) {
		d.overdue = true
		err := o.overdueError()
		f.report(o, err)
		answer(o, &d.replies, err)
		answer(o, &o.waiting, err)
	}
}

func (o *outlet) overdueError() error {
	return fmt.Errorf("Write has not returned within %v; what it was given stays pending until it does: %w",
		o.timeout, context.DeadlineExceeded)
}

// wrap says which sink an error is about.
func (o *outlet) wrap(err error) error { return fmt.Errorf("metricsbuffer: sink %q: %w", o.name, err) }

// report tells the error handler, on a goroutine of its own, of which each outlet has one at most. If the handler takes
// longer than until the next failure it misses all but the latest.
func (f *flusher) report(o *outlet, err error) {
	if f.onError == nil {
		return
	}
	o.unreported.Store(&err)
	if o.reporting.CompareAndSwap(false, true) {
		go func() {
			for again := true; again; {
				for err := o.unreported.Swap(nil); err != nil; err = o.unreported.Swap(nil) {
					f.onError(o.wrap(*err)) // wrap calls the error's method, which is not ours either
				}
				o.reporting.Store(false)
				// One that was stored since, by somebody who found the mark still set, is this goroutine's to report.
				again = o.unreported.Load() != nil && o.reporting.CompareAndSwap(false, true)
			}
		}()
	}
}

func answer(o *outlet, replies *[]chan<- reply, err error) {
	for _, r := range *replies {
		r <- reply{o, err} // never blocks: there is room for one reply of each sink
	}
	*replies = nil
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

// request has the outlet deliver all that is pending now, and answer when that is acknowledged or has failed.
func (f *flusher) request(o *outlet, replies chan<- reply) {
	switch {
	case o.writing != nil && o.writing.overdue:
		replies <- reply{o, o.overdueError()}
	default:
		o.waiting = append(o.waiting, replies)
		f.deliver(o)
	}
}

// deliver begins a delivery of what is pending, unless one is being written: then settle begins the next if anybody
// waits for it.
func (f *flusher) deliver(o *outlet) {
	if o.writing != nil {
		return
	}
	if o.pending.isEmpty() {
		o.pending.start = f.collected
		answer(o, &o.waiting, nil)
		return
	}
	d := &delivery{outlet: o, content: o.pending, end: f.collected, began: time.Now(), replies: o.waiting}
	o.writing, o.waiting = d, nil
	o.pending, o.next = o.next, nil
	o.pending.start = f.collected
	// The goroutine sees the series known now. Those in content are among them, and the flusher does not change their
	// entries while anything is pending for them.
	go f.write(d, f.series)
}

// write runs on a goroutine of its own, and calls the sink.
func (f *flusher) write(d *delivery, series [storages][]*series) {
	ctx, cancel := context.WithTimeout(f.context, d.outlet.timeout)
	defer cancel()
	d.err = errors.New("Write ended its goroutine (runtime.Goexit)")
	defer func() {
		if v := recover(); v != nil {
			d.err = fmt.Errorf("Write panicked: %v\n%s", v, debug.Stack())
		}
		d.duration = time.Since(d.began)
		f.returned <- d
	}()
	scratch := scratches.Get().(*scratch)
	batch := &Batch{Start: d.content.start, End: d.end, Points: scratch.fill(d.content, series, f.registry)}
	defer func() {
		d.outcome = batch.outcome
		*batch = Batch{} // what a sink does to it from here on does not matter
		scratches.Put(scratch)
	}()
	d.err = d.outlet.sink.Write(ctx, batch)
}

// settle takes a delivery back from the goroutine that wrote it: what the sink acknowledged or dropped is gone, the
// rest is pending again, from the batch's start on.
func (f *flusher) settle(d *delivery) {
	o := d.outlet
	o.stats.LastDuration = d.duration
	if d.err == nil {
		o.stats.Batches++
	} else {
		o.stats.Failures++
		o.stats.LastError = d.err
		f.report(o, d.err)
	}
	o.account(d)
	d.content.reset(time.Time{})
	o.writing, o.next = nil, d.content
	answer(o, &d.replies, d.err)
	switch {
	case len(o.waiting) == 0:
	case f.context.Err() != nil:
		answer(o, &o.waiting, errTimeToClose)
	default:
		f.deliver(o)
	}
}

var errTimeToClose = errors.New("the buffer's time to close is over")

// account books each point of a delivery as acknowledged or dropped, or makes it pending again.
func (o *outlet) account(d *delivery) {
	if d.err == nil && len(d.outcome.dropped) == 0 {
		o.stats.Acknowledged.add(d.content.totals)
		return
	}
	i := 0
	for in, slot := range d.content.all() {
		reason, dropped := d.outcome.dropped[i]
		switch {
		case dropped:
			o.stats.Dropped.count(in, d.content.amount(in, slot))
			if o.stats.Drops == nil {
				o.stats.Drops = make(map[string]int64)
			}
			o.stats.Drops[reason]++
		case d.err == nil || i < d.outcome.acknowledged:
			o.stats.Acknowledged.count(in, d.content.amount(in, slot))
		default:
			o.pending.merge(d.content, in, slot)
			o.pending.start = d.content.start
		}
		i++
	}
}
