package contender

import "github.com/cockroachdb/crlib/crsync"

// crsyncCounters is measured as any Go program gets it. CockroachDB itself builds with a patched Go runtime, which
// tells the number of the P (build tag cockroach_go). Without that patch a sync.Pool remembers a shard for each P.
func crsyncCounters() Contender {
	const noNames = "its counters have numbers, not names"
	return Contender{
		Name: "crsync", Module: "github.com/cockroachdb/crlib",
		How:     "crsync.Counters, built without CockroachDB's patched runtime; reported as their growth",
		Without: Reasons{"named": noNames, "tagged": noNames, "vector": noNames}.countersOnly("it is a counter"),
		Open:    func(output Output) (Instance, error) { return &crsyncInstance{totals: totals{output: output}}, nil },
	}
}

type crsyncInstance struct{ totals }

func (c *crsyncInstance) Counters(names []string) Loop {
	counters := crsync.MakeCounters(len(names))
	c.of(names, counters.Get)
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters.Add(int(i), 1) }) }
}
