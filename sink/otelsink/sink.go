package otelsink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

// A Sink pushes batches through an exporter. [New] makes one.
type Sink struct {
	mu       sync.Mutex // one export at a time, also for several buffers: exporters promise no more
	exporter sdk.Exporter
	resource *resource.Resource
}

// New returns a sink that pushes through exporter, with deltas: the exporter's temporality and aggregation are for the
// SDK's own instruments. The exporter belongs to the sink from now on: the buffer's Close shuts it down, so do not give
// it to a reader as well.
//
// Exporters retry by themselves, for a minute in OTLP's case. The sink's timeout ([metricsbuffer.SinkTimeout]) ends
// that: the batch then waits in the buffer.
func New(exporter sdk.Exporter, opts ...Option) (*Sink, error) {
	var c config
	err := errors.Join(
		option.Target("otelsink: New", "exporter", exporter, "make one, for example with otlpmetricgrpc.New(ctx)"),
		option.Apply("otelsink: New", &c, opts))
	if err != nil {
		return nil, err
	}
	if c.resource == nil {
		c.resource = resource.Default()
	}
	return &Sink{exporter: exporter, resource: c.resource}, nil
}

// String names the sink by the type of its exporter.
func (s *Sink) String() string { return fmt.Sprintf("opentelemetry %T", s.exporter) }

// pointsPerExport keeps most requests below the 4 MiB that servers of gRPC take by default. A point with long tags,
// many exemplars or all 1,009 buckets in use is several kilobytes: its request may be refused, and is halved then.
const pointsPerExport = 1000

// Write exports the batch in requests of at most 1,000 points, and acknowledges each of them by itself. An export that
// failed without an answer (a timeout, a broken connection) may have arrived. It is repeated all the same.
//
// A request that is refused because of its content is halved until the rest is taken: one that is too large, that the
// backend calls invalid, or that has a number that the exporter cannot write as JSON. A point that is refused alone is
// dropped. The error tells of the first one. If the backend also refuses a request without points, the points are not
// the reason, but a wrong path or a missing header, say: they stay in the buffer.
//
// An answer that rejects some points is an error too, but final, as the protocol demands: the rejected points are lost.
// All points count as acknowledged, because the answer does not tell which ones were rejected. The error tells of all
// such answers, also if a later export failed. They are known by the type of the error, which is that of otlpmetricgrpc
// and otlpmetrichttp; so are the refusals, by the status of gRPC or HTTP, or by the error of encoding/json. The
// export is repeated after any other error.
//
// An answer with a message that rejects no point is a warning, by the protocol: all points have been taken. Write gives
// it to [otel.Handle], and returns no error for it.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	batch.Acknowledge(0) // the ends, which are not exported
	s.mu.Lock()
	defer s.mu.Unlock()
	var rejected, refused error
	blamed := false // the points are the reason why the backend calls a request invalid
	size := pointsPerExport
	for from := 0; from < len(batch.Points); {
		to := min(from+size, len(batch.Points))
		err := s.export(ctx, fitting(batch, from, to))
		n, partial := rejectedBy(err)
		switch {
		case err == nil:
		case partial && n == 0:
			otel.Handle(fmt.Errorf("%w; this is a warning, all points were taken", err))
		case partial:
			rejected = errors.Join(rejected, err)
		default:
			reason := refusal(err)
			if reason == invalid && !blamed {
				blamed = s.takesEmpty(ctx)
			}
			if reason == "" || reason == invalid && !blamed {
				return errors.Join(rejected, refused, err)
			}
			if to-from > 1 {
				size = (to - from) / 2
				continue
			}
			batch.Drop(from, reason)
			if refused == nil {
				refused = fmt.Errorf("%v %.100q is dropped: %w", batch.Points[from].Kind, batch.Points[from].Name, err)
			}
		}
		batch.Acknowledge(to)
		from = to
		size = min(2*size, pointsPerExport)
	}
	return errors.Join(rejected, refused)
}

// takesEmpty reports whether the backend takes a request without points, as the protocol demands.
func (s *Sink) takesEmpty(ctx context.Context) bool {
	err := s.exporter.Export(ctx, &metricdata.ResourceMetrics{
		Resource: s.resource, ScopeMetrics: []metricdata.ScopeMetrics{{Scope: scope}},
	})
	_, partial := rejectedBy(err)
	return err == nil || partial
}

// fitting returns the points from one index to another, as metrics. It drops those that cannot be carried.
func fitting(batch *metricsbuffer.Batch, from, to int) []metricdata.Metrics {
	var metrics metrics
	for i := from; i < to; i++ {
		p := &batch.Points[i]
		reason := unfit(p)
		if p.Kind == metricsbuffer.KindCounter && p.Count < 0 {
			reason = cumulative.NegativeDelta
		}
		if reason != "" {
			batch.Drop(i, reason)
			continue
		}
		metrics.add(p, attributes(p), metricdata.DeltaTemporality, batch.Start, batch.End)
	}
	return metrics.list
}

func (s *Sink) export(ctx context.Context, list []metricdata.Metrics) error {
	if len(list) == 0 {
		return nil
	}
	err := s.exporter.Export(ctx, &metricdata.ResourceMetrics{
		Resource:     s.resource,
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: scope, Metrics: list}},
	})
	if err != nil {
		return fmt.Errorf("otelsink: %w", err)
	}
	return nil
}

// Close shuts the exporter down, in at most 5 seconds. The buffer calls it, after the last Write has returned.
func (s *Sink) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.exporter.Shutdown(ctx); err != nil {
		return fmt.Errorf("otelsink: shutting the exporter down: %w", err)
	}
	return nil
}

const shutdownTimeout = 5 * time.Second
