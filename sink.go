package metricsbuffer

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/bucket"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

// A Tag is one dimension of a series. Two updates belong to the same series if they have the same kind, name and tags,
// for histograms the same unit, and for counters the same number of decimals. The order of the tags does not matter; a
// tag that is given twice counts twice. In a [Point] they are sorted by key, then by value.
//
// Names, keys and values may be any bytes, also none, and such as are not UTF-8: each [Sink] escapes them as its
// protocol demands, or drops the point ([Batch.Drop]).
type Tag struct{ Key, Value string }

func (k Kind) storage() storage {
	switch k {
	case KindTimer, KindHistogram:
		return distributed
	case KindGauge:
		return gauges
	}
	return sums
}

// T returns a tag. It is short for Tag{Key: key, Value: value}.
func T(key, value string) Tag { return Tag{Key: key, Value: value} }

// compareTags orders tags as those of a [Point].
func compareTags(a, b Tag) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}

// A Kind says which of a [Point]'s fields carry its value.
type Kind uint8

// The kinds of points.
const (
	KindCounter   Kind = iota // Count is the sum of the deltas, in steps of 10^-Decimals.
	KindTimer                 // Count observations; Sum, Min, Max and Buckets in nanoseconds.
	KindGauge                 // Value is the latest one that was set.
	KindHistogram             // As KindTimer, in Unit.

	kinds = iota
)

// String returns "counter", "timer", "gauge" or "histogram".
func (k Kind) String() string {
	switch k {
	case KindCounter:
		return "counter"
	case KindTimer:
		return "timer"
	case KindGauge:
		return "gauge"
	case KindHistogram:
		return "histogram"
	}
	return "kind " + strconv.Itoa(int(k))
}

// A Sink delivers batches to a backend. Package sinktest tests a sink.
//
// It may have more methods, which the buffer looks for:
//
//   - Attach, for a sink that is asked for its values: see [Attacher].
//   - Close() error, as in [io.Closer]: the buffer calls it once, after the sink's last Write has returned.
//     [Buffer.Close] returns its error.
//   - Unwrap() [Sink], for a sink that wraps another one: the buffer finds Attach and Close of the wrapped sink
//     through it. A method of the wrapper comes first.
//   - String() string, as in [fmt.Stringer]: the sink's name in errors and in [SinkStats], unless [SinkName] gives one.
type Sink interface {
	// Write delivers one batch. Returning nil acknowledges every point that was not dropped: all points leave the buffer
	// for good. A Write that delivers in pieces acknowledges each of them by [Batch.Acknowledge]. It gives up a point that
	// it can never deliver by [Batch.Drop]. After an error or a panic, points that were neither dropped nor acknowledged
	// stay in the buffer, and are merged into the sink's next batch. That batch begins with the first of them, or behind
	// it if that one was the first of its batch. So neither a point that always fails, nor a sink that never gets to the
	// end in time, holds up the other points for ever.
	//
	// Write is never called concurrently for one sink. ctx ends when the sink's timeout has passed ([SinkTimeout]), or
	// when the buffer's time to close is over. A Write that goes on delays nobody else. Its result still counts: nil
	// acknowledges, however late. Write must not call [Buffer.Flush] or [Buffer.Close], which would wait for it.
	//
	// The batch, its points and their tags belong to the buffer. They may be read until Write returns, and must not be
	// changed. Strings may be kept.
	Write(ctx context.Context, batch *Batch) error
}

// An Attacher is a [Sink] that is asked for its values: a scraped page, or a reader that collects. [New] gives it a
// function that fetches them. Such a sink gets a batch when it asks for one, and by [Buffer.Flush] and [Buffer.Close],
// but at an interval only if [SinkInterval] says so.
type Attacher interface {
	Sink

	// Attach is called once by [New]. The function flush delivers to this sink alone, as [Buffer.Flush] does to all
	// sinks, and returns when this sink has acknowledged. No other sink delays it or makes it fail. It may be called
	// from any goroutine, except from inside Write. It returns [ErrClosed] once the buffer is closed, and does not keep
	// the buffer from being collected as garbage. If Attach returns an error or panics, New returns an error. It does not
	// close the sinks then. The flush of a sink that was attached before returns [ErrClosed] from then on, and this
	// library's sinks cannot be attached a second time.
	Attach(flush func(context.Context) error) error
}

// SinkFunc makes a function a [Sink].
type SinkFunc func(ctx context.Context, batch *Batch) error

// Write calls f.
func (f SinkFunc) Write(ctx context.Context, batch *Batch) error { return f(ctx, batch) }

// A Batch holds the updates that were recorded since the sink's last acknowledgement. Each series is in it at most
// once. A series is in the first batch after it was made, even if its value is zero: a backend that computes rates
// needs to see a counter before it counts. Later it is in a batch only if something was recorded in it, or if its name
// was described ([Buffer.Describe]). A gauge has no value before it is set, and is in no batch before that. A Batch is
// valid during [Sink.Write] only.
type Batch struct {
	// All updates of the batch were recorded before End. Start is the End of the sink's previous batch. If a later flush
	// had nothing to deliver, it is the time of that flush: no update was recorded in between. Collecting a batch takes
	// some microseconds, or as long as the longest commit of more than 64 updates that is under way. An update that is
	// recorded in that time may be in either batch. A failed batch is merged into the next one, whose Start is that of the
	// failed batch.
	Start, End time.Time
	Points     []Point

	// Ended are series that the buffer has forgotten ([WithIdleExpiry]), without values. A sink that keeps something for
	// each series can drop it. Name and tags may have come back as a new series, with another ID. So a sink looks at
	// Ended before Points, and compares the ID: after a Write that failed, an end comes again, and the new series may be
	// known by then. A sink that hands points on to another sink hands Ended on, too. Write acknowledges Ended by
	// returning nil, or by [Batch.Acknowledge]. A batch may have Ended and no Points.
	Ended []Point

	outcome outcome
}

// A Point is one series' aggregate over the time of its batch. Help, and the Unit of a counter or gauge, are the name's
// description ([Buffer.Describe]). They are valid UTF-8, may change from batch to batch, and do not tell series apart.
// The Unit of a histogram does.
//
// A sink may keep data by Kind and ID. If it gets points of several buffers, or points that a program made itself, it
// also compares name, unit, decimals and tags. Such a program may give all points the ID 0.
type Point struct {
	Name     string
	Tags     []Tag // sorted; never changed, shared by all batches
	Kind     Kind
	ID       uint32   // a small number that no other series of this kind has, until the sink has acknowledged its end
	Decimals int      // counter: Count is the sum times 10^Decimals; 0 if it counts whole numbers. See [Point.Amount]
	Count    int64    // counter: sum of the deltas; timer, histogram: number of observations
	Sum      int64    // timer: nanoseconds; histogram: in its unit
	Min      int64    // likewise
	Max      int64    // likewise
	Value    float64  // gauge: the latest when Write is called, which may have been set after the batch's End
	Unit     string   // histogram: as given; counter, gauge: as described; may be empty; timer: empty
	Help     string   // of the name, as described; may be empty
	Buckets  *Buckets // timer, histogram: how the observations are distributed; belongs to the batch

	// Exemplars are some of the observations of a timer or histogram, at most one of each octave, in ascending order.
	// They belong to the batch.
	Exemplars []Exemplar
}

// An Exemplar is an observation with the span in which it was measured: see [Timer.ObserveExemplar]. It is in the same
// batch as its observation. If a sink fails to deliver several exemplars of an octave, the latest of them is kept.
type Exemplar struct {
	TraceContext

	Value int64     // of a timer in nanoseconds, of a histogram in its unit; never negative
	Time  time.Time // of the observation
}

// AppendAmount appends Count/10^Decimals, the sum of a counter, as the shortest decimal number that is exact: 3, -0.25,
// 12.000001. It has no exponent.
func (p *Point) AppendAmount(dst []byte) []byte { return decimal.AppendShort(dst, p.Count, p.Decimals) }

// Amount returns Count/10^Decimals, the sum of a counter, as the nearest float64. [Point.AppendAmount] is exact.
func (p *Point) Amount() float64 {
	if size := p.Count >> 53; size == 0 || size == -1 { // both numbers are exact as a float64: it is rounded once
		return float64(p.Count) / float64(decimal.Power(p.Decimals))
	}
	v, _ := strconv.ParseFloat(string(p.AppendAmount(nil)), 64) // it rounds correctly, and reads every such number
	return v
}

// An outcome says which points of a batch a sink acknowledged or dropped while it wrote.
type outcome struct {
	acknowledged int               // the first so many points are delivered
	ended        bool              // so are the ends
	dropped      map[int]string    // by index: points that can never be delivered, with the reason
	reasons      map[string]string // copies of the reasons
}

// Acknowledge tells the buffer that the first n points are delivered: if Write then fails, only Points[n:] stay in the
// buffer. It acknowledges Ended, too, also with n = 0. A sink that sends a batch in pieces calls it after each piece.
// It may be called from Write's goroutine only. A smaller n than before changes nothing.
func (b *Batch) Acknowledge(n int) {
	b.outcome.ended = true
	b.outcome.acknowledged = max(b.outcome.acknowledged, min(n, len(b.Points)))
}

// Drop tells the buffer that Points[i] can never be delivered by this sink (its name cannot be expressed in the
// protocol, say). The point leaves the buffer and is counted as dropped, under the reason, in [SinkStats]; other sinks
// still get it. The error handler ([WithErrorHandler]) is told of the first point of each reason. Reasons should be few
// and constant: beyond 100 they are counted together as "other reasons". Of a reason the first 200 bytes are kept. Drop
// may be called from Write's goroutine only, and panics if there is no Points[i].
func (b *Batch) Drop(i int, reason string) {
	_ = b.Points[i]
	if b.outcome.dropped == nil {
		b.outcome.dropped, b.outcome.reasons = make(map[int]string), make(map[string]string)
	}
	kept, known := b.outcome.reasons[reason]
	if !known {
		kept = strings.Clone(reason) // it is kept for longer than Write takes
		b.outcome.reasons[kept] = kept
	}
	b.outcome.dropped[i] = kept
}

// Acknowledged returns how many of the first points were acknowledged by [Batch.Acknowledge]. It is for sinks that wrap
// another one: if the wrapped Write returned nil, all points are acknowledged.
func (b *Batch) Acknowledged() int { return b.outcome.acknowledged }

// Dropped says whether Points[i] was dropped by [Batch.Drop], and for which reason.
func (b *Batch) Dropped(i int) (reason string, dropped bool) {
	reason, dropped = b.outcome.dropped[i]
	return reason, dropped
}

// maxWrappers is how many sinks around a sink are looked through: one may unwrap to itself.
const maxWrappers = 100

// optional returns the sink as a T, or else the first sink it wraps that is one.
func optional[T any](sink Sink) (found T, ok bool) {
	for range maxWrappers {
		if sink == nil {
			break
		}
		if found, ok = sink.(T); ok {
			return found, true
		}
		wrapper, ok := sink.(interface{ Unwrap() Sink })
		if !ok {
			break
		}
		sink = wrapper.Unwrap()
	}
	return found, false
}

// BucketScale is the resolution of [Buckets]: there are 2^BucketScale = 16 of them from one power of two to the next.
const BucketScale = bucket.Scale

// Buckets says how many observations fell into each of the ranges (2^(i/16), 2^((i+1)/16)], and how many were zero.
// Their sum is the point's Count.
//
// This is the layout of an OpenTelemetry exponential histogram of scale 4, with the positive offset Offset, and of a
// Prometheus native histogram of schema 4, whose indexes are those of this layout plus one.
type Buckets struct {
	Zeros  uint64
	Offset int      // the i of Counts[0]
	Counts []uint64 // may begin and end with zeros
}

// A Bucket is a range of values and how many observations are in it.
type Bucket struct {
	Lower float64 // exclusive; the bucket of zeros has Lower = Upper = 0
	Upper float64 // inclusive
	Count uint64
}

// All yields the buckets that are not empty, from the lowest to the highest.
func (b *Buckets) All() iter.Seq[Bucket] {
	return func(yield func(Bucket) bool) {
		if b.Zeros > 0 && !yield(Bucket{Count: b.Zeros}) {
			return
		}
		for i, n := range b.Counts {
			if n == 0 {
				continue
			}
			at := b.Offset + i
			if !yield(Bucket{Lower: bucket.Upper(at - 1), Upper: bucket.Upper(at), Count: n}) {
				return
			}
		}
	}
}

// Quantile returns an estimate of the q-quantile of a timer's or histogram's observations: the value that a share of q
// of them do not exceed, such as the median for q = 0.5. It is at most 2.2 % off. It is exact for q <= 0, the minimum,
// and for q >= 1, the maximum. It is NaN if q is NaN, or if there are no observations.
func (p *Point) Quantile(q float64) float64 {
	switch {
	case p.Buckets == nil || p.Count == 0 || math.IsNaN(q):
		return math.NaN()
	case q <= 0:
		return float64(p.Min)
	case q >= 1:
		return float64(p.Max)
	}
	rank := uint64(math.Ceil(q * float64(p.Count)))
	for b := range p.Buckets.All() {
		if b.Count < rank {
			rank -= b.Count
			continue
		}
		// The geometric mean of the bounds has the same relative distance from both.
		middle := math.Sqrt(b.Lower * b.Upper)
		return min(max(middle, float64(p.Min)), float64(p.Max))
	}
	return float64(p.Max)
}

// Clone returns a copy that shares nothing with b. A sink needs one to keep buckets for longer than [Sink.Write] takes.
func (b *Buckets) Clone() *Buckets {
	return &Buckets{Zeros: b.Zeros, Offset: b.Offset, Counts: slices.Clone(b.Counts)}
}

// Add adds the counts of other to b.
func (b *Buckets) Add(other *Buckets) {
	b.Zeros += other.Zeros
	if len(other.Counts) == 0 {
		return
	}
	into := b.cover(other.Offset, len(other.Counts))
	for i, n := range other.Counts {
		into[i] += n
	}
}

// span returns the first bucket that is not empty, and how many there are from there to the last.
func (b *Buckets) span() (first, n int) {
	low, high := 0, len(b.Counts)
	for low < high && b.Counts[low] == 0 {
		low++
	}
	for low < high && b.Counts[high-1] == 0 {
		high--
	}
	return b.Offset + low, high - low
}

// cover makes room for n buckets from offset on, and returns their counts.
func (b *Buckets) cover(offset, n int) []uint64 {
	if b.Counts == nil {
		b.Offset = offset
	}
	low, high := min(b.Offset, offset), max(b.Offset+len(b.Counts), offset+n)
	if high-low > len(b.Counts) {
		counts := make([]uint64, high-low)
		copy(counts[b.Offset-low:], b.Counts)
		b.Offset, b.Counts = low, counts
	}
	return b.Counts[offset-b.Offset:][:n]
}
