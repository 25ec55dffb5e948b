package promsink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

type config struct {
	expiry time.Duration // 0: none
	others prometheus.Gatherer
	labels []*dto.LabelPair // of every series
}

// An Option is given to [New].
type Option func(*config) error

// WithIdleExpiry forgets the total of a series that got no update for d, so that series which come and go need no more
// memory than those in use. Prometheus sees it end. A series that comes back begins at zero, as after a restart. Give
// the same d to [metricsbuffer.WithIdleExpiry]. It must be positive.
func WithIdleExpiry(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("WithIdleExpiry: %v is not positive; leave the option out to keep all series", d)
		}
		c.expiry = d
		return nil
	}
}

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
			switch {
			case name != labelName(0, name) || name == "" || name == "le":
				return fmt.Errorf("WithLabels: %q cannot be a label's name; write letters, digits and underscores", name)
			case value == "" || !utf8.ValidString(value):
				return fmt.Errorf("WithLabels: %s=%q: the value is empty or not UTF-8", name, value)
			case slices.ContainsFunc(c.labels, func(l *dto.LabelPair) bool { return l.GetName() == name }):
				return fmt.Errorf("WithLabels: %q is given twice", name)
			}
			c.labels = append(c.labels, &dto.LabelPair{Name: &name, Value: &value})
		}
		slices.SortFunc(c.labels, byName)
		return nil
	}
}

func byName(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) }
