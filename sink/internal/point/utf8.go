// Package point has checks of points that several sinks need.
package point

import (
	"unicode/utf8"

	"github.com/metricsbuffer/metricsbuffer"
)

// NotUTF8 is the reason for which sinks drop a point that is not [UTF8].
const NotUTF8 = "not UTF-8"

// UTF8 reports whether the point's name, unit and tags are UTF-8, as JSON requires. Encoders that replace other bytes
// would make one series of two.
func UTF8(p *metricsbuffer.Point) bool {
	if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Unit) {
		return false
	}
	for _, tag := range p.Tags {
		if !utf8.ValidString(tag.Key) || !utf8.ValidString(tag.Value) {
			return false
		}
	}
	return true
}
