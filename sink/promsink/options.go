package promsink

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

type config struct {
	expiry time.Duration // 0: none
	others prometheus.Gatherer
	labels []*dto.LabelPair // of every series
	errs   []error          // faults of the options
}

func (c *config) reject(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("promsink: "+format, args...))
}

// An Option is given to [New].
type Option func(*config)

// WithIdleExpiry forgets the total of a series that got no update for d, so that series which come and go need no more
// memory than those in use. Prometheus sees it end. A series that comes back begins at zero, as after a restart. Give
// the same d to [metricsbuffer.WithIdleExpiry]. It must be positive.
func WithIdleExpiry(d time.Duration) Option {
	return func(c *config) {
		if d <= 0 {
			c.reject("WithIdleExpiry: %v is not positive; leave the option out to keep all series", d)
		}
		c.expiry = d
	}
}

// WithGatherer makes [Sink.Gather] return the metrics of others, too, and leave out the series of the sink that collide
// with them. Do not register the sink in a registry then: serve the sink.
func WithGatherer(others prometheus.Gatherer) Option {
	return func(c *config) {
		switch v := reflect.ValueOf(others); {
		case !v.IsValid(), (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil():
			c.reject("WithGatherer: the gatherer is nil; give a registry, such as prometheus.DefaultGatherer")
			return
		case c.others != nil:
			c.reject("WithGatherer is given twice; give both as prometheus.Gatherers{a, b}")
		}
		c.others = others
	}
}

// WithLabels adds constant labels to every series. A series with a tag of the same name is dropped.
func WithLabels(labels prometheus.Labels) Option {
	return func(c *config) {
		for name, value := range labels {
			switch {
			case name != labelName(0, name) || name == "" || name == "le":
				c.reject("WithLabels: %q cannot be a label's name; write letters, digits and underscores", name)
			case value == "" || !utf8.ValidString(value):
				c.reject("WithLabels: %s=%q: the value is empty or not UTF-8", name, value)
			case slices.ContainsFunc(c.labels, func(l *dto.LabelPair) bool { return l.GetName() == name }):
				c.reject("WithLabels: %q is given twice", name)
			}
			c.labels = append(c.labels, &dto.LabelPair{Name: &name, Value: &value})
		}
		slices.SortFunc(c.labels, byName)
	}
}

func byName(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) }

func configure(opts []Option) (c config, err error) {
	for i, opt := range opts {
		if opt == nil {
			c.reject("New: option %d of %d is nil; leave it out", i+1, len(opts))
			continue
		}
		opt(&c)
	}
	return c, errors.Join(c.errs...)
}
