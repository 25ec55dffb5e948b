package openmetricssink_test

import (
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// The conformance of the protobuf format is tested in promsink's module, which has a parser.
func TestConformance(t *testing.T) {
	for name, accept := range map[string]string{"Classic": acceptClassic, "OpenMetrics": acceptOpen} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Subject {
				sink := newSink(t)
				return sinktest.Subject{
					Sink:     sink,
					Received: func() ([]metricsbuffer.Point, error) { return received(t, sink, accept) },
				}
			})
		})
	}
}

func received(t *testing.T, sink *openmetricssink.Sink, accept string) ([]metricsbuffer.Point, error) {
	families, err := parse(get(t, sink, accept), accept == acceptOpen)
	if err != nil {
		return nil, err
	}
	return pointsOf(families)
}
