package report

import (
	"bytes"
	"fmt"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// costs are the rows of the README's table of cost that a reader could take for a figure of this suite.
var costs = []struct {
	readme, workload, contender string
	why                         string
}{
	{"`Counter.Add`", "hot", "metricsbuffer", "The suite also reads an index from an order and the handle from a slice."},
	{"`Timer.Observe`", "timer", "metricsbuffer", "The suite's durations are random, from 1 µs to 1 s."},
	{"`IncrCounter`, 1,000 names in rotation", "named", "metricsbuffer", "The suite chooses names under Zipf's law."},
	{"`IncrCounter`, one name, two tags", "tagged", "metricsbuffer", "The suite has 1,000 combinations of tags, not one."},
	{"`Timer.Start` + `Stop`", "stopwatch", "metricsbuffer", "The same operation."},
	{"`atomic.Int64.Add`, one shared word", "hot", "atomic.Int64", "As for `Counter.Add`."},
	{"xsync v3 `Counter.Inc`", "hot", "xsync v3", "As for `Counter.Add`."},
	{"xsync v3 `MapOf.Load` + atomic add, 1,000 names", "named", "xsync v3", "The suite chooses names under Zipf's law."},
	{"memory of a counter", "memory", "metricsbuffer",
		"The suite's figure includes the handle and is with as many Ps as cores. The README's includes neither name nor " +
			"handle."},
	{"memory of a timer", "memory-timer", "metricsbuffer",
		"The suite's figure is of all Ps together, with the handle and durations of two decades; the README's is of one P."},
}

// costsText says which figures of this run describe the same as a row of the README, and why they differ.
func costsText(text *bytes.Buffer, r *result.Run) {
	fmt.Fprintf(text, `
## These figures and the README's

The README's table of cost comes from BenchmarkCosts in internal/verify/costs, which runs tight loops at
another time. This suite drives every library through the same adapter, so that they can be compared: an operation takes
its index from a list and its handle from a slice, which costs one to two nanoseconds more. Compare figures within one
table only. The rows below are in both tables. The figures here are with as many goroutines as cores:

`)
	tableRow(text, "README", "here", "figure here", "reason for the difference")
	tableRow(text, "--- | --- | --: | ---")
	for _, c := range costs {
		w := workloadOf(r, c.workload)
		if m := r.Find(c.workload, c.contender, r.Reference(c.workload), w.Main); m != nil {
			tableRow(text, c.readme, w.Title+": "+c.contender, figure(m.Median)+" "+unit(w.Main), c.why)
		}
	}
}
