package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// growth writes how cost grows with the number of processors: the measurements, and reasoning beyond them.
func growth(text *bytes.Buffer, r *result.Run) {
	text.WriteString("\n## How cost grows\n\n")
	growthTable(text, r)
	text.WriteString(growthText)
	if bytes, ok := perProcessor(r, "memory"); ok {
		fmt.Fprintf(text, "\nHere a counter took %.0f bytes more for each further P that used it", bytes)
		if bytes, ok := perProcessor(r, "memory-timer"); ok {
			fmt.Fprintf(text, ", and a timer %.0f", bytes)
		}
		text.WriteString(".\n")
	}
}

// growthTable writes the measurements with every number of goroutines.
func growthTable(text *bytes.Buffer, r *result.Run) {
	workloads := []string{"hot", "handles", "named", "timer", "flush", "memory", "memory-timer"}
	contenders := []string{"metricsbuffer", "atomic.Int64", "prometheus"}
	var cpus []int
	for _, name := range workloads {
		if of := r.CPUs(name); len(of) > len(cpus) {
			cpus = of
		}
	}
	if len(cpus) < 2 {
		text.WriteString("(This run has one number of goroutines only.)\n\n")
		return
	}
	head := []string{""}
	for _, cpu := range cpus {
		head = append(head, goroutines(cpu))
	}
	tableRow(text, head...)
	tableRow(text, "---"+strings.Repeat(" | --:", len(cpus)))
	for _, w := range r.Workloads {
		for _, contender := range contenders {
			row, found := []string{w.Title + ": " + contender}, false
			for _, cpu := range cpus {
				cell := ""
				if m := r.Find(w.Name, contender, cpu, w.Main); m != nil {
					cell, found = figure(m.Median)+" "+unit(w.Main), true
				}
				row = append(row, cell)
			}
			if found && slices.Contains(workloads, w.Name) {
				tableRow(text, row...)
			}
		}
	}
	text.WriteByte('\n')
}

// perProcessor returns by how many bytes a series of this library grows with each P that uses all series often, up to
// the number of cores: with more goroutines than cores it is not certain that each used a P of its own.
func perProcessor(r *result.Run, workload string) (float64, bool) {
	cpu := r.Reference(workload)
	one := r.Find(workload, "metricsbuffer", 1, "B/series")
	all := r.Find(workload, "metricsbuffer", cpu, "B/series")
	if one == nil || all == nil || cpu < 2 {
		return 0, false
	}
	return (all.Median - one.Median) / float64(cpu-1), true
}

const growthText = `Beyond the cores measured here it is reasoning, from the memory that is shared:

* **Writing.** A P that writes to a series often has a chunk of its own for it: the update goes to cache lines that no
  other P writes to, and in the default mode has no atomic read-modify-write. Its cost does not depend on the number
  of cores. Of each storage (counters; timers and histograms) a P has at most 32 such chunks, of 119 counters or 3
  timers. All other updates are atomic additions to chunks that all Ps share, as is every update of a shared atomic
  word (and of a counter or histogram built on one). Such a word is in a cache line that each update must own in turn.
  How often one line can pass from core to core does not grow with their number. With 64 or 256 cores on one hot word
  that rate is the total, and each core's share of it falls as cores are added. A gauge of this library is such a
  word.
* **Flushing.** A flush drains each common chunk once, and each own chunk of each P: its time follows the series in
  use, and the number of Ps times the chunks that they have of their own, at most 64 for each P. It has one
  process-wide fence, which interrupts each processor that runs a thread of this process once. With 64 or 256 of them
  busy, that is 64 or 256 interrupts per flush, not per update. At one flush per second this is nothing; at a thousand
  per second, measure it ("A flush while others run").
* **Memory.** A counter has 8 bytes in each of two banks of its common chunk, its name and its place in the registry,
  once for all Ps. A P that has a chunk of its own for it adds 2 KiB for that chunk's 119 counters, and at most 64 KiB
  for all its counters. So the bound is 64 KiB × Ps, however many counters there are: 4 MiB at 64 Ps and 16 MiB at
  256. A shared word has 8 bytes. A timer has two cells of 64 bytes and two windows of buckets, which are as wide as
  its values need, in its common chunk, and again in each own chunk. Chunks that are idle for some flushes are given
  back.

To check it on a larger machine: ` + "`go -C bench run . -run hot,handles,timer,flush,memory -cpu 1,8,64,256`" + `.
`
