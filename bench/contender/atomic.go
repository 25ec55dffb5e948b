package contender

import "sync/atomic"

// atomicWords is the simplest correct way: an atomic.Int64 for each counter. It has neither names to look up nor
// timers.
func atomicWords() Contender {
	return Contender{
		Name: "atomic.Int64", How: "one atomic.Int64 per counter, reported with Swap(0) and added back if that fails",
		Without: Reasons{
			"named": "it has no names", "tagged": "it has no names", "vector": "it has no labels",
		}.countersOnly("it is a counter"),
		Open: func(output Output) (Instance, error) { return &atomicInstance{words{output: output}}, nil },
	}
}

type atomicInstance struct{ words }

func (a *atomicInstance) Counters(names []string) Loop {
	counters := make([]atomic.Int64, len(names))
	a.all = func(yield func(string, *atomic.Int64)) {
		for i, name := range names {
			yield(name, &counters[i])
		}
	}
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Add(1) }) }
}
