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
		Without: map[string]string{"tagged": "it has no tags", "vector": "it has no tags"},
		Open: func(output Output) (Instance, error) {
			return &goMetricsInstance{registry: metrics.NewRegistry(), totals: totals{output: output}}, nil
		},
	}
}

type goMetricsInstance struct {
	registry metrics.Registry
	totals
}

func (g *goMetricsInstance) Close() error {
	err := g.totals.Close()
	g.registry.UnregisterAll() // stops the meters
	return err
}

func (g *goMetricsInstance) Counters(names []string) Loop {
	counters := make([]metrics.Counter, len(names))
	for i, name := range names {
		counters[i] = metrics.GetOrRegisterCounter(name, g.registry)
		g.add(name, counters[i].Count)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc(1)
		}
	}
}

func (g *goMetricsInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			metrics.GetOrRegisterCounter(names[i], g.registry).Inc(1)
		}
	}
}

func (g *goMetricsInstance) Timer(name string) Loop {
	timer := metrics.GetOrRegisterTimer(name, g.registry)
	return func(_ int, order []uint32) {
		for _, d := range order {
			timer.Update(time.Duration(d))
		}
	}
}

func (g *goMetricsInstance) Request() Loop {
	requests := metrics.GetOrRegisterCounter("requests", g.registry)
	bytes := metrics.GetOrRegisterCounter("bytes", g.registry)
	latency := metrics.GetOrRegisterTimer("latency", g.registry)
	inflight := metrics.GetOrRegisterGaugeFloat64("inflight", g.registry)
	return func(_ int, order []uint32) {
		for _, d := range order {
			requests.Inc(1)
			bytes.Inc(512)
			latency.Update(time.Duration(d))
			inflight.Update(float64(d))
		}
	}
}

func (g *goMetricsInstance) Export(w io.Writer) error {
	metrics.WriteOnce(g.registry, w)
	return nil
}
