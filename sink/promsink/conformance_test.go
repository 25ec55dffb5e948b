package promsink_test

import (
	"context"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		sink := newSink(t)
		registry := registryOf(sink)
		scrape := func() map[string]*dto.MetricFamily {
			// Only one of the tests has a buffer. The sink refuses this one then.
			_ = sink.Attach(func(context.Context) error { return nil })
			return scrape(t, registry)
		}
		t.Cleanup(func() { _ = scrape() }) // it can be served
		return sinktest.Subject{
			Sink: sink,
			Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) (total int64) {
				if kind == metricsbuffer.KindTimer {
					return int64(scrape()[name+"_seconds"].Metric[0].Histogram.GetSampleCount())
				}
				for _, m := range scrape()[name+"_total"].Metric {
					if len(m.Label) == len(tags) && m.Label[0].GetValue() == tags[0].Value {
						total += int64(m.Counter.GetValue())
					}
				}
				return total
			},
		}
	})
}
