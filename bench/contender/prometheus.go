package contender

import (
	"errors"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

func prometheusClient(name, how string, histograms prometheus.HistogramOpts) Contender {
	const byLabels = "counters are found by label values, not by name: see two labels"
	return Contender{
		Name: name, Module: "github.com/prometheus/client_golang", How: how,
		Without: Reasons{"named": byLabels, "tagged": byLabels},
		Open: func(output Output) (Instance, error) {
			registry := prometheus.NewRegistry()
			return &prometheusInstance{promauto.With(registry), registry, histograms, output}, nil
		},
	}
}

func prometheusClassic() Contender {
	return prometheusClient("prometheus", "handles from a CounterVec; Histogram with the default 11 buckets; text by "+
		"Gather and expfmt, totals of all series; the page by promhttp", prometheus.HistogramOpts{})
}

func prometheusNative() Contender {
	return prometheusClient("prometheus, native", "the same with a native histogram, bucket factor 1.1",
		prometheus.HistogramOpts{NativeHistogramBucketFactor: 1.1})
}

type prometheusInstance struct {
	promauto.Factory
	registry   *prometheus.Registry
	histograms prometheus.HistogramOpts
	output     Output
}

func (p *prometheusInstance) Close() error { return finally(p.output, p.Report) }

func (p *prometheusInstance) vec(name string, labels ...string) *prometheus.CounterVec {
	return p.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
}

func (p *prometheusInstance) histogram(name string) prometheus.Histogram {
	opts := p.histograms
	opts.Name = name
	return p.NewHistogram(opts)
}

func (p *prometheusInstance) Counters(names []string) Loop {
	vec := p.vec("series_total", "series")
	counters := handles(names, func(name string) prometheus.Counter { return vec.WithLabelValues(name) })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }
}

func (p *prometheusInstance) Vector(name string, labels []Labels) Loop {
	vec := p.vec(name, LabelA, LabelB)
	return func(_ int, order []uint32) {
		each(order, func(i uint32) { vec.WithLabelValues(labels[i].A, labels[i].B).Inc() })
	}
}

func (p *prometheusInstance) Timer(name string) Loop {
	histogram := p.histogram(name)
	return func(_ int, order []uint32) { each(order, func(d uint32) { histogram.Observe(float64(d) / 1e9) }) }
}

func (p *prometheusInstance) Stopwatch() Loop {
	histogram := p.histogram("latency")
	return func(_ int, order []uint32) {
		each(order, func(uint32) { prometheus.NewTimer(histogram).ObserveDuration() })
	}
}

func (p *prometheusInstance) Group() Loop {
	requests, bytes := p.vec("requests").WithLabelValues(), p.vec("bytes").WithLabelValues()
	latency := p.histogram("latency")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc()
			bytes.Add(512)
			latency.Observe(float64(d) / 1e9)
		})
	}
}

func (p *prometheusInstance) Request() Loop {
	requests, bytes := p.vec("requests").WithLabelValues(), p.vec("bytes").WithLabelValues()
	latency, inflight := p.histogram("latency"), p.NewGauge(prometheus.GaugeOpts{Name: "inflight"})
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc()
			bytes.Add(512)
			latency.Observe(float64(d) / 1e9)
			inflight.Set(float64(d))
		})
	}
}

func (p *prometheusInstance) Export(w io.Writer) error {
	families, err := p.registry.Gather()
	for _, family := range families {
		_, writing := expfmt.MetricFamilyToText(w, family)
		err = errors.Join(err, writing)
	}
	return err
}

func (p *prometheusInstance) Report() error {
	families, err := p.registry.Gather()
	var reports []Report
	for _, family := range families { // the vector of Counters
		for _, m := range family.GetMetric() {
			name := m.GetLabel()[0].GetValue()
			reports = append(reports, Report{Name: name, Value: int64(m.GetCounter().GetValue()), Total: true})
		}
	}
	return errors.Join(err, p.output(reports))
}

func (p *prometheusInstance) Page(values []string) (Loop, http.Handler) {
	vec := p.vec(PageName+"_total", LabelA)
	counters := handles(values, func(value string) prometheus.Counter { return vec.WithLabelValues(value) })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) },
		promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{})
}
