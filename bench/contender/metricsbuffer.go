package contender

import (
	"context"
	"io"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

const ourModule = "github.com/metricsbuffer/metricsbuffer"

func metricsbufferModes() []Contender {
	return []Contender{{
		Name: "metricsbuffer", Module: ourModule, Ours: true, Open: openMetricsbuffer,
		How: "as built here; text by statsdsink, timers as Parts",
	}, {
		Name: "metricsbuffer, stopping the world", Module: ourModule, Ours: true, Open: openMetricsbuffer, Fenced: true,
		How: "the mode of systems without membarrier: writers execute a memory barrier of their own",
	}, {
		Name: "metricsbuffer, purego", Module: ourModule, Ours: true, Open: openMetricsbuffer, BuildBy: "purego",
		How: "built with -tags purego: all words atomic, no pinning (also the mode of 32-bit systems)",
	}, metricsbufferLocal()}
}

type ours struct {
	buffer   *metricsbuffer.Buffer
	received received
}

func openMetricsbuffer(output Output) (Instance, error) { return openOurs(output) }

func openOurs(output Output) (*ours, error) {
	o := &ours{received: received{output: output}}
	sink, err := statsdsink.NewWriter(&o.received, statsdsink.WithTimers(statsdsink.Parts))
	if err != nil {
		return nil, err
	}
	o.buffer, err = metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink),
		metricsbuffer.WithMaxSeries(1_000_000))
	return o, err
}

func (o *ours) Close() error  { return o.buffer.Close() }
func (o *ours) Report() error { return o.buffer.Flush(context.Background()) }

func (o *ours) Export(w io.Writer) error {
	o.received.w = w
	return o.buffer.Flush(context.Background())
}

func (o *ours) Counters(names []string) Loop {
	counters := handles(names, func(name string) *metricsbuffer.Counter { return o.buffer.Counter(name) })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }
}

func (o *ours) Named(names []string) Loop {
	return func(_ int, order []uint32) { each(order, func(i uint32) { o.buffer.IncrCounter(names[i], 1) }) }
}

func (o *ours) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			b, a := metricsbuffer.Tag{Key: LabelB, Value: labels[i].B}, metricsbuffer.Tag{Key: LabelA, Value: labels[i].A}
			o.buffer.IncrCounter(name, 1, b, a)
		})
	}
}

// vectorLabels are typed labels, as a program declares them.
type vectorLabels struct {
	A string `tag:"topic"`
	B string `tag:"partition"`
}

func (o *ours) Vector(name string, labels []Labels) Loop {
	vec := must(metricsbuffer.NewCounterVec[vectorLabels](o.buffer, name))
	return func(_ int, order []uint32) { each(order, func(i uint32) { vec.With(vectorLabels(labels[i])).Inc() }) }
}

func (o *ours) Timer(name string) Loop {
	timer := o.buffer.Timer(name)
	return func(_ int, order []uint32) { each(order, func(d uint32) { timer.Observe(time.Duration(d)) }) }
}

func (o *ours) Stopwatch() Loop {
	timer := o.buffer.Timer("latency")
	return func(_ int, order []uint32) { each(order, func(uint32) { timer.Start().Stop() }) }
}

func (o *ours) Group() Loop {
	requests, bytes, latency := o.buffer.Counter("requests"), o.buffer.Counter("bytes"), o.buffer.Timer("latency")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc()
			bytes.Add(512)
			latency.Observe(time.Duration(d))
		})
	}
}

func (o *ours) Request() Loop {
	requests, bytes := o.buffer.Counter("requests"), o.buffer.Counter("bytes")
	latency, inflight := o.buffer.Timer("latency"), o.buffer.Gauge("inflight")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc()
			bytes.Add(512)
			latency.Observe(time.Duration(d))
			inflight.Set(float64(d))
		})
	}
}
