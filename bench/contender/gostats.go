package contender

import (
	"io"

	stats "github.com/lyft/gostats"
)

func gostats() Contender {
	return Contender{
		Name: "gostats", Module: "github.com/lyft/gostats",
		How: "a Store; tags with maps that are prepared; text is StatsD lines written by a Sink, by Flush",
		Without: Reasons{"vector": "tags are given with the name: see by name with two tags"}.
			countersOnly("timers are not aggregated: each value is sent"),
		Limits: Limits{Failing: "Sink's methods return no error", Closing: "a Store is not closed, only flushed"},
		Open: func(output Output) (Instance, error) {
			g := &gostatsInstance{lines: lines{output: output}}
			g.store = stats.NewStore(g, false)
			return g, nil
		},
	}
}

type gostatsInstance struct {
	store stats.Store
	lines lines
}

func (g *gostatsInstance) Close() error { return nil }

func (g *gostatsInstance) Report() error {
	g.store.Flush()
	return nil
}

func (g *gostatsInstance) Export(w io.Writer) error {
	g.lines.w = w
	g.store.Flush()
	return g.lines.send()
}

// A gostatsInstance is the Sink of its Store.

func (g *gostatsInstance) FlushCounter(name string, value uint64) {
	g.lines.add(name, int64(value), "|c")
}
func (g *gostatsInstance) FlushGauge(string, uint64)  {}
func (g *gostatsInstance) FlushTimer(string, float64) {}

func (g *gostatsInstance) Counters(names []string) Loop {
	counters := handles(names, g.store.NewCounter)
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }
}

func (g *gostatsInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) { each(order, func(i uint32) { g.store.NewCounter(names[i]).Inc() }) }
}

func (g *gostatsInstance) Tagged(name string, labels []Labels) Loop {
	tags := labelMaps(labels)
	return func(_ int, order []uint32) {
		each(order, func(i uint32) { g.store.NewCounterWithTags(name, tags[i]).Inc() })
	}
}
