package otelsink_test

import (
	"context"
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Subject {
				receiver, exporter := begin(t)
				return sinktest.Subject{
					Sink:  newSink(t, exporter),
					Count: countOf(receiver.total),
					Break: func() { receiver.stop() },
					Mend:  func() { receiver.Start() },
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
			Count: countOf(func(key string) seen {
				// Only one of the tests has a buffer. The producer refuses this one then.
				_ = producer.Attach(func(context.Context) error { return nil })
				if err := provider.ForceFlush(t.Context()); err != nil {
					t.Error(err)
				}
				return receiver.last(key)
			}),
		}
	})
}

func countOf(read func(key string) seen) func(metricsbuffer.Kind, string, ...metricsbuffer.Tag) int64 {
	return func(_ metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int64 {
		for _, tag := range tags {
			name += " " + tag.Key + "=" + tag.Value
		}
		s := read(name)
		return int64(s.value) + int64(s.count)
	}
}
