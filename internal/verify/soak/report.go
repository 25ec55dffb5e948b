package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// A breach is a way in which a promise can be broken.
type breach uint8

const (
	lost    breach = iota // updates that are nowhere
	doubled               // updates that are somewhere twice
	torn                  // updates that belong together and are apart
	wrong                 // anything else

	breaches = iota
)

// A report counts what happened, and prints what should not have. It may be used concurrently.
type report struct {
	seed uint64
	log  io.Writer // problems, and progress

	updates, batches, flips    atomic.Int64
	promotions, demotions      atomic.Int64
	faults                     [len(faults)]atomic.Int64
	buffers                    [len(fates)]atomic.Int64
	writers, sinks             atomic.Int64
	expired, overflowed        atomic.Int64
	accounts, flushes, failed  atomic.Int64
	procs, collections, famine atomic.Int64
	refusals, closed           atomic.Int64

	breaches [breaches]atomic.Int64
	mu       sync.Mutex // guards printed, and log
	printed  int
}

// mostPrinted is how many problems are printed: the first tell most.
const mostPrinted = 50

// wrote counts a Write by how it went.
func (r *report) wrote(fault int) {
	r.faults[fault].Add(1)
	if faults[fault].ends == acknowledges {
		r.batches.Add(1)
	}
}

// problem reports something that must not be.
func (r *report) problem(kind breach, format string, args ...any) { r.count(kind, 1, format, args...) }

// count is problem for n of them.
func (r *report) count(kind breach, n int64, format string, args ...any) {
	r.breaches[kind].Add(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.printed++; r.printed <= mostPrinted {
		_, _ = fmt.Fprintf(r.log, "PROBLEM (seed %d): %s\n", r.seed, fmt.Sprintf(format, args...))
	}
}

func (r *report) ok() bool {
	for i := range r.breaches {
		if r.breaches[i].Load() != 0 {
			return false
		}
	}
	return true
}

// progress prints a line.
func (r *report) progress(share string) {
	faulty := int64(0)
	for i := 1; i < len(r.faults); i++ {
		faulty += r.faults[i].Load()
	}
	buffers := int64(0)
	for i := range r.buffers {
		buffers += r.buffers[i].Load()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.log, "%s: %d buffers done with %d updates, %d batches acknowledged, %d faults, %s\n", share,
		buffers, r.updates.Load(), r.batches.Load(), faulty, r.verdict())
}

func (r *report) verdict() string {
	return fmt.Sprintf("lost = %d, doubled = %d, torn = %d, otherwise wrong = %d",
		r.breaches[lost].Load(), r.breaches[doubled].Load(), r.breaches[torn].Load(), r.breaches[wrong].Load())
}
