package runtimemetrics

import (
	"math"
	"runtime/metrics"

	"github.com/metricsbuffer/metricsbuffer"
)

// A collector records the series of one naming in a buffer. One goroutine at a time uses it.
//
// The buffer refers to the collector, as a part of a polled function. So the collector has no [metricsbuffer.Local]:
// its finalizers refer to the buffer, and a buffer that is dropped would never be found unreachable.
type collector struct {
	buffer  *metricsbuffer.Buffer
	reading *reading
	process *process // nil if the system does not tell, or nobody wants to know

	ofRuntime, ofProcess recorded
}

// recorded are series with their instruments.
type recorded struct {
	gauges        []recordedGauge
	counters      []recordedCounter
	distributions []recordedDistribution
}

type recordedGauge struct {
	gauge
	instrument *metricsbuffer.Gauge // nil before the first value
}

type recordedCounter struct {
	counter
	instrument *metricsbuffer.Counter
	soFar      int64
}

type recordedDistribution struct {
	distribution
	source source
}

func newCollector(buffer *metricsbuffer.Buffer, names *naming, p *process) *collector {
	c := &collector{buffer: buffer, reading: newReading(), process: p}
	c.ofRuntime = c.instruments(&names.ofRuntime)
	if p != nil {
		c.ofProcess = c.instruments(&names.ofProcess)
	}
	return c
}

// instruments returns the series with instruments that have recorded nothing.
func (c *collector) instruments(of *group) (r recorded) {
	for _, g := range of.gauges {
		r.gauges = append(r.gauges, recordedGauge{gauge: g})
	}
	for _, s := range of.counters {
		r.counters = append(r.counters, recordedCounter{
			counter: s, instrument: c.buffer.Counter(s.name, s.tags...),
		})
	}
	for _, t := range of.timers {
		r.distributions = append(r.distributions, recordedDistribution{
			distribution{timer: c.buffer.Timer(t.name)}, t.source,
		})
	}
	return r
}

// collect records everything that has changed since the last call.
func (c *collector) collect() {
	c.reading.read()
	c.record(&c.ofRuntime)
	if c.process != nil && c.process.read(&c.reading.process) {
		c.record(&c.ofProcess)
	}
}

func (c *collector) record(r *recorded) {
	for i := range r.gauges {
		g := &r.gauges[i]
		if v := g.value(c.reading); !math.IsNaN(v) {
			if g.instrument == nil {
				g.instrument = c.buffer.Gauge(g.name, g.tags...)
			}
			g.instrument.Set(v)
		}
	}
	for i := range r.counters {
		s := &r.counters[i]
		total := s.total(c.reading)
		s.instrument.Add(total - s.soFar)
		s.soFar = total
	}
	for i := range r.distributions {
		d := &r.distributions[i]
		if v := &c.reading.samples[d.source].Value; v.Kind() == metrics.KindFloat64Histogram {
			d.move(v.Float64Histogram())
		}
	}
}
