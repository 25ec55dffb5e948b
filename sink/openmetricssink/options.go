package openmetricssink

import (
	"fmt"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

type config struct {
	labels         []prom.Label // of every series
	bounds         prom.Bounds
	withoutCreated bool
}

// An Option is given to [New].
type Option func(*config) error

// WithLabels adds constant labels to every series. A series with a tag of the same name is dropped.
func WithLabels(labels ...metricsbuffer.Tag) Option {
	return func(c *config) (err error) {
		if c.labels, err = prom.AddConstant(c.labels, labels...); err != nil {
			return fmt.Errorf("WithLabels: %w", err)
		}
		return nil
	}
}

// WithBuckets sets the bounds of the classic buckets of the histograms in a unit, in ascending order. The unit of
// timers is "seconds", that of a histogram is the recorded one. The bucket +Inf is always served; without bounds it
// is the only one. A count is that of the observations up to the buffer's bound which is nearest to the given one: at
// most 2.2 % lower or higher. So two bounds that are nearer to each other than 4.4 % can have the same count.
//
//	openmetricssink.New(
//		openmetricssink.WithBuckets("seconds", 0.005, 0.05, 0.5, 5),
//		openmetricssink.WithBuckets("bytes", 1024, 65536, 1048576))
func WithBuckets(unit string, bounds ...float64) Option {
	return func(c *config) error {
		if c.bounds == nil {
			c.bounds = make(prom.Bounds)
		}
		if err := c.bounds.Set(unit, bounds); err != nil {
			return fmt.Errorf("WithBuckets: %w", err)
		}
		return nil
	}
}

// WithoutCreated leaves out the _created lines of OpenMetrics. Prometheus stores them as series of their own, one for
// each counter and histogram, unless its feature created-timestamp-zero-ingestion is enabled. Protobuf keeps the
// times of creation, because they are no series there.
func WithoutCreated() Option {
	return func(c *config) error {
		c.withoutCreated = true
		return nil
	}
}
