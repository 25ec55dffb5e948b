package otelsink

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
)

// Totals is a sink that adds up batches, for the SDK's readers. [NewTotals] makes one. It is for one buffer, and keeps
// every series it ever got, unless it is told not to ([WithIdleExpiry]).
type Totals struct {
	expiry time.Duration // 0: none

	mu     sync.Mutex // Write changes what follows, readers read it
	series map[string]*total
	end    time.Time // of the last batch
	swept  time.Time
	key    []byte // scratch
}

// A total is all that was recorded in a series since start.
type total struct {
	metricsbuffer.Point // without tags
	attributes          attribute.Set
	start, updated      time.Time
}

// A TotalsOption is given to [NewTotals].
type TotalsOption func(*Totals)

// WithIdleExpiry has totals forgotten that got nothing for d, so that series which come and go need no more memory than
// those that are there. One that comes back begins at zero, with a new start. It goes with
// [metricsbuffer.WithIdleExpiry]. Without it, or if d is not positive, totals are kept.
func WithIdleExpiry(d time.Duration) TotalsOption {
	return func(t *Totals) { t.expiry = d }
}

// NewTotals returns a sink that has not got anything yet.
func NewTotals(opts ...TotalsOption) *Totals {
	t := &Totals{series: make(map[string]*total)}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

// String returns "opentelemetry totals".
func (t *Totals) String() string { return "opentelemetry totals" }

// Write adds the batch to the totals. It does not fail.
func (t *Totals) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range batch.Points {
		p := &batch.Points[i]
		if reason := unfit(p); reason != "" {
			batch.Drop(i, reason)
			continue
		}
		t.key = appendKey(t.key[:0], p)
		to := t.series[string(t.key)]
		if to == nil {
			to = &total{attributes: attributes(p), start: batch.Start}
			to.Point = metricsbuffer.Point{Kind: p.Kind, Name: p.Name, Unit: p.Unit, Min: p.Min, Max: p.Max}
			to.Buckets = new(metricsbuffer.Buckets)
			t.series[string(t.key)] = to
		}
		to.add(p, batch.Start)
		to.updated = batch.End
	}
	if t.end.Before(batch.End) {
		t.end = batch.End
	}
	t.expire(batch.End)
	return nil
}

// expire forgets what is idle, now and then: it looks at all series.
func (t *Totals) expire(now time.Time) {
	if t.expiry <= 0 || now.Sub(t.swept) < t.expiry/2 {
		return
	}
	t.swept = now
	for key, total := range t.series {
		if now.Sub(total.updated) >= t.expiry {
			delete(t.series, key)
		}
	}
}

// add adds a point. A total that would overflow begins anew, which its start tells.
func (t *total) add(p *metricsbuffer.Point, start time.Time) {
	if t.Count > math.MaxInt64-p.Count || t.Sum > 0 && p.Sum > math.MaxInt64-t.Sum {
		t.start = start
		t.Count, t.Sum, t.Min, t.Max = 0, 0, p.Min, p.Max
		t.Buckets = new(metricsbuffer.Buckets)
	}
	t.Count += p.Count
	t.Sum += p.Sum
	t.Min, t.Max = min(t.Min, p.Min), max(t.Max, p.Max)
	t.Value = p.Value
	if p.Buckets != nil {
		t.Buckets.Add(p.Buckets)
	}
}

// appendKey appends what only points of the same series have.
func appendKey(key []byte, p *metricsbuffer.Point) []byte {
	key = append(key, byte(p.Kind))
	key = appendString(appendString(key, p.Name), p.Unit)
	for _, tag := range p.Tags {
		key = appendString(appendString(key, tag.Key), tag.Value)
	}
	return key
}

// appendString appends s so that it can be told where it ends.
func appendString(key []byte, s string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(s))), s...)
}

// Producer returns a producer for the SDK's readers ([sdk.WithProducer]). Whenever it is asked it has the buffer
// flush to this sink, and then gives the totals, which are cumulative whatever the reader prefers, as is usual for
// producers. It may be used by several readers. The buffer must be the one that the sink was given to; of a nil one, or
// one that is closed, the totals remain.
//
// It does not depend on the buffer's other sinks, unless this one was given to it inside of another: then all are
// flushed, and it waits at most 5 seconds for that. Errors of the flush are no reason not to export the totals: what
// has not been delivered comes with the next ones, and the buffer's error handler knows.
func (t *Totals) Producer(buffer *metricsbuffer.Buffer) sdk.Producer { return &producer{t, buffer} }

type producer struct {
	totals *Totals
	buffer *metricsbuffer.Buffer
}

const flushTimeout = 5 * time.Second

// Produce is called by a reader.
func (p *producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	now := time.Now() // everything recorded before is in the totals after the flush
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := p.buffer.FlushSink(ctx, p.totals); errors.Is(err, metricsbuffer.ErrUnknownSink) {
		_ = p.buffer.Flush(ctx)
	}
	if list := p.totals.snapshot(now); len(list) > 0 {
		return []metricdata.ScopeMetrics{{Scope: scope, Metrics: list}}, nil
	}
	return nil, nil
}

func (t *Totals) snapshot(now time.Time) []metricdata.Metrics {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.end) {
		now = t.end
	}
	var metrics metrics
	for _, total := range t.series {
		metrics.add(&total.Point, total.attributes, metricdata.CumulativeTemporality, total.start, now)
	}
	return metrics.list
}
