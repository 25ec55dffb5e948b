// Package option checks the arguments of a sink's constructor, alike for all sinks.
package option

import (
	"errors"
	"fmt"
	"reflect"
)

// Target returns an error if the target of a sink is nil or a typed nil. The error begins with the call, such as
// "jsonsink: New", names the target by noun, and ends with advice.
func Target(call, noun string, target any, advice string) error {
	switch v := reflect.ValueOf(target); {
	case !v.IsValid():
		return fmt.Errorf("%s: the %s is nil; %s", call, noun, advice)
	case canBeNil(v.Kind()) && v.IsNil():
		return fmt.Errorf("%s: the %s is a nil %T; %s", call, noun, target, advice)
	}
	return nil
}

// canBeNil says whether nil values of the kind are most likely a mistake. The nil value of a slice is an empty one.
func canBeNil(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Func || k == reflect.Map || k == reflect.Chan
}

// Apply applies the options to the sink. It returns the errors of all options, joined; each begins with the call.
func Apply[S any, O ~func(*S) error](call string, sink *S, opts []O) error {
	var errs []error
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("%s: option %d of %d is nil; leave it out", call, i+1, len(opts)))
		} else if err := opt(sink); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", call, err))
		}
	}
	return errors.Join(errs...)
}
