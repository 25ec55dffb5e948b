package rcrowleybridge

import (
	"time"

	"github.com/rcrowley/go-metrics"

	"github.com/metricsbuffer/metricsbuffer"
)

// recording is implemented by the metrics that record into a buffer. Each embeds go-metrics' Nil metric of its kind,
// whose methods read nothing.
type recording interface{ recording() }

type counter struct {
	metrics.NilCounter
	counter *metricsbuffer.Counter
}

func (r *Registry) counter(name string) metrics.Counter {
	series := r.series(name)
	if series.Level {
		return &level{gauge: r.buffer.Gauge(series.Name, series.Tags...)}
	}
	return &counter{counter: r.buffer.Counter(series.Name, series.Tags...)}
}

func (*counter) recording()    {}
func (c *counter) Inc(n int64) { c.counter.Add(n) }
func (c *counter) Dec(n int64) { c.counter.Add(-n) }

// A level is a counter that goes up and down.
type level struct {
	metrics.NilCounter
	gauge *metricsbuffer.Gauge
}

func (*level) recording()    {}
func (l *level) Inc(n int64) { l.gauge.Add(float64(n)) }
func (l *level) Dec(n int64) { l.gauge.Add(-float64(n)) }
func (l *level) Clear()      { l.gauge.Set(0) }

type meter struct {
	metrics.NilMeter
	counter *metricsbuffer.Counter
}

func (r *Registry) meter(name string) metrics.Meter {
	series := r.series(name)
	return &meter{counter: r.buffer.Counter(series.Name, series.Tags...)}
}

func (*meter) recording()     {}
func (m *meter) Mark(n int64) { m.counter.Add(n) }

type gauge struct {
	metrics.NilGauge
	gauge *metricsbuffer.Gauge
}

func (r *Registry) gauge(name string) metrics.Gauge {
	series := r.series(name)
	return &gauge{gauge: r.buffer.Gauge(series.Name, series.Tags...)}
}

func (*gauge) recording()       {}
func (g *gauge) Update(v int64) { g.gauge.Set(float64(v)) }

type gaugeFloat64 struct {
	metrics.NilGaugeFloat64
	gauge *metricsbuffer.Gauge
}

func (r *Registry) gaugeFloat64(name string) metrics.GaugeFloat64 {
	series := r.series(name)
	return &gaugeFloat64{gauge: r.buffer.Gauge(series.Name, series.Tags...)}
}

func (*gaugeFloat64) recording()         {}
func (g *gaugeFloat64) Update(v float64) { g.gauge.Set(v) }

type histogram struct {
	metrics.NilHistogram
	histogram *metricsbuffer.Histogram
}

func (r *Registry) histogram(name string) metrics.Histogram {
	series := r.series(name)
	return &histogram{histogram: r.buffer.Histogram(series.Name, series.Unit, series.Tags...)}
}

func (*histogram) recording()       {}
func (h *histogram) Update(v int64) { h.histogram.Observe(v) }

type timer struct {
	metrics.NilTimer
	timer *metricsbuffer.Timer
}

func (r *Registry) timer(name string) metrics.Timer {
	series := r.series(name)
	return &timer{timer: r.buffer.Timer(series.Name, series.Tags...)}
}

func (*timer) recording()                    {}
func (t *timer) Update(d time.Duration)      { t.timer.Observe(d) }
func (t *timer) UpdateSince(start time.Time) { t.timer.Observe(time.Since(start)) }

// Time calls f and records how long it took. Unlike NilTimer's method it calls f.
func (t *timer) Time(f func()) {
	watch := t.timer.Start()
	f()
	watch.Stop()
}
