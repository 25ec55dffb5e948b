package contender

import (
	"io"

	stats "github.com/lyft/gostats"
)

func gostats() Contender {
	return Contender{
		Name: "gostats", Module: "github.com/lyft/gostats",
		How: "a Store; tags with maps that are prepared; text is StatsD lines written by a Sink, by Flush",
		Without: map[string]string{
			"vector": "tags are given with the name: see by name with two tags",
			"timer":  "timers are not aggregated: each value is sent", "request": "timers are not aggregated",
		},
		Open: func(output Output) (Instance, error) {
			sink := &gostatsSink{output: output}
			return &gostatsInstance{stats.NewStore(sink, false), sink}, nil
		},
	}
}

type gostatsInstance struct {
	store stats.Store
	sink  *gostatsSink
}

func (g *gostatsInstance) Close() error { return nil }

func (g *gostatsInstance) Limits() Limits {
	return Limits{Failing: "Sink's methods return no error", Closing: "a Store is not closed, only flushed"}
}

func (g *gostatsInstance) Report() error {
	g.store.Flush()
	return nil
}

func (g *gostatsInstance) Counters(names []string) Loop {
	counters := make([]stats.Counter, len(names))
	for i, name := range names {
		counters[i] = g.store.NewCounter(name)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc()
		}
	}
}

func (g *gostatsInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			g.store.NewCounter(names[i]).Inc()
		}
	}
}

func (g *gostatsInstance) Tagged(name string, labels []Labels) Loop {
	tags := make([]map[string]string, len(labels))
	for i, l := range labels {
		tags[i] = map[string]string{LabelA: l.A, LabelB: l.B}
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			g.store.NewCounterWithTags(name, tags[i]).Inc()
		}
	}
}

func (g *gostatsInstance) Export(w io.Writer) error {
	g.sink.w = w
	g.store.Flush()
	return g.sink.text.send(w)
}

// A gostatsSink writes lines to w, or hands counters to the audit.
type gostatsSink struct {
	w      io.Writer
	output Output
	text   textWriter
}

func (s *gostatsSink) FlushCounter(name string, value uint64) {
	if s.output != nil {
		_ = s.output([]Report{{Name: name, Value: int64(value)}}) // cannot fail: see Limits
	} else if s.w != nil {
		_ = s.text.line(s.w, name, int64(value), "|c") // to memory
	}
}

func (s *gostatsSink) FlushGauge(string, uint64)  {}
func (s *gostatsSink) FlushTimer(string, float64) {}
