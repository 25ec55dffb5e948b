package promsink

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/metricsbuffer/metricsbuffer"
)

var sinks atomic.Int64

// newID returns a description that no other sink has. A registry compares descriptions: it refuses to register a sink
// twice, with [prometheus.AlreadyRegisteredError], and can unregister it.
func newID() *prometheus.Desc {
	return prometheus.NewDesc("metricsbuffer_promsink", "Identifies a sink. No such metric is served.", nil,
		prometheus.Labels{"metricsbuffer_sink": strconv.FormatInt(sinks.Add(1), 10)})
}

// Describe tells a registry which sink this is. The metrics cannot be told in advance, so a registry made by
// [prometheus.NewPedanticRegistry] fails to gather them. Tests can gather from the sink itself.
func (s *Sink) Describe(descs chan<- *prometheus.Desc) {
	if s.others != nil {
		descs <- prometheus.NewInvalidDesc(errors.New("promsink: the sink was made with WithGatherer, so that it serves " +
			"the registry: serve the sink by promhttp.HandlerFor(sink, …), and do not register it"))
		return
	}
	descs <- s.id
}

// Collect flushes the buffer to this sink and collects the totals. It waits at most 5 seconds for the flush. An error
// of the flush does not fail the scrape: pending updates are in a later one, and the buffer's error handler is told.
// The totals of a closed buffer remain.
//
// A sink without a buffer fails the scrape.
func (s *Sink) Collect(metrics chan<- prometheus.Metric) {
	flush := s.flush.Load()
	if flush == nil {
		metrics <- prometheus.NewInvalidMetric(s.id, errors.New("promsink: the sink has no buffer, so there is nothing to "+
			"serve: give it to metricsbuffer.New, by metricsbuffer.WithSink(sink)"))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	_ = (*flush)(ctx) // see above
	for _, m := range s.snapshot() {
		metrics <- m
	}
}

const flushTimeout = 5 * time.Second

// An unchecked collector describes nothing.
type unchecked struct{ *Sink }

func (unchecked) Describe(chan<- *prometheus.Desc) {}

// Gather is Collect for [promhttp.HandlerFor], without a registry. With [WithGatherer] it also returns the other
// metrics, and their error.
//
// [promhttp.HandlerFor]: https://pkg.go.dev/github.com/prometheus/client_golang/prometheus/promhttp#HandlerFor
func (s *Sink) Gather() ([]*dto.MetricFamily, error) {
	if s.others == nil {
		return s.own.Gather()
	}
	others, othersErr := s.others.Gather()
	own, err := s.gatherBeside(others)
	return prometheus.Gatherers{
		prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return others, othersErr }),
		prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return own, err }),
	}.Gather()
}

// gatherBeside returns the sink's metrics that do not collide with those of others. Metrics of others may panic.
func (s *Sink) gatherBeside(others []*dto.MetricFamily) ([]*dto.MetricFamily, error) {
	s.serving.Lock()
	defer s.serving.Unlock()
	s.yieldTo(others)
	return s.own.Gather()
}

// snapshot returns the totals of one moment. They are copies: the registry reads them later, without the lock.
func (s *Sink) snapshot() []prometheus.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	metrics := make([]prometheus.Metric, 0, s.totals.Len())
	for total := range s.totals.All() {
		metrics = append(metrics, s.newMetric(total))
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

func (s *Sink) newMetric(total *series) *metric {
	e := total.Detail
	if !e.start.Equal(total.Start) {
		e.start, e.created = total.Start, timestamppb.New(total.Start)
	}
	e.describe(s.help(e.id.Family))
	m := &metric{desc: e.desc}
	m.value.Label = e.labels
	switch total.Kind {
	case metricsbuffer.KindCounter:
		value := total.Amount()
		m.value.Counter = &dto.Counter{Value: &value, CreatedTimestamp: e.created}
	case metricsbuffer.KindGauge:
		value := total.Value
		m.value.Gauge = &dto.Gauge{Value: &value}
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		m.value.Histogram = newHistogram(total)
	}
	return m
}
