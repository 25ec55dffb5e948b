package contender

import (
	"io"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

const prometheusModule = "github.com/prometheus/client_golang"

var prometheusWithout = map[string]string{
	"named":  "counters are found by label values, not by name: see two labels",
	"tagged": "counters are found by label values, not by name: see two labels",
}

func prometheusClassic() Contender {
	return Contender{
		Name: "prometheus", Module: prometheusModule, Without: prometheusWithout,
		How: "handles from a CounterVec; Histogram with the default 11 buckets; text by Gather and expfmt, totals of all " +
			"series",
		Open: func(output Output) (Instance, error) { return newPrometheus(prometheus.HistogramOpts{}, output), nil },
	}
}

func prometheusNative() Contender {
	return Contender{
		Name: "prometheus, native", Module: prometheusModule, Without: prometheusWithout,
		How: "the same with a native histogram, bucket factor 1.1",
		Open: func(output Output) (Instance, error) {
			return newPrometheus(prometheus.HistogramOpts{NativeHistogramBucketFactor: 1.1}, output), nil
		},
	}
}

type prometheusInstance struct {
	registry   *prometheus.Registry
	histograms prometheus.HistogramOpts
	output     Output
}

func newPrometheus(histograms prometheus.HistogramOpts, output Output) *prometheusInstance {
	return &prometheusInstance{prometheus.NewRegistry(), histograms, output}
}

func (p *prometheusInstance) Limits() Limits { return Limits{} }

func (p *prometheusInstance) Close() error {
	if p.output == nil {
		return nil
	}
	return p.Report()
}

func (p *prometheusInstance) vec(name string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
	p.registry.MustRegister(vec)
	return vec
}

func (p *prometheusInstance) Counters(names []string) Loop {
	vec := p.vec("series_total", "series")
	counters := make([]prometheus.Counter, len(names))
	for i, name := range names {
		counters[i] = vec.WithLabelValues(name)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc()
		}
	}
}

func (p *prometheusInstance) Vector(name string, labels []Labels) Loop {
	vec := p.vec(name, LabelA, LabelB)
	return func(_ int, order []uint32) {
		for _, i := range order {
			vec.WithLabelValues(labels[i].A, labels[i].B).Inc()
		}
	}
}

func (p *prometheusInstance) Timer(name string) Loop {
	histogram := p.histogram(name)
	return func(_ int, order []uint32) {
		for _, d := range order {
			histogram.Observe(float64(d) / 1e9)
		}
	}
}

func (p *prometheusInstance) histogram(name string) prometheus.Histogram {
	opts := p.histograms
	opts.Name = name
	histogram := prometheus.NewHistogram(opts)
	p.registry.MustRegister(histogram)
	return histogram
}

func (p *prometheusInstance) Request() Loop {
	requests, bytes := p.vec("requests").WithLabelValues(), p.vec("bytes").WithLabelValues()
	latency, inflight := p.histogram("latency"), prometheus.NewGauge(prometheus.GaugeOpts{Name: "inflight"})
	p.registry.MustRegister(inflight)
	return func(_ int, order []uint32) {
		for _, d := range order {
			requests.Inc()
			bytes.Add(512)
			latency.Observe(float64(d) / 1e9)
			inflight.Set(float64(d))
		}
	}
}

func (p *prometheusInstance) Export(w io.Writer) error {
	families, err := p.registry.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	return nil
}

func (p *prometheusInstance) Report() error {
	families, err := p.registry.Gather()
	if err != nil {
		return err
	}
	var reports []Report
	for _, family := range families {
		if family.GetType() != dto.MetricType_COUNTER {
			continue
		}
		for _, m := range family.GetMetric() {
			v := int64(m.GetCounter().GetValue())
			reports = append(reports, Report{Name: m.GetLabel()[0].GetValue(), Value: v, Total: true})
		}
	}
	return p.output(reports)
}
