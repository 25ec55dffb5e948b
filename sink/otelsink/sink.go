package otelsink

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
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
	return &Sink{exporter, c.resource}, nil
}

// String names the sink by the type of its exporter.
func (s *Sink) String() string { return fmt.Sprintf("opentelemetry %T", s.exporter) }

// pointsPerExport keeps requests below the 4 MiB that servers of gRPC take by default: a point is seldom larger than a
// kilobyte, or two with all 1,009 buckets in use.
const pointsPerExport = 1000

// Write exports the batch in requests of at most 1,000 points, and acknowledges each of them by itself. An export that
// failed without an answer (a timeout, a broken connection) may have arrived. It is repeated all the same.
//
// An answer that rejects some points is an error too, but final, as the protocol demands: the rejected points are lost.
// All points count as acknowledged, because the answer does not tell which ones were rejected. The error tells of all
// such answers, also if a later export failed. They are known by the type of the error, which is that of otlpmetricgrpc
// and otlpmetrichttp; the export is repeated after any other error.
//
// An answer with a message that rejects no point is a warning, by the protocol: all points have been taken. Write gives
// it to [otel.Handle], and returns no error for it.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	batch.Acknowledge(0) // the ends, which are not exported
	var rejected error
	for from := 0; from < len(batch.Points); from += pointsPerExport {
		to := min(from+pointsPerExport, len(batch.Points))
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
		if err := s.export(ctx, metrics.list); err != nil {
			switch n, partial := rejectedBy(err); {
			case !partial:
				return errors.Join(rejected, err)
			case n == 0:
				otel.Handle(fmt.Errorf("%w; this is a warning, all points were taken", err))
			default:
				rejected = errors.Join(rejected, err)
			}
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

// rejectedBy says whether the backend has taken the rest, because all errors that err is made of say so, and how many
// points it has rejected. The exporters' error for that is of an internal type, so only the type's name can tell. A
// text would not do: an error of the network may contain any.
func rejectedBy(err error) (points int64, partial bool) {
	switch err := err.(type) { //nolint:errorlint // it looks at each error of the tree
	case interface{ Unwrap() []error }:
		all := err.Unwrap()
		for _, one := range all {
			n, partial := rejectedBy(one)
			if !partial {
				return 0, false
			}
			points += n
		}
		return points, len(all) > 0
	case interface{ Unwrap() error }:
		return rejectedBy(err.Unwrap())
	}
	t := reflect.TypeOf(err)
	if t == nil || t.Name() != "PartialSuccess" ||
		!strings.Contains(t.PkgPath(), "go.opentelemetry.io/otel/exporters/otlp/") { // behind vendor/ in some programs
		return 0, false
	}
	if n := reflect.ValueOf(err).FieldByName("RejectedItems"); n.IsValid() && n.CanInt() {
		return n.Int(), true
	}
	return 1, true // an exporter of another version: better an error too many than a loss that is not told
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
