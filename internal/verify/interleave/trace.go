package interleave

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A region is a range of cells.
type region struct{ first, last uintptr }

// A name is the name of a region in traces.
type name struct {
	region
	name string
}

// Private declares that at most one thread touches the whole words of s. Accesses to them are no steps.
func Private[T any](r *Run, s []T) {
	if len(s) > 0 {
		r.private = append(r.private, regionOf(unsafe.SliceData(s), len(s)))
	}
}

func regionOf[T any](p *T, n int) region {
	address := uintptr(unsafe.Pointer(p))
	return region{address / cellSize, (address + uintptr(n)*unsafe.Sizeof(*p) - 1) / cellSize}
}

// Name gives *p a name for traces. A trace leaves out the steps that touch memory without a name.
func Name[T any](r *Run, p *T, called string) {
	r.names = append(r.names, name{regionOf(p, 1), called})
}

// trace lists the steps that touch memory with a name, or take a lock.
func (r *Run) trace() string {
	var b strings.Builder
	verbs := [...]string{yield.Reads: "reads", yield.Writes: "writes", yield.Adds: "adds to", yield.Waits: "reads again"}
	for _, e := range r.events {
		verb, object := verbs[e.operation.kind], ""
		if e.operation.lock != nil {
			verb, object = "takes", e.operation.lock.name
		}
		for _, n := range r.names {
			if e.operation.lock == nil && e.operation.first <= n.last && n.first <= e.operation.last {
				object = n.name
			}
		}
		if object != "" {
			fmt.Fprintf(&b, "\t%s %s %s\n", e.thread.name, verb, object)
		}
	}
	return b.String()
}

// order returns the order of the run as thread numbers, each with a number of consecutive steps: "0*12 2*1 0*3".
func (r *Run) order() string {
	var parts []string
	for i := 0; i < len(r.events); {
		id, n := r.events[i].thread.id, 0
		for ; i < len(r.events) && r.events[i].thread.id == id; i++ {
			n++
		}
		parts = append(parts, fmt.Sprintf("%d*%d", id, n))
	}
	return strings.Join(parts, " ")
}

func parseOrder(order string) (ids []int, err error) {
	for part := range strings.FieldsSeq(order) {
		before, after, ok := strings.Cut(part, "*")
		id, err1 := strconv.Atoi(before)
		n, err2 := strconv.Atoi(after)
		if !ok || err1 != nil || err2 != nil || id < 0 || id >= maxThreads {
			return nil, fmt.Errorf("interleave: %q in the order to be replayed is not like 0*12, a thread and its steps", part)
		}
		for range n {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
