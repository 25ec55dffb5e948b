package otelsink_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"

	"github.com/metricsbuffer/metricsbuffer"
)

// RoundTrip hands the request to the receiver without a server in between.
func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

// A real exporter encodes any strings and values, and the receiver gets exactly the points that were not dropped.
func FuzzRequest(f *testing.F) {
	// Without a network, whose goroutines the fuzzer would take for its inputs' doing.
	receiver := newReceiver(f)
	exporter, err := otlpmetrichttp.New(f.Context(), otlpmetrichttp.WithHTTPClient(&http.Client{Transport: receiver}))
	require.NoError(f, err)
	sink := newSink(f, exporter)
	f.Add("jobs", "queue", "a", "bytes", int64(1), 1.5)
	f.Fuzz(func(t *testing.T, name, key, value, unit string, count int64, v float64) {
		tags := []tag{{Key: key, Value: value}}
		buckets := &metricsbuffer.Buckets{Zeros: 1, Offset: -1, Counts: []uint64{2, 0, 5}}
		batch := second(
			counter(name, count, tags...),
			metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: name, Tags: tags, Value: v},
			metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: name, Tags: tags, Count: 8, Buckets: buckets},
			metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: name, Unit: unit, Count: 8, Buckets: buckets,
				Sum: count, Min: count, Max: count},
			counter("last", 1),
		)
		require.NoError(t, sink.Write(t.Context(), batch))
		metrics := receiver.request.ResourceMetrics[0].ScopeMetrics[0].Metrics
		for i, p := range batch.Points[:4] {
			if _, dropped := batch.Dropped(i); dropped {
				continue
			}
			m := metrics[0]
			metrics = metrics[1:]
			require.Equal(t, p.Name, m.Name)
			switch p.Kind {
			case metricsbuffer.KindCounter:
				require.Equal(t, p.Count, m.GetSum().DataPoints[0].GetAsInt())
				require.Equal(t, key, m.GetSum().DataPoints[0].Attributes[0].Key)
				require.Equal(t, value, m.GetSum().DataPoints[0].Attributes[0].Value.GetStringValue())
			case metricsbuffer.KindGauge:
				require.Equal(t, math.Float64bits(v), math.Float64bits(m.GetGauge().DataPoints[0].GetAsDouble()))
				require.Equal(t, key, m.GetGauge().DataPoints[0].Attributes[0].Key)
			case metricsbuffer.KindTimer:
				require.Equal(t, "ns", m.Unit)
				require.EqualValues(t, 8, m.GetExponentialHistogram().DataPoints[0].Count)
			case metricsbuffer.KindHistogram:
				require.Equal(t, unit, m.Unit)
				require.Equal(t, []uint64{2, 0, 5}, m.GetExponentialHistogram().DataPoints[0].Positive.BucketCounts)
				require.InDelta(t, float64(count), m.GetExponentialHistogram().DataPoints[0].GetSum(), 0)
			}
		}
		if name != "last" || len(metrics) > 0 { // else it is the metric of the first point
			require.Len(t, metrics, 1)
			require.Equal(t, "last", metrics[0].Name)
		}
	})
}
