package contender

import (
	"io"
	"time"

	"github.com/rcrowley/go-metrics"
)

func goMetrics() Contender {
	return Contender{
		Name: "rcrowley/go-metrics", Module: "github.com/rcrowley/go-metrics",
		How: "a registry; Timer with the default sample; text by WriteOnce, totals of all series; audited by its totals, " +
			"which its own reporters send",
		Without: Reasons{"tagged": "it has no tags", "vector": "it has no tags", "page": noPage},
		Open: func(output Output) (Instance, error) {
			return &goMetricsInstance{metrics.NewRegistry(), totals{output: output}}, nil
		},
	}
}

type goMetricsInstance struct {
	registry metrics.Registry
	totals
}

func (g *goMetricsInstance) Close() error {
	defer g.registry.UnregisterAll() // stops the meters
	return g.totals.Close()
}

func (g *goMetricsInstance) Export(w io.Writer) error {
	metrics.WriteOnce(g.registry, w)
	return nil
}

func (g *goMetricsInstance) counter(name string) metrics.Counter {
	return metrics.GetOrRegisterCounter(name, g.registry)
}

func (g *goMetricsInstance) Counters(names []string) Loop {
	counters := handles(names, g.counter)
	g.of(names, func(i int) int64 { return counters[i].Count() })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc(1) }) }
}

func (g *goMetricsInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) { each(order, func(i uint32) { g.counter(names[i]).Inc(1) }) }
}

func (g *goMetricsInstance) Timer(name string) Loop {
	timer := metrics.GetOrRegisterTimer(name, g.registry)
	return func(_ int, order []uint32) { each(order, func(d uint32) { timer.Update(time.Duration(d)) }) }
}

func (g *goMetricsInstance) Stopwatch() Loop {
	timer := metrics.GetOrRegisterTimer("latency", g.registry)
	return func(_ int, order []uint32) { each(order, func(uint32) { timer.UpdateSince(time.Now()) }) }
}

func (g *goMetricsInstance) Group() Loop {
	requests, bytes := g.counter("requests"), g.counter("bytes")
	latency := metrics.GetOrRegisterTimer("latency", g.registry)
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc(1)
			bytes.Inc(512)
			latency.Update(time.Duration(d))
		})
	}
}

func (g *goMetricsInstance) Request() Loop {
	requests, bytes := g.counter("requests"), g.counter("bytes")
	latency := metrics.GetOrRegisterTimer("latency", g.registry)
	inflight := metrics.GetOrRegisterGaugeFloat64("inflight", g.registry)
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc(1)
			bytes.Inc(512)
			latency.Update(time.Duration(d))
			inflight.Update(float64(d))
		})
	}
}
