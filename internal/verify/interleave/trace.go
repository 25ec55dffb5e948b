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

// A name is what a trace calls some memory.
type name struct {
	region
	name string
}

// Private says that one thread at most touches the whole words of s, however often, so that nobody need stop there.
func Private[T any](r *Run, s []T) {
	if len(s) > 0 {
		r.private = append(r.private, regionOf(unsafe.SliceData(s), len(s)))
	}
}

func regionOf[T any](p *T, n int) region {
	address := uintptr(unsafe.Pointer(p))
	return region{address / cellSize, (address + uintptr(n)*unsafe.Sizeof(*p) - 1) / cellSize}
}

// Name gives *p a name, for the trace of an order that goes wrong. What has none is left out there.
func Name[T any](r *Run, p *T, called string) {
	r.names = append(r.names, name{regionOf(p, 1), called})
}

// trace lists the steps that touch something that has a name.
func (r *Run) trace() string {
	var b strings.Builder
	verbs := [...]string{yield.Reads: "reads", yield.Writes: "writes", yield.Adds: "adds to", yield.Waits: "reads again"}
	for _, e := range r.events {
		verb, object := verbs[e.what.kind], ""
		if e.what.lock != nil {
			verb, object = "takes", e.what.lock.name
		}
		for _, n := range r.names {
			if e.what.lock == nil && e.what.first <= n.last && n.first <= e.what.last {
				object = n.name
			}
		}
		if object != "" {
			fmt.Fprintf(&b, "\t%s %s %s\n", e.thread.name, verb, object)
		}
	}
	return b.String()
}

// order writes the order of the run down, as thread numbers and how many steps each goes: "0*12 2*1 0*3".
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
