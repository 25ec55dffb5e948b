// Package sinktest has sinks for tests: one that records what it was given, and ones that go wrong in each way a
// backend can.
//
// [Recorder] is for testing one's own code: give it to a buffer, run the code, flush, and compare totals. The others
// wrap a sink, a Recorder or a real one, and go wrong before it is reached: what they refuse, it never sees. They can
// be nested:
//
//	recorder := new(sinktest.Recorder)
//	sink := sinktest.Slow(sinktest.Failing(recorder, sinktest.Every(3)), 50*time.Millisecond)
//
// All of them run in a [testing/synctest] bubble too, where being slow takes no time.
//
// [Run] is for testing one's own sink.
package sinktest

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Recorder is a sink that keeps a copy of every batch, and the total of every series. Its zero value is ready to
// use. It may be read while it is written to, by any number of goroutines.
//
// A Recorder also checks the buffer: a batch that is not well formed (a series twice, a timer whose minimum is above
// its maximum, an end before the start, …) or that arrives while another is being written is refused with an error,
// not recorded, and reported by [Recorder.Err].
type Recorder struct {
	writing atomic.Bool // owned by the Write that sets it

	mu      sync.Mutex // guards what follows
	batches []metricsbuffer.Batch
	totals  map[string]metricsbuffer.Point // by seriesKey
	err     error                          // the first that was returned
}

// Write records the batch.
func (r *Recorder) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	if !r.writing.CompareAndSwap(false, true) {
		return r.refuse(errors.New("sinktest: Write was called while another Write of the same sink was running"))
	}
	defer r.writing.Store(false)
	runtime.Gosched() // lets a Write that should not be there arrive while this one can notice it

	if err := check(batch); err != nil {
		return r.refuse(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, metricsbuffer.Batch{
		Start: batch.Start, End: batch.End, Points: clonePoints(batch.Points),
	})
	if r.totals == nil {
		r.totals = make(map[string]metricsbuffer.Point)
	}
	for _, p := range r.batches[len(r.batches)-1].Points {
		key := seriesKey(&p)
		if total, ok := r.totals[key]; ok {
			p = merge(total, p)
		}
		r.totals[key] = p
	}
	return nil
}

// refuse returns err, and remembers it if it is the first.
func (r *Recorder) refuse(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	return err
}

// Batches returns a copy of what was recorded so far, in order. The caller may change it.
func (r *Recorder) Batches() []metricsbuffer.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	batches := slices.Clone(r.batches)
	for i := range batches {
		batches[i].Points = clonePoints(batches[i].Points)
	}
	return batches
}

// Total returns the sum of all batches for one series, whose tags may be given in any order: Count and Sum are added
// up, Min and Max span all batches, Value is the latest. If there was none, the point has a name, tags and a kind only.
func (r *Recorder) Total(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) metricsbuffer.Point {
	tags = cloneTags(tags)
	slices.SortFunc(tags, compareTags)

	r.mu.Lock()
	defer r.mu.Unlock()
	if total, ok := r.totals[seriesKey(&metricsbuffer.Point{Kind: kind, Name: name, Tags: tags})]; ok {
		total.Tags = tags
		return total
	}
	return metricsbuffer.Point{Kind: kind, Name: name, Tags: tags}
}

// Totals returns the [Recorder.Total] of every series, sorted by name, tags and kind, so that it can be compared with
// what a test expects. A series without tags has nil Tags. The caller may change it.
func (r *Recorder) Totals() []metricsbuffer.Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	totals := make([]metricsbuffer.Point, 0, len(r.totals))
	for _, total := range r.totals {
		totals = append(totals, total)
	}
	slices.SortFunc(totals, func(a, b metricsbuffer.Point) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), slices.CompareFunc(a.Tags, b.Tags, compareTags),
			cmp.Compare(a.Kind, b.Kind))
	})
	return clonePoints(totals)
}

// Err returns why the first batch that was refused was, or nil if none was.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// String returns "recorder".
func (r *Recorder) String() string { return "recorder" }
