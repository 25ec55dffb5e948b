package promsink_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		sink := promsink.New()
		registry := prometheus.NewPedanticRegistry()
		require.NoError(t, registry.Register(sink.Collector(nil)))
		t.Cleanup(func() { _ = text(t, registry) }) // whatever the sink was given, it can be served
		return sinktest.Subject{
			Sink: sink,
			Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) (total int64) {
				if kind == metricsbuffer.KindTimer {
					return int64(scrape(t, registry)[name+"_seconds"].Metric[0].Histogram.GetSampleCount())
				}
				for _, m := range scrape(t, registry)[name+"_total"].Metric {
					if len(m.Label) == len(tags) && m.Label[0].GetValue() == tags[0].Value {
						total += int64(m.Counter.GetValue())
					}
				}
				return total
			},
		}
	})
}
