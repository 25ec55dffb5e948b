package otelsink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

// A Producer is a sink that keeps the totals of one buffer, for the SDK's readers. It is a [metricsbuffer.Attacher] and
// a Producer of the SDK's package metric.
type Producer struct {
	flush atomic.Pointer[func(context.Context) error] // the buffer's; nil before Attach

	mu     sync.Mutex // guards the fields below
	totals cumulative.Totals[attribute.Set]
	end    time.Time // of the last batch
}

// NewProducer returns a producer without any totals. Give it to one buffer, with [metricsbuffer.WithSink], and to any
// number of readers, with metric.WithProducer.
func NewProducer(opts ...Option) (*Producer, error) {
	var c config
	if err := option.Apply("otelsink: NewProducer", &c, opts); err != nil {
		return nil, err
	}
	if c.resource != nil {
		return nil, errors.New("otelsink: NewProducer: WithResource is for New; give the resource to the reader's " +
			"MeterProvider, with metric.WithResource")
	}
	return new(Producer), nil
}

func admit(s *cumulative.Series[attribute.Set]) (refused string, err error) {
	if reason := unfit(&s.Point); reason != "" {
		return reason, nil
	}
	s.Detail = attributes(&s.Point)
	return "", nil
}

// String returns "opentelemetry producer".
func (p *Producer) String() string { return "opentelemetry producer" }

// Attach gives the producer its buffer. [metricsbuffer.New] calls it. It returns an error if the producer has a buffer
// already.
func (p *Producer) Attach(flush func(context.Context) error) error {
	if !p.flush.CompareAndSwap(nil, &flush) {
		return errors.New("otelsink: the producer has been given to another buffer; make one for each with " +
			"otelsink.NewProducer")
	}
	return nil
}

// Write adds the batch to the totals. It does not fail.
func (p *Producer) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.Before(batch.End) {
		p.end = batch.End
	}
	p.totals.Admit = admit // also if NewProducer has not made p
	return p.totals.Add(batch)
}

// Produce flushes the buffer to this producer alone, and returns the totals. They are cumulative for every reader,
// as is usual for producers. A reader calls it. It waits at most 5 seconds for the flush. An error of the
// flush does not keep the totals back: pending updates are in later ones, and the buffer's error handler is told. The
// totals of a closed buffer remain.
//
// A producer without a buffer returns an error.
func (p *Producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	flush := p.flush.Load()
	if flush == nil {
		return nil, errors.New("otelsink: the producer has no buffer, so there is nothing to read: give it to " +
			"metricsbuffer.New, by metricsbuffer.WithSink(producer)")
	}
	now := time.Now() // the totals have every update before it, after the flush
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	_ = (*flush)(ctx) // see above
	if list := p.snapshot(now); len(list) > 0 {
		return []metricdata.ScopeMetrics{{Scope: scope, Metrics: list}}, nil
	}
	return nil, nil
}

const flushTimeout = 5 * time.Second

// snapshot returns the totals as of now, or of the last batch if that is younger. They share nothing with the totals:
// readers export them later, without the lock.
func (p *Producer) snapshot(now time.Time) []metricdata.Metrics {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.end) {
		now = p.end
	}
	var metrics metrics
	for s := range p.totals.All() {
		metrics.add(&s.Point, s.Detail, metricdata.CumulativeTemporality, s.Start, now)
	}
	return metrics.list
}
