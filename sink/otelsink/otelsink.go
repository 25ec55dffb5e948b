// Package otelsink delivers a buffer through OpenTelemetry's SDK, in one of two ways.
//
// A [Sink] pushes each batch through an exporter, such as that for OTLP. Sums and histograms are deltas, and have the
// batch's start and end as their times. An export that fails leaves the batch in the buffer, which merges it into the
// next one. Use it where the backend takes deltas.
//
//	exporter, err := otlpmetricgrpc.New(ctx)
//	…
//	sink, err := otelsink.New(exporter)
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
//
// A [Producer] adds up the batches instead, and gives the sums since the beginning to any number of the SDK's readers,
// which export them along with their own metrics. Use it where there are readers anyway, or where the backend wants
// cumulative sums.
//
//	producer, err := otelsink.NewProducer()
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(producer))
//	…
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(producer))
//
// # Kinds
//
//	counter      monotonic sum of integers; of a FractionCounter, of floating-point numbers
//	gauge        gauge; NaN and infinities are carried, unless the exporter writes JSON
//	timer        exponential histogram in the unit ns
//	histogram    exponential histogram in its unit
//
// Exemplars ([metricsbuffer.Timer.ObserveExemplar]) are carried. A Producer gives the latest one of each octave.
//
// Histograms have the buffer's own buckets, at scale 4, and the exact count, sum, minimum and maximum. Timers are in
// nanoseconds for that reason: the buckets of seconds have other bounds. Names and tags are carried unchanged, tags as
// string attributes. A name used for two kinds makes two metrics of that name. Metrics have the description of their
// name ([metricsbuffer.Buffer.Describe]); those of counters and gauges have its unit.
//
// A new series is exported once even if nothing was recorded in it, with zero. A [Sink] exports nothing when the buffer
// forgets a series ([metricsbuffer.WithIdleExpiry]). A [Producer] keeps each total until then. A series that comes back
// begins at zero, with a new start.
//
// Some points cannot be carried. They are dropped, and [metricsbuffer.SinkStats] counts them by reason: strings that
// are not UTF-8; series with a key twice; counters whose sum in the batch is negative, because the sum is monotonic. A
// [Sink] also drops a point that the backend refuses alone, as too large or invalid, and one that the exporter cannot
// write as JSON ([Sink.Write]).
//
// A timer and a histogram in the unit ns of the same name and tags are one series to a backend: name them differently.
package otelsink

import "go.opentelemetry.io/otel/sdk/instrumentation"

var scope = instrumentation.Scope{Name: "github.com/metricsbuffer/metricsbuffer"}
