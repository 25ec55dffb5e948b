package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

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

// checkTimeout answers the callers that wait for a Write which takes longer than its timeout. The Write itself cannot
// be ended: its context has ended, and its result counts when it returns.
func (f *flusher) checkTimeout(o *outlet, now time.Time) {
	if d := o.writing; d != nil && !d.overdue && !now.Before(d.began.Add(o.timeout).Add(lastWord)) {
		d.overdue = true
		err := o.overdueError()
		o.report(err)
		answer(o, &d.replies, err)
		answer(o, &o.waiting, err)
	}
}

// request has the outlet deliver everything that is pending now, and answer when that is acknowledged or has failed.
func (f *flusher) request(o *outlet, replies chan<- reply) {
	switch {
	case o.writing != nil && o.writing.overdue:
		replies <- reply{o, o.overdueError()}
	default:
		o.waiting = append(o.waiting, replies)
		f.deliver(o)
	}
}

// deliver begins a delivery of the pending updates, unless one is being written: then settle begins the next one, if a
// caller waits for it.
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
		*batch = Batch{} // a sink that has kept it cannot change the outcome any more
		scratches.Put(scratch)
	}()
	d.err = d.outlet.sink.Write(ctx, batch)
}

// settle takes a delivery back from the goroutine that wrote it. Points that the sink acknowledged or dropped are gone;
// the rest is pending again, from the batch's start on.
func (f *flusher) settle(d *delivery) {
	o := d.outlet
	o.stats.LastDuration = d.duration
	if d.err == nil {
		o.stats.Batches++
	} else {
		o.stats.Failures++
		o.stats.LastError = d.err
		o.report(d.err)
	}
	o.account(d, f.series)
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

// shutdown closes the flusher, in at most the given time.
func (f *flusher) shutdown(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := f.deliverTo(ctx, f.sinks, true)
	if err == nil {
		<-f.done // imminent, as nobody is left to write
	} else {
		f.stop() // and done follows once the last sink returns from Write
	}
	errs := []error{err}
	for _, o := range f.sinks {
		errs = append(errs, o.awaitClosed(ctx))
	}
	return errors.Join(errs...)
}

// attach gives the sinks that ask for their values the means to. It comes before run.
func (f *flusher) attach() error {
	for i, o := range f.sinks {
		attacher, ok := optional[Attacher](o.sink)
		if !ok {
			continue
		}
		err := attacher.Attach(func(ctx context.Context) error { return f.deliverTo(ctx, f.sinks[i:i+1], false) })
		if err != nil {
			close(f.done) // sinks attached before this one learn that there is no buffer
			return o.wrap(fmt.Errorf("it refused to be attached: %w", err))
		}
	}
	return nil
}

// deliverTo has the sinks deliver, and waits for their replies or the end of ctx.
func (f *flusher) deliverTo(ctx context.Context, sinks []*outlet, last bool) error {
	replies := make(chan reply, len(sinks))
	closed := false
	begin := ctx
	if last {
		begin = context.Background() // the flusher has to know, and waits for nobody
	}
	called := f.do(begin, func() {
		if closed = f.closing; !closed {
			f.flush(sinks, replies, last)
		}
	})
	switch {
	case called && !closed:
	case ctx.Err() != nil:
		return fmt.Errorf("metricsbuffer: nothing was flushed: %w", ctx.Err())
	default:
		return ErrClosed
	}
	var errs []error
	waiting := make(map[*outlet]bool, len(sinks))
	for _, o := range sinks {
		waiting[o] = true
	}
	for len(waiting) > 0 {
		select {
		case r := <-replies:
			delete(waiting, r.outlet)
			if r.err != nil {
				errs = append(errs, r.outlet.wrap(r.err))
			}
		case <-ctx.Done():
			for o := range waiting {
				errs = append(errs, o.wrap(fmt.Errorf("it has not acknowledged yet: %w", ctx.Err())))
			}
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}
