package otelbridge_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/otelbridge"
)

// A stream identifies the data of one instrument and set of attributes, as the SDK's reader or the bridge delivers it.
type stream struct {
	scope      string // name, version, schema URL, attributes
	name       string // in lower case if it has capitals: the first creation decides
	kind       string
	unit       string
	attributes string
}

type value struct {
	sum, min, max float64
	count         uint64
}

// calls are made of the SDK and of the bridge.
type calls func(t *testing.T, provider metric.MeterProvider)

// viaSDK returns the streams that a ManualReader collects.
func viaSDK(t *testing.T, make calls) map[stream]value {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	make(t, provider)
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	streams := map[stream]value{}
	for _, scope := range data.ScopeMetrics {
		attributes := scope.Scope.Attributes
		for _, m := range scope.Metrics {
			s := stream{name: m.Name, unit: m.Unit, scope: fmt.Sprint(
				scope.Scope.Name, "|", scope.Scope.Version, "|", scope.Scope.SchemaURL, "|", text(attributes))}
			readSDK(streams, s, m.Data)
		}
	}
	return streams
}

func readSDK(streams map[stream]value, s stream, data metricdata.Aggregation) {
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		numbers(streams, s, sumKind(data.IsMonotonic), data.DataPoints)
	case metricdata.Sum[float64]:
		numbers(streams, s, sumKind(data.IsMonotonic), data.DataPoints)
	case metricdata.Gauge[int64]:
		numbers(streams, s, "Gauge", data.DataPoints)
	case metricdata.Gauge[float64]:
		numbers(streams, s, "Gauge", data.DataPoints)
	case metricdata.Histogram[int64]:
		distributions(streams, s, data.DataPoints)
	case metricdata.Histogram[float64]:
		distributions(streams, s, data.DataPoints)
	default:
		panic(fmt.Sprintf("%T", data))
	}
}

func sumKind(monotonic bool) string {
	if monotonic {
		return "Counter"
	}
	return "UpDownCounter"
}

func numbers[N int64 | float64](streams map[stream]value, s stream, kind string, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		s.kind, s.attributes = kind, text(p.Attributes)
		v := streams[s]
		v.sum += float64(p.Value)
		streams[s] = v
	}
}

func distributions[N int64 | float64](streams map[stream]value, s stream, points []metricdata.HistogramDataPoint[N]) {
	for _, p := range points {
		s.kind, s.attributes = "Histogram", text(p.Attributes)
		least, _ := p.Min.Value()
		greatest, _ := p.Max.Value()
		streams[s] = merged(streams[s], value{float64(p.Sum), float64(least), float64(greatest), p.Count})
	}
}

// merged adds b to a: the SDK has two streams where the bridge has one if an instrument of int64 and one of float64, or
// two with different descriptions, are otherwise the same.
func merged(a, b value) value {
	if a.count == 0 {
		return b
	}
	return value{a.sum + b.sum, min(a.min, b.min), max(a.max, b.max), a.count + b.count}
}

func text(set attribute.Set) string {
	var pairs []string
	for iter := set.Iter(); iter.Next(); {
		pairs = append(pairs, fmt.Sprintf("%s=%s", iter.Attribute().Key, iter.Attribute().Value.String()))
	}
	return strings.Join(pairs, ",")
}

// viaBridge returns the streams that a sink can tell from its points and the provider's list of instruments.
func viaBridge(t *testing.T, make calls) map[stream]value {
	var points []metricsbuffer.Point
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			points = append(points, batch.Points...)
			return nil
		})))
	require.NoError(t, err)
	provider, err := otelbridge.NewMeterProvider(buffer)
	require.NoError(t, err)
	make(t, provider)
	require.NoError(t, buffer.Close())
	streams := map[stream]value{}
	for _, p := range points {
		if p.Name == "otelbridge.rejected" { // no instrument's
			continue
		}
		s, v := converted(t, provider.Instruments(), p)
		streams[s] = merged(streams[s], v)
	}
	return streams
}

// converted finds the point's instrument and converts the point back to the SDK's terms.
func converted(t *testing.T, instruments []otelbridge.Instrument, p metricsbuffer.Point) (stream, value) {
	var found []otelbridge.Instrument
	for _, i := range instruments {
		if i.Name == p.Name && kindOf(i) == p.Kind && containsAll(p.Tags, i.Tags) {
			found = append(found, i)
		}
	}
	// An instrument with a tag for a conflict is found beside the one without it: it fits better.
	slices.SortStableFunc(found, func(a, b otelbridge.Instrument) int { return len(b.Tags) - len(a.Tags) })
	require.NotEmpty(t, found, "no instrument for %+v", p)
	i := found[0]
	divisor := float64(units[i.Unit])
	if p.Kind == metricsbuffer.KindHistogram {
		var unit string
		unit, divisor = otelbridge.Unscale(p.Unit)
		found = slices.DeleteFunc(found, func(i otelbridge.Instrument) bool { return i.Unit != unit })
		require.NotEmpty(t, found)
		i = found[0]
	}
	s := stream{name: i.Name, kind: strings.TrimPrefix(i.Kind, "Observable"), unit: i.Unit}
	scope := map[string]string{}
	var scopeAttributes, attributes []string
	for _, tag := range p.Tags {
		key, isScope := strings.CutPrefix(tag.Key, "otel.scope.")
		switch {
		case tag.Key == "otel.instrument":
		case isScope && slices.Contains([]string{"name", "version", "schema_url"}, key):
			scope[key] = tag.Value
		case isScope:
			scopeAttributes = append(scopeAttributes, strings.TrimPrefix(key, "attribute.")+"="+tag.Value)
		default:
			attributes = append(attributes, tag.Key+"="+tag.Value)
		}
	}
	slices.Sort(scopeAttributes)
	s.scope = fmt.Sprint(scope["name"], "|", scope["version"], "|", scope["schema_url"], "|",
		strings.Join(scopeAttributes, ","))
	s.attributes = strings.Join(attributes, ",")
	switch p.Kind {
	case metricsbuffer.KindCounter:
		return s, value{sum: p.Amount()}
	case metricsbuffer.KindGauge:
		return s, value{sum: p.Value}
	}
	return s, value{float64(p.Sum) / divisor, float64(p.Min) / divisor, float64(p.Max) / divisor, uint64(p.Count)}
}

var units = map[string]time.Duration{
	"ns": 1, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
	"min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

func kindOf(i otelbridge.Instrument) metricsbuffer.Kind {
	_, isDuration := units[i.Unit]
	switch {
	case i.Kind == "Counter":
		return metricsbuffer.KindCounter
	case i.Kind != "Histogram":
		return metricsbuffer.KindGauge
	case isDuration:
		return metricsbuffer.KindTimer
	}
	return metricsbuffer.KindHistogram
}

func containsAll(tags, some []tag) bool {
	return !slices.ContainsFunc(some, func(t tag) bool { return !slices.Contains(tags, t) })
}
