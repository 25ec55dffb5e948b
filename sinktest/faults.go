package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// ErrInjected is the error that [Failing] sinks return, and the value that [Panicking] sinks panic with.
var ErrInjected = errors.New("sinktest: failure injected by the test")

// Failing returns a sink whose Write returns [ErrInjected], without calling next, if the function returns true for the
// number of the Write, counted from 1. Use it for a backend that is down or refuses single batches. A refused batch
// must arrive later, once. For another error, or an error after next was called, write a [metricsbuffer.SinkFunc].
func Failing(next metricsbuffer.Sink, when func(write int64) bool) metricsbuffer.Sink {
	var writes atomic.Int64
	return &faulty{"failing", next, func(context.Context) error {
		if when(writes.Add(1)) {
			return ErrInjected
		}
		return nil
	}}
}

// Panicking is like [Failing], but Write panics with [ErrInjected]. Use it for a sink with a bug, which must not harm
// the program or other sinks.
func Panicking(next metricsbuffer.Sink, when func(write int64) bool) metricsbuffer.Sink {
	var writes atomic.Int64
	return &faulty{"panicking", next, func(context.Context) error {
		if when(writes.Add(1)) {
			panic(ErrInjected)
		}
		return nil
	}}
}

// Every returns a function for [Failing] and [Panicking] that chooses every n-th Write, beginning with Write n.
// Every(1) chooses all. It panics if n is less than 1.
func Every(n int64) func(write int64) bool {
	if n < 1 {
		panic(fmt.Sprintf("sinktest: Every(%d): n must be at least 1", n))
	}
	return func(write int64) bool { return write%n == 0 }
}

// Slow returns a sink that waits for d before each Write to next. If the context ends first, it returns the cause of
// that and does not call next. Use it for a backend that is slower than the sink's timeout, or nearly so.
func Slow(next metricsbuffer.Sink, d time.Duration) metricsbuffer.Sink {
	return &faulty{"slow", next, func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
}

// Hanging returns a sink whose Write does not return before release is called, even if its context ends. After that,
// the Write that hung calls next, and later Writes do so at once. Use it for a backend that hangs for ever. Call
// release at the end of the test, so that no goroutine is left behind. Calling it again does nothing.
func Hanging(next metricsbuffer.Sink) (sink metricsbuffer.Sink, release func()) {
	released := make(chan struct{})
	sink = &faulty{"hanging", next, func(context.Context) error {
		<-released
		return nil
	}}
	return sink, sync.OnceFunc(func() { close(released) })
}

// A faulty sink runs before, and calls the next sink only if that returns nil.
type faulty struct {
	how    string
	next   metricsbuffer.Sink
	before func(ctx context.Context) error
}

func (f *faulty) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	if err := f.before(ctx); err != nil {
		return err
	}
	return f.next.Write(ctx, batch)
}

// Unwrap lets the buffer find the optional methods of the next sink.
func (f *faulty) Unwrap() metricsbuffer.Sink { return f.next }

// String names the sink in errors, as in "slow(failing(recorder))".
func (f *faulty) String() string {
	if next, ok := f.next.(fmt.Stringer); ok {
		return f.how + "(" + next.String() + ")"
	}
	return fmt.Sprintf("%s(%T)", f.how, f.next)
}
