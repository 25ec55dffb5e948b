package contender

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

const ourModule = "github.com/metricsbuffer/metricsbuffer"

func metricsbufferModes() []Contender {
	return []Contender{{
		Name: "metricsbuffer", Module: ourModule, Ours: true, Open: openMetricsbuffer,
		How: "as built here; updates that belong together by Record; text by statsdsink, timers as Parts; the page by " +
			"openmetricssink",
	}, {
		Name: "metricsbuffer, stopping the world", Module: ourModule, Ours: true, Open: openMetricsbuffer, Fenced: true,
		How: "the mode of systems without membarrier: each flush stops all goroutines for a moment instead",
	}, {
		Name: "metricsbuffer, purego", Module: ourModule, Ours: true, Open: openMetricsbuffer, BuildBy: "purego",
		How: "built with -tags purego: all words atomic, no pinning (also the mode of processors other than amd64 and arm64)",
	}, metricsbufferLocal()}
}

type ours struct {
	buffer   *metricsbuffer.Buffer
	received received
	page     *metricsbuffer.Buffer // nil without a page
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

func (o *ours) Close() error  { return errors.Join(o.buffer.Close(), o.page.Close()) }
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
			metricsbuffer.Record(requests.Delta(1), bytes.Delta(512), latency.Took(time.Duration(d)))
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

// Page uses a buffer of its own, with the sink that makes pages.
func (o *ours) Page(values []string) (Loop, http.Handler) {
	page := must(openmetricssink.New())
	o.page = must(metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(page),
		metricsbuffer.WithMaxSeries(1_000_000)))
	counters := handles(values, func(value string) *metricsbuffer.Counter {
		return o.page.Counter(PageName, metricsbuffer.T(LabelA, value))
	})
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }, page
}
