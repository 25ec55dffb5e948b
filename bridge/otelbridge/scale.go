package otelbridge

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A scale says how the values of a histogram become the buffer's whole numbers.
type scale struct {
	timer  bool
	factor int64  // a value times this is the buffer's value, in nanoseconds or in unit
	unit   string // the buffer's, of a histogram
}

// durations are the units of histograms that are timers.
var durations = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
	"min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// newScale returns the scale for values in the unit, of which so many decimal places are kept.
func newScale(unit string, decimals int) scale {
	if d, ok := durations[unit]; ok {
		return scale{timer: true, factor: int64(d)}
	}
	s := scale{factor: 1}
	for range decimals {
		s.factor *= 10
	}
	if decimals == 0 {
		s.unit = strings.Clone(unit)
	} else {
		s.unit = scaledPrefix + strconv.Itoa(decimals)
		if unit != "" {
			s.unit += "." + unit
		}
	}
	return s
}

// overflow returns the scale of the instrument that stands for all beyond the limit.
func (s scale) overflow() scale {
	if s.unit != "" {
		s.unit = "(various)"
	}
	return s
}

const (
	scaledPrefix = "10*-" // ten to the power of minus
	maxDecimals  = 9
)

// decimalsOf returns how many decimal places the counter or histogram of fractions keeps.
func (p *MeterProvider) decimalsOf(kind, name, unit string) (int, error) {
	usual := 3
	if kind == kindCounter || unit == "1" || unit == "%" {
		usual = 6
	}
	if p.decimals == nil {
		return usual, nil
	}
	decimals := p.decimals(name, unit)
	if decimals < 0 || decimals > maxDecimals {
		return usual, fmt.Errorf(
			"otelbridge: WithDecimals: %d decimal places for %q in %q; choose 0 to %d", decimals, name, unit, maxDecimals)
	}
	return decimals, nil
}

// Unscale splits the unit of a [metricsbuffer.Point] into the instrument's own unit and the number by which the point's
// sum, minimum, maximum and bucket bounds are to be divided. For a unit without a scale, that is the unit itself and 1.
//
//	Unscale("10*-6.%") // "%", 1000000
//	Unscale("By")      // "By", 1
func Unscale(unit string) (original string, divisor float64) {
	rest, ok := strings.CutPrefix(unit, scaledPrefix)
	if !ok {
		return unit, 1
	}
	digits, original, found := strings.Cut(rest, ".")
	decimals, err := strconv.Atoi(digits)
	if err != nil || decimals < 1 || decimals > maxDecimals || len(digits) != 1 || found != (original != "") {
		return unit, 1
	}
	return original, float64(newScale("", decimals).factor)
}
