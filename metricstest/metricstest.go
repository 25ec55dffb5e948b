// Package metricstest is for tests of code that records metrics.
//
//	func TestTill(t *testing.T) {
//		buffer := metricstest.New(t)
//		till := NewTill(buffer)
//		till.Sell("apple", 2)
//
//		metricstest.Equal(t, buffer, `counter sold{fruit=apple} 2`)
//	}
//
// [Equal] and [Contains] compare lines and show a diff. [Count], [Amount], [Gauge], [Timer] and [Histogram] return one
// series, to be compared by the test. All of them see every update that was recorded before they were called, and wait
// for nothing else. A series that was never recorded, such as one with a misspelt name, fails the test with the names
// of the nearest ones; [None] expects that.
//
// They take scopes, too ([metricsbuffer.Buffer.With]). A series is then looked up by the name and tags that the code
// under test has given to the scope. Lines always are those of the whole buffer, with all tags.
//
// In a [testing/synctest] bubble, call [New] inside it. For tests of sinks, see package sinktest.
package metricstest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// recordings has the recording of every buffer that New has made for a test that is not over.
var recordings sync.Map

// A recording is the sink of a buffer. It is asked for its values, so it gets a batch only when the test reads them.
type recording struct {
	sinktest.Recorder
	flush func(context.Context) error
	made  time.Time // by the clock of the test or of its bubble
}

func (r *recording) Attach(flush func(context.Context) error) error {
	r.flush = flush
	return nil
}

func (r *recording) String() string { return "metricstest" }

// New returns a buffer whose values can be read by the other functions. It is closed after the test and its cleanups;
// closing it earlier is allowed, and its values can still be read. Options, such as [metricsbuffer.WithMaxSeries] or
// further sinks, may be given.
func New(t testing.TB, opts ...metricsbuffer.Option) *metricsbuffer.Buffer {
	t.Helper()
	r := &recording{made: time.Now()}
	buffer, err := metricsbuffer.New(append([]metricsbuffer.Option{metricsbuffer.WithSink(r)}, opts...)...)
	if err != nil {
		t.Fatalf("metricstest: New: %v", err)
		return nil
	}
	recordings.Store(buffer, r)
	t.Cleanup(func() {
		recordings.Delete(buffer)
		if err := buffer.Close(); err != nil {
			t.Errorf("metricstest: closing the buffer: %v", err)
		}
	})
	return buffer
}

// read returns everything that was recorded, or nil after it has failed the test.
func read(t testing.TB, buffer *metricsbuffer.Buffer) *sinktest.Recorder {
	t.Helper()
	root, _, _ := buffer.Resolve("")
	value, ok := recordings.Load(root)
	switch {
	case buffer == nil:
		t.Fatalf("metricstest: the buffer is nil: make one with metricstest.New")
		return nil
	case !ok:
		t.Fatalf("metricstest: the buffer is not one of metricstest.New, or its test is over: make one by metricstest.New(t)")
		return nil
	}
	r := value.(*recording)                //nolint:forcetypeassert // nothing else is stored
	if time.Now().Year() < r.made.Year() { // the clock of a bubble begins in the year 2000
		t.Fatalf("metricstest: the buffer was made outside of this bubble of testing/synctest: " +
			"call metricstest.New inside it")
		return nil
	}
	if err := r.flush(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, metricsbuffer.ErrClosed) {
		t.Fatalf("metricstest: reading the buffer: %v", err)
		return nil
	}
	return &r.Recorder
}

// find returns the series that search finds, or fails the test.
func find(
	t testing.TB, buffer *metricsbuffer.Buffer, search func(*sinktest.Recorder) (metricsbuffer.Point, error),
) (p metricsbuffer.Point) {
	t.Helper()
	recorder := read(t, buffer)
	if recorder == nil {
		return p
	}
	p, err := search(recorder)
	switch {
	case err != nil && len(recorder.Totals()) == 0:
		t.Fatalf("metricstest: nothing was recorded in the buffer")
	case err != nil:
		t.Fatalf("metricstest: %s", strings.TrimPrefix(err.Error(), "sinktest: "))
	}
	return p
}

// named searches by kind, and by the name and tags that were given to the buffer.
func named(
	buffer *metricsbuffer.Buffer, kind metricsbuffer.Kind, name string, tags []metricsbuffer.Tag,
) func(*sinktest.Recorder) (metricsbuffer.Point, error) {
	_, name, tags = buffer.Resolve(name, tags...)
	return func(r *sinktest.Recorder) (metricsbuffer.Point, error) { return r.Find(kind, name, tags...) }
}

// Count returns the sum of a counter's deltas; that of a [metricsbuffer.FractionCounter] is in its steps. It fails the
// test if there is no such counter.
func Count(t testing.TB, buffer *metricsbuffer.Buffer, name string, tags ...metricsbuffer.Tag) int64 {
	t.Helper()
	return find(t, buffer, named(buffer, metricsbuffer.KindCounter, name, tags)).Count
}

// Amount returns the sum of a [metricsbuffer.FractionCounter], as the nearest float64. It fails the test if there is no
// such counter.
func Amount(t testing.TB, buffer *metricsbuffer.Buffer, name string, tags ...metricsbuffer.Tag) float64 {
	t.Helper()
	p := find(t, buffer, named(buffer, metricsbuffer.KindCounter, name, tags))
	return p.Amount()
}

// Gauge returns the value that a gauge was set to last. It fails the test if there is no such gauge, or if it was never
// set.
func Gauge(t testing.TB, buffer *metricsbuffer.Buffer, name string, tags ...metricsbuffer.Tag) float64 {
	t.Helper()
	return find(t, buffer, named(buffer, metricsbuffer.KindGauge, name, tags)).Value
}

// Timer returns all observations of a timer: Count of them, with Sum, Min and Max in nanoseconds, and
// [metricsbuffer.Point.Quantile]. It fails the test if there is no such timer.
func Timer(t testing.TB, buffer *metricsbuffer.Buffer, name string, tags ...metricsbuffer.Tag) metricsbuffer.Point {
	t.Helper()
	return find(t, buffer, named(buffer, metricsbuffer.KindTimer, name, tags))
}

// Histogram returns all observations of a histogram in the given unit, like [Timer].
func Histogram(
	t testing.TB, buffer *metricsbuffer.Buffer, name, unit string, tags ...metricsbuffer.Tag,
) metricsbuffer.Point {
	t.Helper()
	_, name, tags = buffer.Resolve(name, tags...)
	return find(t, buffer, func(r *sinktest.Recorder) (metricsbuffer.Point, error) {
		return r.FindHistogram(name, unit, tags...)
	})
}
