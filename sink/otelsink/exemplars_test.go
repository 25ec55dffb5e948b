package otelsink_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/metricsbuffer/metricsbuffer"
)

// exemplarsOf returns the exemplars of the latest exported point of a histogram.
func exemplarsOf(r *receiver, name string) (latest []*otlp.Exemplar) {
	for _, m := range metricsOf(r.exported()) {
		for _, p := range m.GetExponentialHistogram().GetDataPoints() {
			if m.Name == name {
				latest = p.Exemplars
			}
		}
	}
	return latest
}

// Exemplars arrive with their ids, value and time: from a Sink those of the batch, from a Producer the latest ones.
func TestExemplars(t *testing.T) {
	receiver, exporter := startGRPC(t)
	reader, readExporter := startGRPC(t)
	producer := newProducer(t)
	provider := periodic(readExporter, producer)
	defer func() { _ = provider.Shutdown(t.Context()) }()
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
		metricsbuffer.WithSink(newSink(t, exporter)), metricsbuffer.WithSink(producer))
	require.NoError(t, err)
	latency := buffer.Timer("latency")
	begin := time.Now()
	span := metricsbuffer.TraceContext{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3, 7: 4}}
	latency.ObserveExemplar(5, span)
	latency.ObserveExemplar(1000, metricsbuffer.TraceContext{TraceID: span.TraceID})
	require.NoError(t, buffer.Flush(t.Context()))
	got := exemplarsOf(receiver, "latency")
	require.Len(t, got, 2)
	require.Equal(t, span.TraceID[:], got[0].TraceId)
	require.Equal(t, span.SpanID[:], got[0].SpanId)
	require.EqualValues(t, 5, got[0].GetAsInt())
	require.WithinRange(t, time.Unix(0, int64(got[0].TimeUnixNano)), begin.Round(0), time.Now())
	require.Empty(t, got[1].SpanId)
	require.EqualValues(t, 1000, got[1].GetAsInt())

	latency.ObserveExemplar(6, span)
	require.NoError(t, buffer.Close())
	require.NoError(t, provider.ForceFlush(t.Context()))
	got = exemplarsOf(receiver, "latency")
	require.Len(t, got, 1)
	require.EqualValues(t, 6, got[0].GetAsInt())
	got = exemplarsOf(reader, "latency")
	require.Len(t, got, 2)
	require.EqualValues(t, 6, got[0].GetAsInt())
	require.EqualValues(t, 1000, got[1].GetAsInt())
}
