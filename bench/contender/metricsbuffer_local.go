package contender

import (
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// metricsbufferLocal records as an inner loop does that commits when it is done.
func metricsbufferLocal() Contender {
	const byHandle, forLoops = "a Local records by handle", "a Local is for loops, not for single operations"
	return Contender{
		Name: "metricsbuffer, Local", Module: ourModule, Ours: true,
		How: "a Local for each goroutine, committed after each loop (of 256 operations; of one in the audit)",
		Without: map[string]string{
			"named": byHandle, "tagged": byHandle, "vector": byHandle, "request": "a Local has no gauges",
			"latency": forLoops, "latency-flush": forLoops,
		},
		Open: func(output Output) (Instance, error) {
			o, err := openOurs(output)
			return &oursLocal{o, o, o}, err
		},
	}
}

type oursLocal struct {
	Exporter
	lifecycle
	ours *ours
}

// lifecycle is what a Reporter has besides counters.
type lifecycle interface {
	Close() error
	Report() error
	Limits() Limits
}

// maxWorkers is more than any workload has.
const maxWorkers = 4096

func (o *oursLocal) Counters(names []string) Loop {
	type private struct {
		local    *metricsbuffer.Local
		counters []*metricsbuffer.LocalCounter
	}
	workers := make([]*private, maxWorkers) // each made and used by its worker alone
	return func(worker int, order []uint32) {
		p := workers[worker]
		if p == nil {
			p = &private{local: o.ours.buffer.Local()}
			for _, name := range names {
				p.counters = append(p.counters, p.local.Counter(o.ours.buffer.Counter(name)))
			}
			workers[worker] = p
		}
		for _, i := range order {
			p.counters[i].Inc()
		}
		p.local.Commit()
	}
}

func (o *oursLocal) Timer(name string) Loop {
	type private struct {
		local *metricsbuffer.Local
		timer *metricsbuffer.LocalTimer
	}
	workers := make([]*private, maxWorkers) // each made and used by its worker alone
	return func(worker int, order []uint32) {
		p := workers[worker]
		if p == nil {
			p = &private{local: o.ours.buffer.Local()}
			p.timer = p.local.Timer(o.ours.buffer.Timer(name))
			workers[worker] = p
		}
		for _, d := range order {
			p.timer.Observe(time.Duration(d))
		}
		p.local.Commit()
	}
}
