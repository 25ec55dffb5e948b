package point

import (
	"math"

	"github.com/metricsbuffer/metricsbuffer"
)

// Quantile returns a quantile of a timer or histogram as the nearest whole number, which is not above the greatest
// observation. It is false if there is none.
func Quantile(p *metricsbuffer.Point, q float64) (v int64, ok bool) {
	switch estimate := math.Round(p.Quantile(q)); {
	case math.IsNaN(estimate):
		return 0, false
	case estimate >= float64(p.Max): // the nearest float64 of the greatest int64 is above it
		return p.Max, true
	default:
		return int64(estimate), true
	}
}
