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
}

// An Option is given to [New] or [NewProducer]. Its documentation says to which of them, if not to both.
type Option func(*config) error

// WithResource sets the resource that a [Sink] exports metrics of, instead of [resource.Default]. The resource of a
// [Producer]'s metrics is that of the reader's MeterProvider.
func WithResource(r *resource.Resource) Option {
	return func(c *config) error {
		if r == nil {
			return errors.New("WithResource: the resource is nil; write resource.Empty() for none")
		}
		c.resource = r
		return nil
	}
}

// WithIdleExpiry makes a [Producer] forget the total of a series that got no update for d, so that series which come
// and go need no more memory than those in use. A series that comes back begins at zero, with a new start. Give the
// same d to [metricsbuffer.WithIdleExpiry]. It must be positive. A [Sink] keeps no totals.
func WithIdleExpiry(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("WithIdleExpiry: %v is not positive; leave the option out to keep all series", d)
		}
		c.expiry = d
		return nil
	}
}
