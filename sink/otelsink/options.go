package otelsink

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
)

type config struct {
	resource *resource.Resource // nil: the default
	expiry   time.Duration      // 0: none
	errs     []error            // faults of the options
}

func (c *config) reject(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("otelsink: "+format, args...))
}

// An Option is given to [New] or [NewProducer]. Its documentation says to which of them, if not to both.
type Option func(*config)

// WithResource sets the resource that a [Sink] exports metrics of, instead of [resource.Default]. The resource of a
// [Producer]'s metrics is that of the reader's MeterProvider.
func WithResource(r *resource.Resource) Option {
	return func(c *config) {
		if r == nil {
			c.reject("WithResource: the resource is nil; write resource.Empty() for none")
		}
		c.resource = r
	}
}

// WithIdleExpiry makes a [Producer] forget the total of a series that got no update for d, so that series which come
// and go need no more memory than those in use. A series that comes back begins at zero, with a new start. Give the
// same d to [metricsbuffer.WithIdleExpiry]. It must be positive. A [Sink] keeps no totals.
func WithIdleExpiry(d time.Duration) Option {
	return func(c *config) {
		if d <= 0 {
			c.reject("WithIdleExpiry: %v is not positive; leave the option out to keep all series", d)
		}
		c.expiry = d
	}
}

func configure(constructor string, opts []Option) (c config) {
	for i, opt := range opts {
		if opt == nil {
			c.reject("%s: option %d of %d is nil; leave it out", constructor, i+1, len(opts))
			continue
		}
		opt(&c)
	}
	return c
}

func (c *config) err() error { return errors.Join(c.errs...) }
