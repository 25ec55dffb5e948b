package contender

import (
	"context"
	"io"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

const ourModule = "github.com/metricsbuffer/metricsbuffer"

func metricsbufferModes() []Contender {
	return []Contender{{
		Name: "metricsbuffer", Module: ourModule, Ours: true, Open: openMetricsbuffer,
		How: "as built here; text is StatsD lines written by a SinkFunc",
	}, {
		Name: "metricsbuffer, fenced", Module: ourModule, Ours: true, Open: openMetricsbuffer, Fenced: true,
		How: "the mode of systems without membarrier: writers execute a memory barrier of their own",
	}, {
		Name: "metricsbuffer, purego", Module: ourModule, Ours: true, Open: openMetricsbuffer, BuildBy: "purego",
		How: "built with -tags purego: all words atomic, no pinning (also what 32-bit systems get)",
	}, metricsbufferLocal()}
}

type ours struct {
	buffer *metricsbuffer.Buffer
	text   *textSink // nil when audited
}

func openMetricsbuffer(output Output) (Instance, error) { return openOurs(output) }

func openOurs(output Output) (*ours, error) {
	o := &ours{text: new(textSink)}
	var sink metricsbuffer.Sink = o.text
	if output != nil {
		sink = metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
			reports := make([]Report, len(batch.Points))
			for i, p := range batch.Points {
				reports[i] = Report{Name: p.Name, Value: p.Count}
			}
			return output(reports)
		})
	}
	var err error
	o.buffer, err = metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink),
		metricsbuffer.WithMaxSeries(1_000_000))
	return o, err
}

func (o *ours) Close() error   { return o.buffer.Close() }
func (o *ours) Report() error  { return o.buffer.Flush(context.Background()) }
func (o *ours) Limits() Limits { return Limits{} }

func (o *ours) Counters(names []string) Loop {
	counters := make([]*metricsbuffer.Counter, len(names))
	for i, name := range names {
		counters[i] = o.buffer.Counter(name)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc()
		}
	}
}

func (o *ours) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			o.buffer.IncrCounter(names[i], 1)
		}
	}
}

func (o *ours) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			l := &labels[i]
			o.buffer.IncrCounter(name, 1, metricsbuffer.Tag{Key: LabelB, Value: l.B},
				metricsbuffer.Tag{Key: LabelA, Value: l.A})
		}
	}
}

// vectorLabels are typed labels, as a program declares them.
type vectorLabels struct {
	A string `tag:"topic"`
	B string `tag:"partition"`
}

func (o *ours) Vector(name string, labels []Labels) Loop {
	vec, err := metricsbuffer.NewCounterVec[vectorLabels](o.buffer, name)
	if err != nil {
		panic(err) // the labels are valid
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			vec.With(vectorLabels(labels[i])).Inc()
		}
	}
}

func (o *ours) Timer(name string) Loop {
	timer := o.buffer.Timer(name)
	return func(_ int, order []uint32) {
		for _, d := range order {
			timer.Observe(time.Duration(d))
		}
	}
}

func (o *ours) Request() Loop {
	requests, bytes := o.buffer.Counter("requests"), o.buffer.Counter("bytes")
	latency, inflight := o.buffer.Timer("latency"), o.buffer.Gauge("inflight")
	return func(_ int, order []uint32) {
		for _, d := range order {
			requests.Inc()
			bytes.Add(512)
			latency.Observe(time.Duration(d))
			inflight.Set(float64(d))
		}
	}
}

func (o *ours) Export(w io.Writer) error {
	o.text.w = w
	return o.buffer.Flush(context.Background())
}
