package metricsbuffer

import (
	"math"
	"runtime"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/clock"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
	"github.com/metricsbuffer/metricsbuffer/internal/seriesid"
)

// A Counter is a series that sums up deltas. [Buffer.Counter] makes one. A nil *Counter and a zero Counter do nothing.
// All methods may be called concurrently. A Counter may be copied; the copy records in the same series.
type Counter struct {
	shards *shards
	slot   uint32
	lease  *lease
}

// Add adds delta. It may be negative, but several backends refuse a negative sum: use a gauge for a value that goes up
// and down. The sum wraps around like any int64. Add costs a few nanoseconds, however many goroutines record, and
// allocates nothing once the counter has been used on each P.
func (c *Counter) Add(delta int64) {
	if c != nil && c.shards != nil {
		c.shards.add(c.slot, delta)
		runtime.KeepAlive(c)
	}
}

// Inc adds one.
func (c *Counter) Inc() { c.Add(1) }

// Delta returns the update that [Counter.Add] makes.
func (c *Counter) Delta(delta int64) Update {
	if c == nil {
		return Update{}
	}
	return Update{c.lease, delta}
}

// A FractionCounter is a series that sums up fractions, such as dollars or seconds. It counts in steps of 10^-n, where
// n is its number of decimals, so that no sum is rounded. [Buffer.FractionCounter] makes one. A nil *FractionCounter
// and a zero FractionCounter do nothing. All methods may be called concurrently. A FractionCounter may be copied; the
// copy records in the same series.
//
// It is delivered as a counter whose [Point] has Decimals. [Totals] and [Overflow] count its steps.
type FractionCounter struct {
	steps Counter
	whole float64 // steps
}

// Add adds v, rounded to the nearest step. It computes v*10^n as a float64, and rounds a half to the even number: with
// 2 decimals, 0.1 is 10 steps and 0.125 is 12. So each Add of fewer than 2^53 steps is off by half a step at most, and
// a larger one by the precision of a float64; [FractionCounter.Steps] adds exactly. If v is NaN or infinite, or has
// more steps than an int64, it is not recorded, and counted in [Stats]. The sum between two flushes wraps around like
// any int64: with 6 decimals, at 9.2e12.
func (c *FractionCounter) Add(v float64) {
	if c == nil {
		return
	}
	if steps, ok := c.round(v); ok {
		c.steps.Add(steps)
	}
}

// Delta returns the update that [FractionCounter.Add] makes.
func (c *FractionCounter) Delta(v float64) Update {
	if c == nil {
		return Update{}
	}
	steps, ok := c.round(v)
	if !ok {
		return Update{}
	}
	return c.steps.Delta(steps)
}

// Steps returns the counter of the steps. Use it for amounts that are whole numbers of steps already, as cents are, and
// with a [Local].
func (c *FractionCounter) Steps() *Counter {
	if c == nil {
		return nil
	}
	return &c.steps
}

// round returns v in steps. If there are none for v, it counts v as rejected and returns false.
func (c *FractionCounter) round(v float64) (steps int64, ok bool) {
	v = math.RoundToEven(v * c.whole)
	if v >= math.MinInt64 && v < math.MaxInt64 { // the float64 of MaxInt64 is larger by 1; NaN compares as false
		return int64(v), true
	}
	if s := c.steps.shards; s != nil {
		s.rejected.Add(1)
	}
	return 0, false
}

// A Timer is a series of durations. [Buffer.Timer] makes one. A nil *Timer and a zero Timer do nothing. All methods may
// be called concurrently. A Timer may be copied; the copy records in the same series.
type Timer struct {
	shards *shards
	slot   uint32
	lease  *lease
}

// Observe records a duration. A negative one is recorded as zero, and counted in [Stats]. The sum of all durations
// between two flushes wraps around like any int64, after 292 years.
func (t *Timer) Observe(d time.Duration) {
	if t != nil && t.shards != nil {
		t.shards.observe(t.slot, int64(d))
		runtime.KeepAlive(t)
	}
}

// ObserveExemplar records a duration, as [Timer.Observe] does, and may keep it as an [Exemplar] with the span in which
// it was measured. Call it for spans that are sampled: a trace that nobody stores is of no use. The first observation
// of an octave (above 2^(k-1) and up to 2^k nanoseconds) since the last collection is kept, so that slow ones are
// found among many fast ones. All others cost about as much as Observe, and a kept one allocates nothing once its
// octave was used. Without a trace id it is the same as Observe.
func (t *Timer) ObserveExemplar(d time.Duration, span TraceContext) {
	if t != nil && t.shards != nil {
		t.shards.observeTraced(t.slot, int64(d), span)
		runtime.KeepAlive(t)
	}
}

// ObserveN records n durations of d. A batch has all of them or none, up to a million. It takes little longer than one
// Observe, but as long again for each further million. Each further billion takes memory until the next flush. The sum
// wraps around as in Observe. It does nothing if n is not positive.
//
// Use it for a source that counts observations in buckets of its own. Record for each bucket how many observations are
// new, with one value that stands for the bucket.
func (t *Timer) ObserveN(d time.Duration, n int64) {
	if t != nil && t.shards != nil {
		t.shards.observeMany(t.slot, int64(d), n)
		runtime.KeepAlive(t)
	}
}

// Start starts a stopwatch, whose [Stopwatch.Stop] records in the timer. A function can time itself:
//
//	defer timer.Start().Stop()
func (t *Timer) Start() Stopwatch { return Stopwatch{timer: t, start: clock.Now()} }

// Took returns the update that [Timer.Observe] makes. [Stopwatch.Elapsed] measures the duration for it.
func (t *Timer) Took(d time.Duration) Update {
	if t == nil {
		return Update{}
	}
	return Update{t.lease, int64(d)}
}

// Since records the time since a stopwatch was started, and returns it. The stopwatch may come from any timer, or from
// [Start].
func (t *Timer) Since(s Stopwatch) time.Duration {
	d := clock.Since(s.start)
	t.Observe(d)
	return d
}

// A Stopwatch measures a duration. It is a value: it may be copied, and stopped by another goroutine. [Timer.Start] and
// [Start] make one. A zero Stopwatch has the duration zero, and [Timer.Since] records that.
//
// It measures by the processor's time-stamp counter where that is sound, and otherwise by Go's monotonic clock;
// [Stats] tells which. The two differ by at most 100 ppm and 50 ns. Time while the system is suspended does not count,
// on Linux. In a test (a binary of "go test") it is always Go's clock, so that durations in a bubble of
// testing/synctest are those of the bubble.
type Stopwatch struct {
	timer *Timer
	start clock.Reading
}

// Start starts a stopwatch for a timer that is not known yet, because it depends on a status or another label that is
// known at the end. [Timer.Since] records its duration:
//
//	start := metricsbuffer.Start()
//	status := serve()
//	latencies.With(status).Since(start)
func Start() Stopwatch { return Stopwatch{start: clock.Now()} }

// Elapsed returns the time since the start. It records nothing.
func (s Stopwatch) Elapsed() time.Duration { return clock.Since(s.start) }

// Stop records the time since the start in the stopwatch's timer, if it has one, and returns it. Every call records it
// anew.
func (s Stopwatch) Stop() time.Duration { return s.timer.Since(s) }

// A Histogram is a series of sizes, depths or other whole numbers. [Buffer.Histogram] makes one. A nil *Histogram and a
// zero Histogram do nothing. All methods may be called concurrently. A Histogram may be copied; the copy records in the
// same series.
type Histogram struct {
	shards *shards
	slot   uint32
	lease  *lease
}

// Observe records a value. A negative one is recorded as zero, and counted in [Stats]. The sum of all values between
// two flushes wraps around like any int64.
func (h *Histogram) Observe(v int64) {
	if h != nil && h.shards != nil {
		h.shards.observe(h.slot, v)
		runtime.KeepAlive(h)
	}
}

// ObserveExemplar records a value, as [Histogram.Observe] does, and may keep it as an [Exemplar]. See
// [Timer.ObserveExemplar].
func (h *Histogram) ObserveExemplar(v int64, span TraceContext) {
	if h != nil && h.shards != nil {
		h.shards.observeTraced(h.slot, v, span)
		runtime.KeepAlive(h)
	}
}

// ObserveN records n values of v, as [Timer.ObserveN] does.
func (h *Histogram) ObserveN(v, n int64) {
	if h != nil && h.shards != nil {
		h.shards.observeMany(h.slot, v, n)
		runtime.KeepAlive(h)
	}
}

// A TraceContext names a span of a distributed trace by the two ids of W3C's Trace Context (w3.org/TR/trace-context).
// An id of zeros is none.
type TraceContext struct {
	TraceID [16]byte
	SpanID  [8]byte
}

// Size returns the update that [Histogram.Observe] makes.
func (h *Histogram) Size(v int64) Update {
	if h == nil {
		return Update{}
	}
	return Update{h.lease, v}
}

// A Gauge is a series that has a value. A batch carries it, with the latest value, if it was set since the sink's last
// acknowledgement. [Buffer.Gauge] makes one. A nil *Gauge and a zero Gauge do nothing. All methods may be called
// concurrently. A Gauge may be copied; the copy sets the same series.
type Gauge struct {
	cell  *gaugeCell
	lease *lease
}

// Set sets the gauge. If calls are concurrent, any of their values may remain. NaN and infinities are values, too; a
// sink drops the point if its protocol has none.
func (g *Gauge) Set(v float64) {
	if g != nil && g.cell != nil {
		g.cell.set(v)
		runtime.KeepAlive(g)
	}
}

// Add adds delta to the latest value, or to zero if there is none. No concurrent call of Add is lost.
func (g *Gauge) Add(delta float64) {
	if g != nil && g.cell != nil {
		g.cell.add(delta)
		runtime.KeepAlive(g)
	}
}

// Level returns the update that [Gauge.Set] makes.
func (g *Gauge) Level(v float64) Update {
	if g == nil {
		return Update{}
	}
	return Update{g.lease, int64(math.Float64bits(v))}
}

// A lease is shared by an instrument and its copies. It keeps the series from being expired, and the buffer reachable.
// It must outlive every use of the series' slot: each method keeps its instrument alive to the end, and that keeps the
// lease. Otherwise the garbage collector could take it during the last call.
type lease struct {
	buffer *Buffer
	shards *shards
	slot   uint32
	kind   Kind
}

// newLease returns the lease of a series that has been held for it. The series is released when the lease has been
// collected as garbage.
func newLease(b *Buffer, s *series) *lease {
	l := &lease{buffer: b, shards: b.shards, slot: s.Value.slot, kind: s.Value.kind}
	if b.registry.expiring {
		runtime.AddCleanup(l, b.registry.release, s)
	}
	return l
}

func newCounter(b *Buffer, s *series) *Counter {
	return &Counter{b.shards, s.Value.slot, newLease(b, s)}
}

func newFractionCounter(b *Buffer, s *series) *FractionCounter {
	return &FractionCounter{*newCounter(b, s), float64(decimal.Power(b.registry.familyOf(s).decimals))}
}

func newTimer(b *Buffer, s *series) *Timer { return &Timer{b.shards, s.Value.slot, newLease(b, s)} }

func newHistogram(b *Buffer, s *series) *Histogram {
	return &Histogram{b.shards, s.Value.slot, newLease(b, s)}
}

func newGauge(b *Buffer, s *series) *Gauge {
	return &Gauge{b.registry.gauge(s.Value.slot), newLease(b, s)}
}

func init() { seriesid.Of = idOf }

// idOf returns which series the instrument records in.
func idOf(instrument any) seriesid.ID {
	var l *lease
	switch i := instrument.(type) {
	case *Counter:
		if i != nil {
			l = i.lease
		}
	case *Gauge:
		if i != nil {
			l = i.lease
		}
	case *Timer:
		if i != nil {
			l = i.lease
		}
	case *Histogram:
		if i != nil {
			l = i.lease
		}
	}
	if l == nil {
		return seriesid.ID{}
	}
	return seriesid.ID{Buffer: l.shards, Kind: uint8(l.kind), Slot: l.slot}
}
