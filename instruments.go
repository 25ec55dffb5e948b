package metricsbuffer

import (
	"runtime"
	"time"
)

// A Counter is a series that sums up deltas. [Buffer.Counter] makes one; a nil *Counter does nothing. All methods may
// be called concurrently.
type Counter struct {
	shards *shards
	slot   uint32
	lease  *lease
}

// Add adds delta. It may be negative, though several backends refuse a sum that is: for what goes up and down there are
// gauges. The sum wraps around like any int64. It costs a few nanoseconds, whatever
// other goroutines do, and allocates nothing once the counter has been used on each P.
func (c *Counter) Add(delta int64) {
	if c != nil {
		c.shards.add(c.slot, delta)
		runtime.KeepAlive(c.lease)
	}
}

// Inc adds one.
func (c *Counter) Inc() { c.Add(1) }

// A Timer is a series of durations. [Buffer.Timer] makes one; a nil *Timer does nothing. All methods may be called
// concurrently.
type Timer struct {
	shards *shards
	slot   uint32
	lease  *lease
}

// Observe records a duration. A negative one is recorded as zero, and counted in [Stats]. The sum of all durations
// between two flushes wraps around like any int64, after 292 years.
func (t *Timer) Observe(d time.Duration) {
	if t != nil {
		t.shards.observe(t.slot, int64(d))
		runtime.KeepAlive(t.lease)
	}
}

// Start starts a stopwatch. It reads only the monotonic clock.
func (t *Timer) Start() Stopwatch { return Stopwatch{timer: t, start: time.Since(epoch)} }

// epoch is when the process started. time.Since of a time with a monotonic reading reads the monotonic clock alone,
// where time.Now reads the wall clock as well: two of the former are half the price of one of the latter and one more.
var epoch = time.Now()

// A Stopwatch measures a duration for a [Timer]. It is a value: it may be copied, and stopped by another goroutine.
type Stopwatch struct {
	timer *Timer
	start time.Duration // since epoch
}

// Stop records the time since [Timer.Start] in the timer, and returns it. Every call records it anew.
func (s Stopwatch) Stop() time.Duration {
	d := time.Since(epoch) - s.start
	s.timer.Observe(d)
	return d
}

// A Histogram is a series of sizes, depths or other whole numbers. [Buffer.Histogram] makes one; a nil *Histogram does
// nothing. All methods may be
// called concurrently.
type Histogram struct {
	shards *shards
	slot   uint32
	lease  *lease
}

// Observe records a value. A negative one is recorded as zero, and counted in [Stats]. The sum of all values between
// two flushes wraps around like any int64.
func (h *Histogram) Observe(v int64) {
	if h != nil {
		h.shards.observe(h.slot, v)
		runtime.KeepAlive(h.lease)
	}
}

// A Gauge is a series that has a value. A batch carries it if it was set since the sink's last acknowledgement. A nil
// *Gauge does nothing. All methods may be called concurrently.
type Gauge struct {
	cell  *gaugeCell
	lease *lease
}

// Set sets the gauge. Of concurrent calls, one is the last; its value stays.
func (g *Gauge) Set(v float64) {
	if g != nil {
		g.cell.set(v)
		runtime.KeepAlive(g.lease)
	}
}

// Add adds delta. Concurrent calls do not lose one another.
func (g *Gauge) Add(delta float64) {
	if g != nil {
		g.cell.add(delta)
		runtime.KeepAlive(g.lease)
	}
}

// A lease is what an instrument and its copies have in common: it keeps the series from being expired, and the buffer
// reachable. It has to outlive every use of the series' slot, so methods keep it alive to their end: without that, it
// may be collected while the last one runs.
type lease struct{ buffer *Buffer }

// lease returns the lease of a series that has been held for it, and is released when the lease has been collected.
func (b *Buffer) lease(s *series) *lease {
	l := &lease{b}
	if b.registry.expiring {
		runtime.AddCleanup(l, b.registry.release, s)
	}
	return l
}

func (b *Buffer) newCounter(s *series) *Counter {
	return &Counter{shards: b.shards, slot: s.Value.slot, lease: b.lease(s)}
}

func (b *Buffer) newTimer(s *series) *Timer {
	return &Timer{shards: b.shards, slot: s.Value.slot, lease: b.lease(s)}
}

func (b *Buffer) newHistogram(s *series) *Histogram {
	return &Histogram{shards: b.shards, slot: s.Value.slot, lease: b.lease(s)}
}

func (b *Buffer) newGauge(s *series) *Gauge {
	return &Gauge{cell: b.registry.gauge(s.Value.slot), lease: b.lease(s)}
}
