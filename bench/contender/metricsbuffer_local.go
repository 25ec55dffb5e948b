package contender

import (
	"io"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// metricsbufferLocal records as an inner loop that commits when it is done.
func metricsbufferLocal() Contender {
	const (
		byHandle    = "a Local records by handle"
		forLoops    = "a Local is for loops, not for single operations"
		ofGoroutine = "a Local belongs to one goroutine, which uses few timers"
	)
	return Contender{
		Name: "metricsbuffer, Local", Module: ourModule, Ours: true,
		How: "a Local for each goroutine, committed after each loop (of 256 operations; of one in the audit)",
		Without: Reasons{
			"named": byHandle, "tagged": byHandle, "vector": byHandle, "request": "a Local has no gauges",
			"page":      "the page is that of the default mode",
			"stopwatch": "a LocalTimer has no stopwatch", "group": forLoops, "latency": forLoops, "latency-flush": forLoops,
			"memory-timer": ofGoroutine, "memory-64p": ofGoroutine, "flush-64p": ofGoroutine,
		},
		Open: func(output Output) (Instance, error) {
			o, err := openOurs(output)
			return &oursLocal{o, o}, err
		},
	}
}

type oursLocal struct {
	lifecycle
	ours *ours
}

// lifecycle is an Instance without its way to record.
type lifecycle interface {
	Export(w io.Writer) error
	Report() error
	Close() error
}

func (o *oursLocal) Counters(names []string) Loop {
	workers := newWorkers(o.ours.buffer, func(local *metricsbuffer.Local) []*metricsbuffer.LocalCounter {
		return handles(names, func(name string) *metricsbuffer.LocalCounter {
			return local.Counter(o.ours.buffer.Counter(name))
		})
	})
	return func(worker int, order []uint32) {
		local, counters := workers.get(worker)
		each(order, func(i uint32) { counters[i].Inc() })
		local.Commit()
	}
}

func (o *oursLocal) Timer(name string) Loop {
	workers := newWorkers(o.ours.buffer, func(local *metricsbuffer.Local) *metricsbuffer.LocalTimer {
		return local.Timer(o.ours.buffer.Timer(name))
	})
	return func(worker int, order []uint32) {
		local, timer := workers.get(worker)
		each(order, func(d uint32) { timer.Observe(time.Duration(d)) })
		local.Commit()
	}
}

// workers are the Locals of all workers, with handles in them. Each is made and used by its worker alone.
type workers[H any] struct {
	buffer *metricsbuffer.Buffer
	open   func(*metricsbuffer.Local) H
	locals []*metricsbuffer.Local
	of     []H
}

func newWorkers[H any](buffer *metricsbuffer.Buffer, open func(*metricsbuffer.Local) H) *workers[H] {
	const most = 4096 // more than any workload has
	return &workers[H]{buffer, open, make([]*metricsbuffer.Local, most), make([]H, most)}
}

func (w *workers[H]) get(worker int) (*metricsbuffer.Local, H) {
	if w.locals[worker] == nil {
		w.locals[worker] = w.buffer.Local()
		w.of[worker] = w.open(w.locals[worker])
	}
	return w.locals[worker], w.of[worker]
}
