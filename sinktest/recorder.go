// Package sinktest is for tests of sinks, and of code that has to cope with failing sinks. Tests of code that records
// metrics are shorter with package metricstest.
//
// [Run] tests a sink of your own. [Recorder] is a sink that keeps everything. [Failing], [Panicking], [Slow] and
// [Hanging] wrap another sink and fail before a batch reaches it. They can be nested:
//
//	recorder := new(sinktest.Recorder)
//	sink := sinktest.Slow(sinktest.Failing(recorder, sinktest.Every(3)), 50*time.Millisecond)
//
// All of them run in a [testing/synctest] bubble too, where being slow takes no time.
package sinktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Recorder is a sink that keeps a copy of every batch, and the total of every series. Its zero value is ready to
// use. Any number of goroutines may read it while it is written to.
//
// A Recorder also checks the buffer. It refuses a batch that is not well formed (a series is in it twice, a timer's
// minimum is above its maximum, it ends before its start, …), and a batch that arrives during another Write. Such a
// batch is not recorded. Write returns an error, and [Recorder.Err] keeps it.
type Recorder struct {
	writing atomic.Bool // owned by the Write that sets it

	mu      sync.Mutex // guards the fields below
	batches []metricsbuffer.Batch
	totals  map[string]metricsbuffer.Point // by seriesKey
	err     error                          // the first one returned by Write
}

// Write records the batch.
func (r *Recorder) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	if !r.writing.CompareAndSwap(false, true) {
		return r.refuse(errors.New("sinktest: Write was called while another Write of the same sink was running"))
	}
	defer r.writing.Store(false)
	runtime.Gosched() // a concurrent Write, if there is one, comes now and is noticed

	if err := check(batch); err != nil {
		return r.refuse(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, metricsbuffer.Batch{
		Start: batch.Start, End: batch.End, Points: clonePoints(batch.Points),
		Ended: clonePoints(batch.Ended),
	})
	if r.totals == nil {
		r.totals = make(map[string]metricsbuffer.Point)
	}
	for _, p := range r.batches[len(r.batches)-1].Points {
		key := seriesKey(&p)
		p.ID = 0 // a series that came back has another one
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

// Batches returns a copy of the recorded batches, in order. The caller may change it.
func (r *Recorder) Batches() []metricsbuffer.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	batches := slices.Clone(r.batches)
	for i := range batches {
		batches[i].Points, batches[i].Ended = clonePoints(batches[i].Points), clonePoints(batches[i].Ended)
	}
	return batches
}

// Find returns the total of all batches for one series, whose tags may be given in any order: Count and Sum are added
// up, Min and Max span all batches, Value, Help and Unit are the latest. A series that was never delivered is an error,
// which lists the nearest ones. A series that was delivered with a total of zero is not. A histogram is found in any
// unit, unless there are several: see [Recorder.FindHistogram]. So is a counter with any number of decimals.
func (r *Recorder) Find(
	kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag,
) (metricsbuffer.Point, error) {
	wanted := metricsbuffer.Point{Kind: kind, Name: name, Tags: cloneTags(tags)}
	slices.SortFunc(wanted.Tags, compareTags)
	var units, decimals []string
	for _, total := range r.Totals() {
		if sameSeries(&wanted, &total) {
			units, decimals = append(units, strconv.Quote(total.Unit)), append(decimals, strconv.Itoa(total.Decimals))
			wanted.Unit, wanted.Decimals = total.Unit, total.Decimals
		}
	}
	switch {
	case len(units) > 1 && kind == metricsbuffer.KindHistogram:
		return wanted, fmt.Errorf("sinktest: the histogram %q exists in several units, %s: name one with FindHistogram",
			name, strings.Join(units, ", "))
	case len(decimals) > 1:
		return wanted, fmt.Errorf("sinktest: the counter %q exists with several numbers of decimals, %s: record it with one",
			name, strings.Join(decimals, ", "))
	}
	return r.find(&wanted)
}

// FindHistogram is [Recorder.Find] for a histogram in the given unit.
func (r *Recorder) FindHistogram(name, unit string, tags ...metricsbuffer.Tag) (metricsbuffer.Point, error) {
	wanted := metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: name, Unit: unit, Tags: cloneTags(tags)}
	slices.SortFunc(wanted.Tags, compareTags)
	return r.find(&wanted)
}

func (r *Recorder) find(wanted *metricsbuffer.Point) (metricsbuffer.Point, error) {
	r.mu.Lock()
	total, ok := r.totals[seriesKey(wanted)]
	r.mu.Unlock()
	if !ok {
		return *wanted, unknown(wanted, r.Totals())
	}
	return clonePoints([]metricsbuffer.Point{total})[0], nil
}

// Total is [Recorder.Find] without an error: it panics with it. So a misspelt name does not pass for a series whose
// total is zero.
func (r *Recorder) Total(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) metricsbuffer.Point {
	total, err := r.Find(kind, name, tags...)
	if err != nil {
		panic(err)
	}
	return total
}

// Totals returns the total of every series, sorted by name, tags, kind, unit and decimals. A series without tags
// has nil Tags. The ID of a total is 0. The caller may change the result.
func (r *Recorder) Totals() []metricsbuffer.Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	totals := make([]metricsbuffer.Point, 0, len(r.totals))
	for _, total := range r.totals {
		totals = append(totals, total)
	}
	slices.SortFunc(totals, func(a, b metricsbuffer.Point) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), slices.CompareFunc(a.Tags, b.Tags, compareTags),
			cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Unit, b.Unit), cmp.Compare(a.Decimals, b.Decimals))
	})
	return clonePoints(totals)
}

// Err returns the error of the first batch that was refused, or nil if none was.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// String returns "recorder".
func (r *Recorder) String() string { return "recorder" }
