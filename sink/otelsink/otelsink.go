// Package otelsink delivers a buffer through OpenTelemetry's SDK, in one of two ways.
//
// A [Sink] pushes each batch through an exporter, such as that for OTLP, as it is: sums and histograms are deltas, with
// the batch's start and end as their times. An export that fails leaves the batch in the buffer, which merges it into
// the next one. Use it where the backend takes deltas.
//
//	exporter, err := otlpmetricgrpc.New(ctx)
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(otelsink.New(exporter)))
//
// [Totals] add up the batches instead, and give the sums since the beginning to any number of the SDK's readers, which
// export them along with their own. Use them where there are readers anyway, or where the backend wants cumulative
// sums.
//
//	totals := otelsink.NewTotals()
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(totals, metricsbuffer.SinkInterval(0)))
//	…
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(totals.Producer(buffer)))
//
// # What becomes of each kind
//
//	counter      monotonic sum of integers
//	gauge        gauge; NaN and infinities are carried
//	timer        exponential histogram in the unit ns
//	histogram    exponential histogram in its unit
//
// Histograms have the buffer's own buckets, at scale 4, and the exact count, sum, minimum and maximum. Nanoseconds are
// what makes that possible for timers: the buckets of seconds have other bounds. Names and tags are carried as they
// are, as string attributes; a name used for two kinds makes two metrics of that name.
//
// Some points cannot be carried, and are dropped, which [metricsbuffer.SinkStats] counts by reason: strings that are
// not UTF-8; series with a key twice; counters of which the sum in the batch is negative, since the sum is monotonic.
package otelsink

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/metricsbuffer/metricsbuffer"
)

var scope = instrumentation.Scope{Name: "github.com/metricsbuffer/metricsbuffer"}

// A Sink pushes batches through an exporter. [New] makes one.
type Sink struct {
	exporter sdk.Exporter
	resource *resource.Resource
}

// An Option is given to [New].
type Option func(*Sink)

// WithResource sets what the metrics are said to come from, instead of [resource.Default].
func WithResource(r *resource.Resource) Option {
	return func(s *Sink) { s.resource = r }
}

// New returns a sink that pushes through exporter. What the exporter says of temporality and aggregation is for the
// SDK's own instruments; it is given deltas. To shut it down, after the buffer was closed, is up to the caller.
//
// Exporters retry by themselves, for a minute in OTLP's case. The sink's timeout ([metricsbuffer.SinkTimeout]) ends
// that: the batch then waits in the buffer.
func New(exporter sdk.Exporter, opts ...Option) *Sink {
	s := &Sink{exporter: exporter, resource: resource.Default()}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// String names the sink by the type of its exporter.
func (s *Sink) String() string { return fmt.Sprintf("opentelemetry %T", s.exporter) }

// pointsPerExport keeps requests below the 4 MiB that servers of gRPC take, if not told otherwise: a point is seldom
// larger than a kilobyte, or two with all 1,009 buckets in use.
const pointsPerExport = 1000

// Write exports the batch, at most 1,000 points at once, each of which requests is acknowledged by itself. It cannot
// tell if an export that failed without an answer (a timeout, a connection that broke) did arrive: it is done again.
//
// An answer that says that some points were rejected is an error too, but final, as the protocol wants it: what the
// backend rejected is gone, and all points count as acknowledged, because the answer does not tell which ones it was.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	var rejected error
	for from := 0; from < len(batch.Points); from += pointsPerExport {
		to := min(from+pointsPerExport, len(batch.Points))
		var metrics metrics
		for i := from; i < to; i++ {
			p := &batch.Points[i]
			if reason := unfit(p); reason != "" {
				batch.Drop(i, reason)
				continue
			}
			metrics.add(p, attributes(p), metricdata.DeltaTemporality, batch.Start, batch.End)
		}
		if err := s.export(ctx, metrics.list); err != nil {
			if !isPartialSuccess(err) {
				return err
			}
			rejected = err
		}
		batch.Acknowledge(to)
	}
	return rejected
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

// isPartialSuccess tells if the backend has taken the rest. The exporters' error for that is of an internal type; its
// text is all there is.
func isPartialSuccess(err error) bool { return strings.Contains(err.Error(), "OTLP partial success: ") }
