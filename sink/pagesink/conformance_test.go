package pagesink_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		page, err := pagesink.New()
		require.NoError(t, err)
		address := serve(t, page)
		return sinktest.Subject{
			Sink: page,
			Received: func() ([]metricsbuffer.Point, error) {
				seen, err := look(t, address)
				return slices.Collect(maps.Values(seen.series)), err
			},
		}
	})
}
