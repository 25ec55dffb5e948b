//go:build metricsbuffer_yield

package yield

import "unsafe"

// On says that the marks do something.
const On = true

// Current is the scheduler, or nil: then marks do nothing. It changes only while nobody passes a mark.
var Current Scheduler

// Active says that a scheduler is at work.
func Active() bool { return Current != nil }

// Pin asks the scheduler for a P.
func Pin() int { return Current.Pin() }

// Unpin gives the P back.
func Unpin() { Current.Unpin() }

// Read marks a read of *p.
func Read[T any](p *T) { pass(Reads, p, 1) }

// ReadAll marks a read of all elements, as if it were one.
func ReadAll[T any](s []T) { pass(Reads, unsafe.SliceData(s), len(s)) }

// Write marks a write of *p, or a read and write in one step.
func Write[T any](p *T) { pass(Writes, p, 1) }

// WriteAll marks a write of all elements, as if it were one.
func WriteAll[T any](s []T) { pass(Writes, unsafe.SliceData(s), len(s)) }

// Add marks an atomic addition to *p whose result is not looked at.
func Add[T any](p *T) { pass(Adds, p, 1) }

// Wait marks a read of *p that makes sense only when *p has changed since the goroutine read it last.
func Wait[T any](p *T) { pass(Waits, p, 1) }

func pass[T any](kind Kind, p *T, n int) {
	if Current != nil {
		Current.Access(kind, uintptr(unsafe.Pointer(p)), uintptr(n)*unsafe.Sizeof(*p))
	}
}
