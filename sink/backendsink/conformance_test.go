package backendsink_test

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A recording is a backend that records its calls, unless it is broken.
type recording struct {
	mu     sync.Mutex
	broken bool
	points []metricsbuffer.Point
}

func (r *recording) breakDown(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

func (r *recording) received() ([]metricsbuffer.Point, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.points), nil
}

func (r *recording) take(p metricsbuffer.Point) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		return errRefused
	}
	p.Tags = slices.Clone(p.Tags)
	r.points = append(r.points, p)
	return nil
}

func (r *recording) Increment(name string, delta int64, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Tags: tags, Count: delta})
}

func (r *recording) IncrementFraction(name string, delta float64, tags []metricsbuffer.Tag) error {
	p := metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: name, Tags: tags}
	var err error
	if p.Count, p.Decimals, err = sinktest.ParseAmount(strconv.FormatFloat(delta, 'f', -1, 64)); err != nil {
		return err
	}
	return r.take(p)
}

func (r *recording) Gauge(name string, value float64, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: name, Tags: tags, Value: value})
}

func (r *recording) Timing(name string, count int64, total time.Duration, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{
		Kind: metricsbuffer.KindTimer, Name: name, Tags: tags, Count: count, Sum: int64(total),
	})
}

func (r *recording) Histogram(name, unit string, count, total int64, tags []metricsbuffer.Tag) error {
	return r.take(metricsbuffer.Point{
		Kind: metricsbuffer.KindHistogram, Name: name, Unit: unit, Tags: tags, Count: count, Sum: total,
	})
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Subject {
		r := new(recording)
		return sinktest.Subject{
			Sink:     sinkFor(r),
			Received: r.received,
			Break:    func() { r.breakDown(true) },
			Mend:     func() { r.breakDown(false) },
		}
	})
}
