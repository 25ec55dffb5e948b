package metricsbuffer

import (
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/clock"
	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// Stats is an account of the updates that went through a buffer. In every account, and for every sink,
//
//	Recorded = Acknowledged + Pending + Dropped
//
// The figures are exact for all updates that were recorded before [Buffer.Stats] was called.
type Stats struct {
	Recorded   Totals
	Overflowed Totals     // part of Recorded: updates of overflow series, see [WithMaxSeries]
	Overflows  []Overflow // the ten names with most of Overflowed, or fewer, in descending order
	Negatives  int64      // observations below zero, which are recorded as zero
	Rejected   int64      // fractions that were not recorded, see [FractionCounter.Add]

	Undescribed int64 // calls of [Buffer.Describe] that were ignored, for there were as many names as there may be series

	Series int   // overflow series included, and those that have expired until every sink has acknowledged that
	Shards int   // Ps that have recorded anything
	Bytes  int64 // memory for values, in shards and for sinks; names and instruments are not included
	Flips  int64 // of banks

	// Fence is the barrier between a flip and its drain: "membarrier", "FlushProcessWriteBuffers", "stop-the-world" or
	// "atomics".
	Fence string

	PollFailures int64 // calls of polled functions that panicked, ended their goroutine or took longer than 100 ms

	Clock          string // of stopwatches: "tsc" or "cntvct", the processor's counters, or "runtime"
	ClockFallbacks int64  // 1 if the counter was given up because it differed from the runtime's clock

	// Values are kept in chunks of 119 counters or 3 timers and histograms. All Ps share the common ones. A P that writes
	// to a chunk often gets one of its own (a promotion); one that is idle is given back (a demotion).
	OwnChunks    int
	CommonChunks int
	Promotions   int64
	Demotions    int64 // also of common chunks

	Sinks []SinkStats // in the order of the options
}

// Overflow says how much has been recorded in the overflow series of a name, since that series was created.
type Overflow struct {
	Name     string
	Kind     Kind
	Unit     string // as in Point
	Decimals int    // likewise
	Count    int64  // likewise
}

// SinkStats is one sink's share of [Stats].
type SinkStats struct {
	Name         string
	Acknowledged Totals // delivered
	Pending      Totals // updates that are being written included
	Dropped      Totals // given up by the sink ([Batch.Drop]), or left after the buffer had been closed

	PendingSeries int              // gauges included
	DroppedSeries int              // left after the buffer had been closed, gauges included
	Drops         map[string]int64 // points that the sink gave up, by its reason
	Batches       int64            // acknowledged
	Failures      int64            // failed
	LastError     error            // of the last batch that failed, even if later batches were acknowledged
	LastDuration  time.Duration    // of the last Write
}

// Totals is an amount of updates: the increments of counters, and the observations of timers and histograms. Increments
// of opposite signs cancel. Gauges are not included, as a newer value replaces an older one.
type Totals struct {
	Increments   int64 // sum of the deltas of counters; of a [FractionCounter], in its steps
	Observations int64 // of timers and histograms
}

func (t *Totals) add(u Totals) {
	t.Increments += u.Increments
	t.Observations += u.Observations
}

func (t *Totals) count(storage storage, n int64) {
	switch storage {
	case sums:
		t.Increments += n
	case distributed:
		t.Observations += n
	}
}

// describe fills in the figures that are not the flusher's.
func describe(stats *Stats, s *shards, r *registry) {
	stats.Negatives, stats.Rejected = s.negatives.Load(), s.rejected.Load()
	stats.Undescribed = r.undescribed.Load()
	stats.Series = int(r.series[ordinary].used.Load() + r.series[overflow].used.Load())
	stats.Shards = int(s.procs.Load())
	s.eachChunk(func(_ *counterChunk, own bool) { stats.countChunk(own) },
		func(_ *distributionChunk, own bool) { stats.countChunk(own) })
	stats.Promotions = s.promotions.Load()
	stats.Clock, stats.ClockFallbacks = clock.Name(), clock.Fallbacks()
	stats.Fence = fence.Mode()
	if !owner.Exclusive {
		stats.Fence = "atomics"
	}
}

func (s *Stats) countChunk(own bool) {
	if own {
		s.OwnChunks++
	} else {
		s.CommonChunks++
	}
}

// selfMetrics records figures of Stats as series like any other. It does so at the start of each collection, so that
// they are in the batches that follow from it.
type selfMetrics struct {
	series, shards, bytes *gaugeCell
	flips, negatives      selfCounter
	rejected, overflowed  selfCounter
	sinks                 []selfSink
}

type selfSink struct {
	batches, failures, dropped selfCounter
	pendingSeries, duration    *gaugeCell
}

// A selfCounter records the growth of a figure that only grows.
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
		return r.hold(&r.families[kind], name, tags).Value.slot
	}
	gauge := func(name string, tags ...Tag) *gaugeCell { return r.gauge(hold(KindGauge, name, tags...)) }
	counter := func(name string, tags ...Tag) selfCounter {
		return selfCounter{shards: s, slot: hold(KindCounter, name, tags...)}
	}
	overflowed := counter("overflowed") // first: it would count itself if it were an overflow series
	m := &selfMetrics{
		series: gauge("series"), shards: gauge("shards"), bytes: gauge("bytes"),
		flips: counter("flips"), negatives: counter("negatives"),
		rejected: counter("rejected"), overflowed: overflowed,
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
	stats := f.accountInShort()
	describe(&stats, f.shards, f.registry)
	m.series.set(float64(stats.Series))
	m.shards.set(float64(stats.Shards))
	m.bytes.set(float64(stats.Bytes))
	m.flips.update(stats.Flips)
	m.negatives.update(stats.Negatives)
	m.rejected.update(stats.Rejected)
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
