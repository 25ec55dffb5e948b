package otelsink_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Subject {
				receiver, exporter := begin(t)
				return sinktest.Subject{
					Sink:     newSink(t, exporter),
					Received: func() ([]metricsbuffer.Point, error) { return pointsOf(receiver.exported()) },
					Break:    func() { receiver.stop() },
					Mend:     receiver.mend,
					Stall:    receiver.stall,
				}
			})
		})
	}
}

func TestProducerConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		receiver, exporter := startGRPC(t)
		producer := newProducer(t)
		provider := periodic(exporter, producer)
		t.Cleanup(func() { _ = provider.Shutdown(t.Context()) })
		return sinktest.Subject{
			Sink: producer,
			Received: func() ([]metricsbuffer.Point, error) {
				before := len(receiver.exported())
				err := provider.ForceFlush(t.Context())
				points, invalid := pointsOf(receiver.exported()[before:])
				return points, errors.Join(err, invalid)
			},
		}
	})
}

// pointsOf reads requests. A timer is a histogram in nanoseconds.
func pointsOf(requests []*collector.ExportMetricsServiceRequest) (points []metricsbuffer.Point, err error) {
	add := func(m *otlp.Metric, attributes []*common.KeyValue, p metricsbuffer.Point) {
		p.Name = m.Name
		for _, pair := range attributes {
			if _, ok := pair.Value.Value.(*common.AnyValue_StringValue); !ok {
				err = fmt.Errorf("the attribute %q of %q is no string", pair.Key, m.Name)
			}
			p.Tags = append(p.Tags, tag{Key: pair.Key, Value: pair.Value.GetStringValue()})
		}
		points = append(points, p)
	}
	for _, m := range metricsOf(requests) {
		for _, p := range m.GetSum().GetDataPoints() {
			point := metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Count: p.GetAsInt()}
			if v, ok := p.Value.(*otlp.NumberDataPoint_AsDouble); ok {
				var wrong error
				point.Count, point.Decimals, wrong = sinktest.ParseAmount(strconv.FormatFloat(v.AsDouble, 'f', -1, 64))
				err = errors.Join(err, wrong)
			}
			add(m, p.Attributes, point)
		}
		for _, p := range m.GetGauge().GetDataPoints() {
			add(m, p.Attributes, metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Value: p.GetAsDouble()})
		}
		for _, p := range m.GetExponentialHistogram().GetDataPoints() {
			point := metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Unit: m.Unit, Count: int64(p.Count)}
			if m.Unit == "ns" {
				point.Kind, point.Unit = metricsbuffer.KindTimer, ""
			}
			if sum := p.GetSum(); sum < 1<<62 {
				point.Sum = int64(sum)
			}
			add(m, p.Attributes, point)
		}
	}
	return points, err
}

func metricsOf(requests []*collector.ExportMetricsServiceRequest) (metrics []*otlp.Metric) {
	for _, request := range requests {
		for _, resource := range request.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				metrics = append(metrics, scope.Metrics...)
			}
		}
	}
	return metrics
}
