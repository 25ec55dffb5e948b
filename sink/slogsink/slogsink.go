// Package slogsink writes batches to a structured log, one record for each point.
//
//	handler := slog.NewTextHandler(os.Stderr, nil) // or slog.Default().Handler()
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(slogsink.New(handler, slog.LevelInfo)))
//
// A record has the time of the batch's end, the message "metric" and these attributes:
//
//	kind, name       of the point
//	tags             a group, if there are any; a key that is there twice is in it twice
//	over             the time from the batch's start to its end
//	delta            of a counter
//	value            of a gauge; NaN and infinities are strings
//	count, sum, min, p50, p99, max, unit
//	                 of a timer, as durations and without a unit, or of a histogram
package slogsink

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Sink writes batches to a log. [New] makes one.
type Sink struct {
	handler slog.Handler
	level   slog.Level
}

// New returns a sink that hands records of the given level to the handler. It does not take a [slog.Logger], from which
// no error would come back.
func New(handler slog.Handler, level slog.Level) *Sink { return &Sink{handler, level} }

// String returns "slog".
func (s *Sink) String() string { return "slog" }

// Write hands a record for each point to the handler, and returns its first error, or that of ctx: then that point and
// those after it remain in the buffer. If the handler's level is higher, all points are dropped, which
// [metricsbuffer.SinkStats] counts.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	enabled := s.handler.Enabled(ctx, s.level)
	for i := range batch.Points {
		if ctx.Err() != nil {
			return fmt.Errorf("slogsink: after %d of %d points: %w", i, len(batch.Points), context.Cause(ctx))
		}
		p := &batch.Points[i]
		if !enabled {
			batch.Drop(i, "the log's level is higher")
			continue
		}
		record := slog.NewRecord(batch.End, s.level, "metric", 0)
		record.AddAttrs(attrs(p, batch.End.Sub(batch.Start))...)
		if err := s.handler.Handle(ctx, record); err != nil {
			return fmt.Errorf("slogsink: %v %q: %w", p.Kind, p.Name, err)
		}
		batch.Acknowledge(i + 1)
	}
	return nil
}

func attrs(p *metricsbuffer.Point, over time.Duration) []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("kind", p.Kind.String()), slog.String("name", p.Name))
	if len(p.Tags) > 0 {
		tags := make([]slog.Attr, len(p.Tags))
		for i, tag := range p.Tags {
			tags[i] = slog.String(tag.Key, tag.Value)
		}
		attrs = append(attrs, slog.Attr{Key: "tags", Value: slog.GroupValue(tags...)})
	}
	attrs = append(attrs, slog.Duration("over", over))
	switch p.Kind {
	case metricsbuffer.KindCounter:
		attrs = append(attrs, slog.Int64("delta", p.Count))
	case metricsbuffer.KindGauge:
		attrs = append(attrs, slog.Attr{Key: "value", Value: float(p.Value)})
	default:
		value := slog.Int64Value
		if p.Kind == metricsbuffer.KindTimer {
			value = func(v int64) slog.Value { return slog.DurationValue(time.Duration(v)) }
		}
		attrs = append(attrs, slog.Int64("count", p.Count), slog.Attr{Key: "sum", Value: value(p.Sum)},
			slog.Attr{Key: "min", Value: value(p.Min)})
		if p.Buckets != nil && p.Count > 0 {
			attrs = append(attrs, slog.Attr{Key: "p50", Value: value(int64(p.Quantile(0.5)))},
				slog.Attr{Key: "p99", Value: value(int64(p.Quantile(0.99)))})
		}
		attrs = append(attrs, slog.Attr{Key: "max", Value: value(p.Max)})
		if p.Unit != "" {
			attrs = append(attrs, slog.String("unit", p.Unit))
		}
	}
	return attrs
}

// float returns v as a value that every handler can write: JSON has no numbers for NaN and the infinities.
func float(v float64) slog.Value {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return slog.StringValue(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return slog.Float64Value(v)
}
