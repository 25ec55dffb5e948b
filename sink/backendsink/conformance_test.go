package backendsink_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A recording is a backend that records its calls, unless it is broken.
type recording struct {
	sinktest.Recorder
	broken atomic.Bool
}

func (r *recording) take(p metricsbuffer.Point) error {
	if r.broken.Load() {
		return errRefused
	}
	return r.Write(context.Background(), &metricsbuffer.Batch{Points: []metricsbuffer.Point{p}})
}

func (r *recording) Increment(name string, delta int64, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Tags: tags, Count: delta})
}

func (r *recording) Gauge(name string, value float64, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: name, Tags: tags, Value: value})
}

func (r *recording) Timing(name string, count int64, total time.Duration, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{
		Kind: metricsbuffer.KindTimer, Name: name, Tags: tags, Count: count, Sum: int64(total), Max: int64(total),
	})
}

func (r *recording) Histogram(name, unit string, count, total int64, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{
		Kind: metricsbuffer.KindHistogram, Name: name, Unit: unit, Tags: tags, Count: count, Sum: total, Max: total,
	})
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Subject {
		r := new(recording)
		return sinktest.Subject{
			Sink: sinkFor(r),
			Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int64 {
				return r.Total(kind, name, tags...).Count
			},
			Break: func() { r.broken.Store(true) },
			Mend:  func() { r.broken.Store(false) },
		}
	})
}
