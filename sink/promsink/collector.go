package promsink

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer"
)

// Collector returns a collector that, for every scrape, has the buffer flush to this sink and then collects its totals.
// The buffer must be the one that the sink was given to; of a nil one, or one that is closed, the totals remain.
//
// A scrape does not depend on the buffer's other sinks, unless this one was given to it inside of another: then all are
// flushed, and a scrape waits at most 5 seconds for that. Errors of the flush do not make it fail: what has not been
// delivered is in the next one, and the buffer's error handler knows.
//
// The collector is unchecked, as prometheus calls one that cannot tell its metrics in advance. Names can be prefixed,
// and constant labels be added, with [prometheus.WrapRegistererWithPrefix] and [prometheus.WrapRegistererWith].
func (s *Sink) Collector(buffer *metricsbuffer.Buffer) prometheus.Collector {
	return &collector{s, buffer}
}

type collector struct {
	sink   *Sink
	buffer *metricsbuffer.Buffer
}

const flushTimeout = 5 * time.Second

func (*collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := c.buffer.FlushSink(ctx, c.sink); errors.Is(err, metricsbuffer.ErrUnknownSink) {
		_ = c.buffer.Flush(ctx)
	}
	for _, m := range c.sink.snapshot() {
		metrics <- m
	}
}

// snapshot returns the totals of one moment. They are copied because they are sent, and later read, without the lock.
func (s *Sink) snapshot() []prometheus.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	metrics := make([]prometheus.Metric, 0, len(s.series))
	for _, total := range s.series {
		if total.refused == "" {
			metrics = append(metrics, total.metric())
		}
	}
	return metrics
}

// A metric is a series' total at some moment.
type metric struct {
	desc  *prometheus.Desc
	value dto.Metric
}

func (m *metric) Desc() *prometheus.Desc { return m.desc }

func (m *metric) Write(to *dto.Metric) error {
	to.Label = m.value.Label
	to.Counter, to.Gauge, to.Histogram = m.value.Counter, m.value.Gauge, m.value.Histogram
	return nil
}

func (s *series) metric() *metric {
	m := &metric{desc: s.desc}
	m.value.Label = s.labels
	switch s.kind {
	case metricsbuffer.KindCounter:
		value := float64(s.count)
		m.value.Counter = &dto.Counter{Value: &value, CreatedTimestamp: s.created}
	case metricsbuffer.KindGauge:
		value := s.value
		m.value.Gauge = &dto.Gauge{Value: &value}
	case metricsbuffer.KindTimer:
		m.value.Histogram = s.histogram(timerScale)
	case metricsbuffer.KindHistogram:
		m.value.Histogram = s.histogram(histogramScale)
	}
	return m
}
