//go:build !metricsbuffer_yield

package yield

// On says that the marks do something.
const On = false

// Active says that a scheduler is at work.
func Active() bool { return false }

// Pin asks the scheduler for a P.
func Pin() int { return 0 }

// Unpin gives the P back.
func Unpin() {}

// Read marks a read of *p.
func Read[T any](*T) {}

// ReadAll marks a read of all elements, as if it were one.
func ReadAll[T any]([]T) {}

// Write marks a write of *p, or a read and write in one step.
func Write[T any](*T) {}

// WriteAll marks a write of all elements, as if it were one.
func WriteAll[T any]([]T) {}

// Add marks an atomic addition to *p whose result is not looked at.
func Add[T any](*T) {}

// Wait marks a read of *p that makes sense only when *p has changed since the goroutine read it last.
func Wait[T any](*T) {}
