package metricsbuffer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// Polled functions are called before a batch is collected: by whoever calls Flush or Close, by a sink that asks, and at
// an interval by a goroutine that the flusher starts.
//
// Guarantees: each call runs on a goroutine of its own, so a function that hangs or panics harms only itself. A
// function is never called twice at a time. Values that are recorded by a call are in the batch that waited for it.
//
// Progress: a batch waits at most patience for a call, or twice as long if another batch has begun one before, and not
// more than half of the time that its caller has. Nobody waits for a call that is late already.

// patience is how long a batch waits for a polled function.
const patience = 100 * time.Millisecond

// A Poll is a function that a buffer calls before each batch. [Buffer.Poll], [Buffer.GaugeFunc] and
// [Buffer.CounterFunc] make one. A nil *Poll does nothing.
type Poll struct {
	f       func()
	name    string // of the user's function
	polls   *polls
	current atomic.Pointer[polling] // nil: none is under way; noPolling: none will ever be
}

// A polling is one call of a polled function.
type polling struct {
	over chan struct{} // closed when nobody needs to wait any longer: the function has returned, or is late
}

var noPolling = func() *polling {
	p := &polling{over: make(chan struct{})}
	close(p.over)
	return p
}()

// Poll has f called before each batch: at the interval of a sink, by [Buffer.Flush] and [Buffer.Close], and when a sink
// asks for its values. f may record in any way; its values are in that batch. f is called until [Poll.Stop] or
// [Buffer.Close]; a buffer without sinks never calls it. Poll panics if f is nil, and so do [Buffer.GaugeFunc] and
// [Buffer.CounterFunc].
//
// f is called on a goroutine of its own, concurrently with other functions. A batch waits for a call for 100 ms, and at
// most for half of the time that its caller has. If f takes longer, its values are in a later batch. If a batch finds a
// call under way, it waits for that one, and then for one more. If f takes longer than 100 ms, panics or ends its
// goroutine, the error handler ([WithErrorHandler]) is told, and [Stats] counts it. f is not called again before
// both f and the error handler have returned. Poll and [Poll.Stop] take a time in proportion to the number of polled
// functions: some microseconds if there are a thousand.
//
// f may refer to the buffer. That does not keep the buffer reachable, unless f refers to a [Local], or the program
// keeps the Poll. If the buffer is dropped without Close, f is no longer called.
func (b *Buffer) Poll(f func()) *Poll {
	if f == nil {
		panic("metricsbuffer: Poll: the function is nil")
	}
	return b.poll(f, f)
}

// GaugeFunc sets the gauge with that name and these tags to f's value before each batch. See [Buffer.Poll] for when and
// where f is called.
func (b *Buffer) GaugeFunc(name string, f func() float64, tags ...Tag) *Poll {
	if f == nil {
		panic("metricsbuffer: GaugeFunc: the function is nil")
	}
	gauge := b.Gauge(name, tags...)
	return b.poll(func() { gauge.Set(f()) }, f)
}

// CounterFunc adds to the counter with that name and these tags, before each batch, by how much f's value has grown. f
// returns a total that only grows, such as the bytes that a connection pool has sent. Its first value counts in full.
// If the value is smaller than the one before, the total has begun anew at zero. A negative value counts as zero. See
// [Buffer.Poll] for when and where f is called.
func (b *Buffer) CounterFunc(name string, f func() int64, tags ...Tag) *Poll {
	if f == nil {
		panic("metricsbuffer: CounterFunc: the function is nil")
	}
	counter := b.Counter(name, tags...)
	last := int64(0)
	return b.poll(func() {
		total := max(f(), 0)
		if total < last {
			last = 0
		}
		counter.Add(total - last)
		last = total
	}, f)
}

func (b *Buffer) poll(f func(), given any) *Poll {
	root := b.root()
	if root == nil {
		return nil
	}
	p := &Poll{f: f, name: runtime.FuncForPC(reflect.ValueOf(given).Pointer()).Name(), polls: root.polls}
	if !root.polls.add(p) {
		p.current.Store(noPolling)
	}
	return p
}

// Stop ends the polling: the function is not called any more. So a value that is newer than the latest batch is not
// recorded; call [Buffer.Flush] before to have it. [Buffer.Close] polls once more and then stops all functions. A call
// that is under way goes on, and Stop does not wait for it. The function may stop itself; but it may run before
// [Buffer.Poll] has returned the Poll to it.
func (p *Poll) Stop() {
	if p != nil && p.polls != nil {
		p.current.Store(noPolling)
		p.polls.remove(p)
	}
}

// begin begins a call, unless one is under way or there will be none. It returns the call, and whether it began it.
func (p *Poll) begin() (c *polling, begun bool) {
	for {
		if c = p.current.Load(); c != nil {
			return c, false
		}
		c = &polling{over: make(chan struct{})}
		if p.current.CompareAndSwap(nil, c) {
			go p.run(c)
			return c, true
		}
	}
}

// run calls the function. It waits for the error handler. So a function that fails again and again has one goroutine.
func (p *Poll) run(c *polling) {
	reported := make(chan struct{})
	late := time.AfterFunc(patience, func() {
		defer close(reported)
		p.fail(c, fmt.Errorf("metricsbuffer: the polled function %s has not returned within %v: "+
			"its values go to a later batch, and it is not called before it has returned", p.name, patience))
	})
	failure := errors.New("it ended its goroutine (runtime.Goexit)")
	defer func() {
		if v := recover(); v != nil {
			failure = fmt.Errorf("it panicked: %s\n%s", textOf(v), debug.Stack())
		}
		inTime := late.Stop()
		if !inTime {
			<-reported
		}
		defer p.current.CompareAndSwap(c, nil) // deferred because the error handler may end the goroutine
		switch {
		case failure != nil:
			p.fail(c, fmt.Errorf("metricsbuffer: the polled function %s: %w", p.name, failure))
		case inTime:
			p.current.CompareAndSwap(c, nil) // before over is closed: those who wait for it may begin the next call
			close(c.over)
		}
	}()
	p.f()
	failure = nil
}

// fail ends the waiting for a call, and reports it.
func (p *Poll) fail(c *polling, err error) {
	p.polls.failures.Add(1)
	select {
	case <-c.over: // it was late
	default:
		close(c.over)
	}
	if p.polls.onError != nil {
		p.polls.onError(err)
	}
}

// polls are the polled functions of a buffer. The buffer refers to them, and the flusher does so only weakly: functions
// that refer to the buffer do not keep it reachable.
type polls struct {
	all      atomic.Pointer[[]*Poll] // replaced as a whole; noPolls when there will be none
	onError  func(error)             // may be nil
	failures atomic.Int64
}

var noPolls []*Poll

// add adds a function. It returns false if the buffer is closed.
func (ps *polls) add(p *Poll) bool {
	for {
		old := ps.all.Load()
		if old == &noPolls {
			return false
		}
		all := []*Poll{p}
		if old != nil {
			all = append(slices.Clone(*old), p)
		}
		if ps.all.CompareAndSwap(old, &all) {
			return true
		}
	}
}

func (ps *polls) remove(p *Poll) {
	for {
		old := ps.all.Load()
		if old == nil || !slices.Contains(*old, p) {
			return
		}
		all := slices.DeleteFunc(slices.Clone(*old), func(other *Poll) bool { return other == p })
		if ps.all.CompareAndSwap(old, &all) {
			return
		}
	}
}

// close ends the polling of all functions.
func (ps *polls) close() {
	if ps == nil {
		return
	}
	if all := ps.all.Swap(&noPolls); all != nil {
		for _, p := range *all {
			p.current.Store(noPolling)
		}
	}
}

func (ps *polls) isEmpty() bool {
	if ps == nil {
		return true
	}
	all := ps.all.Load()
	return all == nil || len(*all) == 0
}

// poll calls all functions, and returns when each has returned or is late, or ctx has ended. A call that was under way
// before may have read its values already. So the function is called once more.
func (ps *polls) poll(ctx context.Context) {
	if ps.isEmpty() || ctx.Err() != nil {
		return
	}
	if end, limited := ctx.Deadline(); limited { // the sinks need time, too
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	callAll(ctx, callAll(ctx, *ps.all.Load()))
}

// callAll calls the functions, and returns those of which a call was under way already.
func callAll(ctx context.Context, all []*Poll) (joined []*Poll) {
	calls := make([]*polling, len(all))
	for i, p := range all {
		var begun bool
		if calls[i], begun = p.begin(); !begun {
			joined = append(joined, p)
		}
	}
	for _, c := range calls {
		select {
		case <-c.over:
		case <-ctx.Done():
			return nil
		}
	}
	return joined
}
