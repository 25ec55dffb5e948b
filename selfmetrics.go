package metricsbuffer

import "github.com/metricsbuffer/metricsbuffer/internal/atomicmap"

// selfMetrics puts what Stats tells into the stream, as series like any other. They are recorded at the begin of each
// collection, so that they are in the batches it leads to.
type selfMetrics struct {
	series, shards, bytes *gaugeCell
	flips, negatives      selfCounter
	overflowed            selfCounter
	sinks                 []selfSink
}

type selfSink struct {
	batches, failures, dropped selfCounter
	pendingSeries, duration    *gaugeCell
}

// A selfCounter records what a figure that only grows has grown by.
type selfCounter struct {
	shards *shards
	slot   uint32
	last   int64
}

func (c *selfCounter) update(now int64) {
	if now != c.last {
		c.shards.add(c.slot, now-c.last)
		c.last = now
	}
}

func newSelfMetrics(s *shards, r *registry, c *config) *selfMetrics {
	if !c.selfMetrics {
		return nil
	}
	hold := func(kind Kind, name string, tags ...Tag) uint32 {
		name = "metricsbuffer." + name
		return r.hold(kind, atomicmap.Hash(name, tags), name, tags).Value.slot
	}
	gauge := func(name string, tags ...Tag) *gaugeCell { return r.gauge(hold(KindGauge, name, tags...)) }
	counter := func(name string, tags ...Tag) selfCounter {
		return selfCounter{shards: s, slot: hold(KindCounter, name, tags...)}
	}
	m := &selfMetrics{
		series: gauge("series"), shards: gauge("shards"), bytes: gauge("bytes"),
		flips: counter("flips"), negatives: counter("negatives"), overflowed: counter("overflowed"),
	}
	for _, o := range c.sinks {
		sink := Tag{Key: "sink", Value: o.name}
		m.sinks = append(m.sinks, selfSink{
			batches: counter("sink.batches", sink), failures: counter("sink.failures", sink),
			dropped: counter("sink.dropped_points", sink), pendingSeries: gauge("sink.pending_series", sink),
			duration: gauge("sink.last_duration_seconds", sink),
		})
	}
	return m
}

func (m *selfMetrics) record(f *flusher) {
	stats := f.account()
	describe(&stats, f.shards, f.registry)
	m.series.set(float64(stats.Series))
	m.shards.set(float64(stats.Shards))
	m.bytes.set(float64(stats.Bytes))
	m.flips.update(stats.Flips)
	m.negatives.update(stats.Negatives)
	m.overflowed.update(stats.Overflowed.Increments + stats.Overflowed.Observations)
	for i, s := range stats.Sinks {
		self := &m.sinks[i]
		self.batches.update(s.Batches)
		self.failures.update(s.Failures)
		dropped := int64(0)
		for _, points := range s.Drops {
			dropped += points
		}
		self.dropped.update(dropped)
		self.pendingSeries.set(float64(s.PendingSeries))
		self.duration.set(s.LastDuration.Seconds())
	}
}
