package prom

import (
	"encoding/hex"

	"github.com/metricsbuffer/metricsbuffer"
)

// LatestExemplar returns the point's latest exemplar whose value, in the unit of the metric, is above a bound and not
// above the next one; or nil if there is none.
func LatestExemplar(p *metricsbuffer.Point, above, upTo float64) (latest *metricsbuffer.Exemplar) {
	scale := ScaleOf(p.Kind)
	for i := range p.Exemplars {
		e := &p.Exemplars[i]
		v := float64(e.Value) / scale
		if v > above && v <= upTo && (latest == nil || e.Time.After(latest.Time)) {
			latest = e
		}
	}
	return latest
}

// Below is less than the value of any exemplar.
const Below = -1

// ExemplarLabels returns the labels of an exemplar, by which Grafana and others find the trace. OpenMetrics allows 128
// characters in them, which these do not reach.
func ExemplarLabels(e *metricsbuffer.Exemplar) []Label {
	labels := []Label{{Key: "trace_id", Value: hex.EncodeToString(e.TraceID[:])}}
	if e.SpanID != [8]byte{} {
		labels = append(labels, Label{Key: "span_id", Value: hex.EncodeToString(e.SpanID[:])})
	}
	return labels
}
