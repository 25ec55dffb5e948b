package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A delivery is one call of Sink.Write. It belongs to the goroutine that writes, until that goroutine hands it back.
type delivery struct {
	outlet  *outlet
	content *pending
	scratch *scratch // the memory of the batch
	end     time.Time
	points  int // in the batch
	turned  int // so many are at its end instead of at its beginning

	// The series known when it began. They are not a parameter of write: the garbage collector may free a parameter that
	// is no longer used, and yet reads its frame once more while Sink.Write panics.
	known catalog

	began    time.Time
	overdue  bool           // the flusher's: no caller waits for it any more
	replies  []chan<- reply // the flusher's
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
		if !f.closing { // the last batch waits for its turn as long as there is time to close
			answer(o, &o.waiting, err)
		}
	}
}

// request has the outlet deliver everything that is pending now, and answer when that is acknowledged or has failed.
func (f *flusher) request(o *outlet, replies chan<- reply, last bool) {
	switch {
	case o.writing != nil && o.writing.overdue && !last:
		replies <- reply{o, o.overdueError()}
	default:
		o.waiting = append(o.waiting, replies)
		f.deliver(o)
	}
}

// deliver begins a delivery of the pending updates. If one is under way already, settle begins the next one, provided
// that a caller waits for it.
func (f *flusher) deliver(o *outlet) {
	if o.writing != nil {
		return
	}
	if o.pending.isEmpty() {
		o.pending.start = f.collected
		answer(o, &o.waiting, nil)
		return
	}
	d := &delivery{
		// The goroutine sees the series known now. Those in content are among them, and the flusher does not change their
		// entries while anything is pending for them.
		outlet: o, content: o.pending, scratch: o.scratch.take(), end: f.collected, known: f.catalog,
		began: time.Now(), replies: o.waiting,
	}
	o.writing, o.waiting = d, nil
	o.pending, o.next = o.next, nil
	o.pending.start = f.collected
	go f.write(d)
}

// write runs on a goroutine of its own, and calls the sink.
func (f *flusher) write(d *delivery) {
	ctx, cancel := context.WithTimeout(f.context, d.outlet.timeout)
	defer cancel()
	d.err = errors.New("Write ended its goroutine (runtime.Goexit)")
	defer func() {
		if v := recover(); v != nil {
			d.err = fmt.Errorf("Write panicked: %s\n%s", textOf(v), debug.Stack())
		}
		d.duration = time.Since(d.began)
		f.returned <- d
	}()
	batch := &Batch{
		Start: d.content.start, End: d.end,
		Points: d.scratch.fill(d.content, &d.known), Ended: d.scratch.fillEnded(d.content, &d.known),
	}
	d.points, d.turned = len(batch.Points), turn(batch.Points, d.content.first)
	defer func() {
		d.outcome = batch.outcome
		*batch = Batch{} // a sink that has kept it cannot change the outcome any more
	}()
	d.err = readable(d.outlet.sink.Write(ctx, batch))
	if d.err != nil {
		d.err = d.outlet.explain(ctx, d.err)
	}
}

// settle takes a delivery back from the goroutine that wrote it. Points that the sink acknowledged or dropped are gone.
// The rest is pending again, and the next batch has the start of this one.
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
	o.writing = nil
	f.forget(d.content)
	d.content.reset(time.Time{})
	o.next = d.content
	o.scratch.keep(d.scratch)
	answer(o, &d.replies, d.err)
	switch {
	case len(o.waiting) == 0:
	case f.context.Err() != nil:
		answer(o, &o.waiting, errTimeToClose)
	default:
		f.deliver(o)
	}
}

var errTimeToClose = errors.New("the buffer's time to close (WithCloseTimeout) is over")

// deliverTo polls, has the sinks deliver, and waits for their replies or the end of ctx.
func (f *flusher) deliverTo(ctx context.Context, sinks []*outlet, last bool) error {
	polls := f.polls.Value()
	polls.poll(ctx)
	if last {
		polls.close()
	}
	replies := make(chan reply, len(sinks))
	closed := false
	begin := ctx
	if last {
		begin = context.Background() // the flusher must get this call, and takes calls at any time
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
			ended := ctx.Err()
			if last {
				ended = context.Cause(ctx) // it names the option
			}
			for o := range waiting {
				errs = append(errs, o.wrap(fmt.Errorf("it has not acknowledged yet: %w", ended)))
			}
			f.do(context.Background(), func() {
				for o := range waiting {
					o.dismiss(replies)
				}
			})
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

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
	scratch keeper

	due     time.Time // when the interval is over
	ready   bool      // it is over, and a batch is about to be collected
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
	return fmt.Errorf("Write has not returned within %v; the updates of its batch stay pending until it does: %w",
		o.timeout, context.DeadlineExceeded)
}

// explain adds to a Write's error that its context had ended, and by which option. The error itself often is "i/o
// timeout" or "context deadline exceeded", and does not tell.
func (o *outlet) explain(ctx context.Context, err error) error {
	deadline, _ := ctx.Deadline()
	switch {
	case !time.Now().Before(deadline): // a connection with that deadline may fail before ctx.Err is set
		return fmt.Errorf("the %v of SinkTimeout are over: %w", o.timeout, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errTimeToClose, err)
	}
	return err
}

// wrap says which sink an error is about.
func (o *outlet) wrap(err error) error { return fmt.Errorf("metricsbuffer: sink %q: %w", o.name, err) }

func answer(o *outlet, replies *[]chan<- reply, err error) {
	for _, r := range *replies {
		r <- reply{o, err} // never blocks: there is room for one reply of each sink
	}
	*replies = nil
}

// dismiss removes a caller that does not wait any more.
func (o *outlet) dismiss(replies chan<- reply) {
	is := func(r chan<- reply) bool { return r == replies }
	o.waiting = slices.DeleteFunc(o.waiting, is)
	if o.writing != nil {
		o.writing.replies = slices.DeleteFunc(o.writing.replies, is)
	}
}

// account counts each point of a delivery as acknowledged or dropped, or makes it pending again. The next batch begins
// with the first of those that are pending again. Otherwise a sink that has no time for all points would deliver the
// same ones each time, and the others never. If that point was the first of its batch, it may be one that always fails:
// the next batch begins behind it.
func (o *outlet) account(d *delivery, series [storages][]*series) {
	if d.err == nil && len(d.outcome.dropped) == 0 {
		o.stats.Acknowledged.add(d.content.totals)
		return
	}
	if d.err != nil && !d.outcome.ended && d.content.hasEnded() {
		for i := range d.content.ended {
			o.pending.ended[i].addAll(d.content.ended[i])
		}
		o.pending.start = d.content.start
	}
	i, failed := d.points-d.turned, d.points
	for storage, slot := range d.content.all() {
		if i == d.points {
			i = 0
		}
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
			if i < failed {
				failed, o.pending.first = i, position{storage, slot}
			}
		}
		i++
	}
	if failed == 0 {
		o.pending.first.slot++
	}
}

// Drops are counted by reason. After maxReasons reasons, the drops for all further reasons are counted together.
const (
	maxReasons     = 100
	maxReasonBytes = 200 // of a reason that are kept
	otherReasons   = "other reasons"
)

// countDrop counts a dropped point, and reports the first drop for each reason.
func (o *outlet) countDrop(reason string, s *series) {
	if o.stats.Drops == nil {
		o.stats.Drops = make(map[string]int64)
	}
	key := strings.Clone(reason[:min(len(reason), maxReasonBytes)])
	if o.stats.Drops[key] == 0 && len(o.stats.Drops) >= maxReasons {
		key = otherReasons
	}
	if o.stats.Drops[key]++; o.stats.Drops[key] == 1 {
		of, before := "", " with the tags "
		for _, tag := range s.Tags() {
			of += before + fmt.Sprintf("%.200q=%.200q", tag.Key, tag.Value)
			before = ", "
		}
		err := fmt.Errorf("it dropped the %v %.200q%.200s: %.200q; "+
			"further drops for this reason are counted in Stats only", s.Value.kind, s.Name, of, reason)
		o.add(report{drops: []error{err}})
	}
}

// A report holds the errors of a sink that the error handler has not been told of yet.
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
	var untold []error
	defer func() { o.handled(untold) }() // also if the error handler ends the goroutine
	for r := o.unreported.Swap(nil); r != nil; r = o.unreported.Swap(nil) {
		untold = r.drops
		if r.failure != nil {
			o.onError(o.wrap(r.failure))
		}
		for len(untold) > 0 {
			err := untold[0]
			untold = untold[1:]
			o.onError(o.wrap(err))
		}
	}
}

// handled ends handle. A caller that found the mark still set may have added a report since. So it looks once more.
func (o *outlet) handled(untold []error) {
	o.reporting.Store(false)
	switch {
	case len(untold) > 0:
		o.add(report{drops: untold})
	case o.unreported.Load() != nil && o.reporting.CompareAndSwap(false, true):
		go o.handle()
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
				o.closeErr = fmt.Errorf("Close panicked: %s\n%s", textOf(v), debug.Stack())
			}
		}()
		o.closeErr = readable(o.closer.Close())
	}()
}

// attach calls the sink's Attach, and returns its error or its panic.
func (o *outlet) attach(attacher Attacher, flush func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("a panic in Attach: %s\n%s", textOf(v), debug.Stack())
		}
	}()
	return readable(attacher.Attach(flush))
}

// awaitClosed waits until the sink is closed, and returns the error of its Close. If ctx ends before, it returns an
// error that says so.
func (o *outlet) awaitClosed(ctx context.Context) error {
	if o.closer == nil {
		return nil
	}
	select {
	case <-o.closed:
	case <-ctx.Done():
		select {
		case <-o.closed: // if both are ready, the outer select chooses either
		default:
			return o.wrap(fmt.Errorf("it is not closed yet: %w", context.Cause(ctx)))
		}
	}
	if o.closeErr != nil {
		return o.wrap(fmt.Errorf("Close: %w", o.closeErr))
	}
	return nil
}

// A sink's errors and panics are read by goroutines of the buffer and of other sinks. Their methods are the sink's, and
// may panic, end the goroutine, or never return. So they are called once, on the sink's time, and their text is kept.

// readable returns an error with the text of err that unwraps to it, or nil.
func readable(err error) error {
	if err == nil {
		return nil
	}
	return &readError{textOf(err), err}
}

type readError struct {
	text string
	err  error
}

func (e *readError) Error() string { return e.text }

func (e *readError) Unwrap() error { return e.err }

// textOf returns the text of a value, also if its methods panic or end their goroutine.
func textOf(v any) string {
	text := fmt.Sprintf("a %T whose methods panic or end their goroutine", v)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		if err, ok := v.(error); ok {
			text = err.Error()
		} else {
			text = fmt.Sprint(v)
		}
	}()
	<-done
	return text
}
