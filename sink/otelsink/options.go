package otelsink

import (
	"errors"

	"go.opentelemetry.io/otel/sdk/resource"
)

type config struct {
	resource *resource.Resource // nil: the default
}

// An Option is given to [New] or [NewProducer]. Its documentation says to which of them. There is none for NewProducer
// yet, which takes options so that adding one breaks no caller.
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
