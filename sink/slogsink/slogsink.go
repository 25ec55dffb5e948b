// Package slogsink writes batches to a structured log, one record for each point.
//
//	sink, err := slogsink.New(slog.NewTextHandler(os.Stderr, nil)) // or slog.Default().Handler()
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
//
// A record has the time of the batch's end, the message "metric" and these attributes:
//
//	kind, name       of the point
//	tags             a group, present if the point has tags; a repeated key is repeated in the group
//	over             the time from the batch's start to its end
//	delta            of a counter; of fractions, a [json.Number] with all digits
//	value            of a gauge; NaN and infinities are strings
//	count, sum, min, p50, p99, max
//	                 of a timer, as durations, or of a histogram, as integers in its unit
//	unit             of a histogram, or of a counter or gauge as described; present if it has one
//
// The quantiles p50 and p99 are estimates with an error of at most 2.2 %; see [metricsbuffer.Point.Quantile].
//
// A new series has a record with zero, or with what was recorded in it; a timer or histogram without observations has
// no min, p50, p99 and max. There is no record of the end of a series ([metricsbuffer.Batch]).
package slogsink

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/point"
)

// A Sink writes batches to a log. Make one with [New]. Several buffers may share it: a [slog.Handler] is safe for
// concurrent use.
type Sink struct {
	handler slog.Handler
	level   slog.Level
}

// An Option changes a [Sink]; see [New].
type Option func(*Sink) error

// WithLevel sets the level of the records; the default is [slog.LevelInfo].
func WithLevel(level slog.Level) Option {
	return func(s *Sink) error {
		s.level = level
		return nil
	}
}

// New returns a sink that gives its records to the handler. It takes a handler instead of a [slog.Logger] because a
// logger returns no errors. A nil handler or option is an error.
func New(handler slog.Handler, opts ...Option) (*Sink, error) {
	const call = "slogsink: New"
	if err := option.Target(call, "handler", handler, "give it slog.Default().Handler(), for example"); err != nil {
		return nil, err
	}
	s := &Sink{handler, slog.LevelInfo}
	if err := option.Apply(call, s, opts); err != nil {
		return nil, err
	}
	return s, nil
}

// String returns "slog".
func (s *Sink) String() string { return "slog" }

// Write gives the handler one record for each point. It returns the handler's first error, or that of ctx: this point
// and those after it then stay in the buffer. If the handler is not enabled for the sink's level, all points are
// dropped, which [metricsbuffer.SinkStats] counts. So are points with a string that is not UTF-8: a JSON handler would
// replace its bytes, and make one series of two.
func (s *Sink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	batch.Acknowledge(0) // the ends, of which there is no record
	enabled := s.handler.Enabled(ctx, s.level)
	for i := range batch.Points {
		if ctx.Err() != nil {
			return fmt.Errorf("slogsink: after %d of %d points: %w", i, len(batch.Points), context.Cause(ctx))
		}
		p := &batch.Points[i]
		switch {
		case !enabled:
			batch.Drop(i, "the log's level is higher")
			continue
		case !point.UTF8(p):
			batch.Drop(i, point.NotUTF8)
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
	if p.Unit != "" && p.Kind != metricsbuffer.KindHistogram { // a histogram's comes behind its figures
		attrs = append(attrs, slog.String("unit", p.Unit))
	}
	switch p.Kind {
	case metricsbuffer.KindCounter:
		if p.Decimals > 0 {
			return append(attrs, slog.Any("delta", json.Number(p.AppendAmount(nil)))) // with all digits, and no quotes in JSON
		}
		return append(attrs, slog.Int64("delta", p.Count))
	case metricsbuffer.KindGauge:
		return append(attrs, slog.Attr{Key: "value", Value: float(p.Value)})
	}
	return appendDistribution(attrs, p)
}

func appendDistribution(attrs []slog.Attr, p *metricsbuffer.Point) []slog.Attr {
	add := func(key string, v int64) {
		if p.Kind == metricsbuffer.KindTimer {
			attrs = append(attrs, slog.Duration(key, time.Duration(v)))
		} else {
			attrs = append(attrs, slog.Int64(key, v))
		}
	}
	attrs = append(attrs, slog.Int64("count", p.Count))
	add("sum", p.Sum)
	if p.Count > 0 {
		add("min", p.Min)
		if v, ok := point.Quantile(p, 0.5); ok {
			add("p50", v)
		}
		if v, ok := point.Quantile(p, 0.99); ok {
			add("p99", v)
		}
		add("max", p.Max)
	}
	if p.Unit != "" {
		attrs = append(attrs, slog.String("unit", p.Unit))
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
