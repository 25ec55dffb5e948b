package otelbridge

import (
	"errors"
	"fmt"
	"regexp"
)

// ErrInstrumentName is the error of creating an instrument whose name is invalid. Its text is the SDK's. The instrument
// works nevertheless.
var ErrInstrumentName = errors.New("invalid instrument name")

// ErrBoundaries is the error of creating a histogram with bucket boundaries that do not increase. Its text is the
// SDK's. The instrument works nevertheless.
var ErrBoundaries = errors.New("aggregation: explicit bucket histogram: non-monotonic boundaries")

var (
	firstLetter = regexp.MustCompile(`^[A-Za-z]`)
	validName   = regexp.MustCompile(`^[A-Za-z0-9_./-]*$`)
)

// checkName returns the error that the SDK returns for the name.
func checkName(name string) error {
	var reason string
	switch {
	case name == "":
		reason = "is empty"
	case len(name) > 255:
		reason = "longer than 255 characters"
	case !firstLetter.MatchString(name):
		reason = "must start with a letter"
	case !validName.MatchString(name):
		reason = "must only contain [A-Za-z0-9_.-/]"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrInstrumentName, name, reason)
}

// checkBoundaries returns the error that the SDK returns for the boundaries.
func checkBoundaries(boundaries []float64) error {
	for i := range boundaries {
		if i > 0 && boundaries[i-1] >= boundaries[i] {
			return fmt.Errorf("%w: %v", ErrBoundaries, boundaries)
		}
	}
	return nil
}
