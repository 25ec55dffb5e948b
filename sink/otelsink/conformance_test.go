package otelsink_test

import (
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/otelsink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	for name, begin := range protocols {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Subject {
				receiver, exporter := begin(t)
				return sinktest.Subject{
					Sink:  otelsink.New(exporter),
					Count: countOf(receiver.total),
					Break: func() { receiver.stop() },
					Mend:  func() { receiver.Start() },
				}
			})
		})
	}
}

func TestTotalsConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		receiver, exporter := startGRPC(t)
		totals := otelsink.NewTotals()
		provider := periodic(exporter, totals.Producer(nil))
		t.Cleanup(func() { _ = provider.Shutdown(t.Context()) })
		return sinktest.Subject{
			Sink: totals,
			Count: countOf(func(key string) seen {
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
