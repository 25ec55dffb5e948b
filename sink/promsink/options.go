package promsink

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

type config struct {
	others prometheus.Gatherer
	labels []prom.Label // of every series
	bounds prom.Bounds
}

// An Option is given to [New].
type Option func(*config) error

// WithGatherer makes [Sink.Gather] return the metrics of others, too, and leave out the series of the sink that collide
// with them. Do not register the sink in a registry then: serve the sink.
func WithGatherer(others prometheus.Gatherer) Option {
	return func(c *config) error {
		if err := option.Target("WithGatherer", "gatherer", others,
			"give a registry, such as prometheus.DefaultGatherer"); err != nil {
			return err
		}
		if c.others != nil {
			return errors.New("WithGatherer is given twice; give both as prometheus.Gatherers{a, b}")
		}
		c.others = others
		return nil
	}
}

// WithLabels adds constant labels to every series. A series with a tag of the same name is dropped.
func WithLabels(labels prometheus.Labels) Option {
	return func(c *config) error {
		for name, value := range labels {
			var err error
			if c.labels, err = prom.AddConstant(c.labels, prom.Label{Key: name, Value: value}); err != nil {
				return fmt.Errorf("WithLabels: %w", err)
			}
		}
		return nil
	}
}

// WithBuckets sets the bounds of the classic histograms in a unit. The unit of timers is "seconds". Without bounds, a
// classic histogram has the bucket +Inf only, which is the least for a Prometheus that stores native ones. Each bound
// is another sample, line and stored series for each of the buffer's series. A count is that of the observations up to
// the buffer's bound which is nearest to the given one: at most 2.2 % lower or higher.
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
