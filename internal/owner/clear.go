package owner

import "github.com/metricsbuffer/metricsbuffer/internal/yield"

// Clear makes all elements zero: words or tallies that nobody else uses.
func Clear[T Word | Tally](elements []T) {
	if yield.On {
		yield.WriteAll(elements)
	}
	clear(elements)
}
