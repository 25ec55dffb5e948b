package otelsink_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/otelsink"
)

// Every ten seconds the buffer's batch is pushed to a collector on this machine.
func ExampleNew() {
	exporter, err := otlpmetricgrpc.New(context.Background(), otlpmetricgrpc.WithInsecure())
	if err != nil {
		fmt.Println(err)
		return
	}
	sink, err := otelsink.New(exporter)
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink, metricsbuffer.SinkInterval(10*time.Second)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buffer.Close() // shuts the exporter down, too
	fmt.Println(sink)
	// Output: opentelemetry *otlpmetricgrpc.Exporter
}

// Every reader of the SDK flushes the buffer when it reads.
func ExampleProducer() {
	producer, err := otelsink.NewProducer()
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(producer))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buffer.Close()
	reader := metric.NewManualReader(metric.WithProducer(producer))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	for range 2 {
		buffer.IncrCounter("jobs", 3)
		var metrics metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &metrics); err != nil {
			fmt.Println(err)
			return
		}
		jobs := metrics.ScopeMetrics[0].Metrics[0]
		fmt.Println(jobs.Name, jobs.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
	}
	// Output:
	// jobs 3
	// jobs 6
}

// A slow request is found by the span that its exemplar names. Only a span that is sampled is stored anywhere.
func ExampleProducer_exemplar() {
	producer := metricsbuffer.Must(otelsink.NewProducer())
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(producer)))
	defer buffer.Close()
	reader := metric.NewManualReader(metric.WithProducer(producer))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	tracer := trace.NewTracerProvider().Tracer("example.com/server")
	latency := buffer.Timer("http.latency")

	stopwatch := latency.Start()
	_, span := tracer.Start(context.Background(), "GET /")
	// … serve the request …
	span.End()
	if in := span.SpanContext(); in.IsSampled() {
		latency.ObserveExemplar(stopwatch.Elapsed(), metricsbuffer.TraceContext{TraceID: in.TraceID(), SpanID: in.SpanID()})
	} else {
		stopwatch.Stop()
	}

	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &metrics); err != nil {
		fmt.Println(err)
		return
	}
	data := metrics.ScopeMetrics[0].Metrics[0].Data.(metricdata.ExponentialHistogram[int64])
	for _, e := range data.DataPoints[0].Exemplars {
		id := span.SpanContext().SpanID()
		fmt.Println("the exemplar is of the span:", bytes.Equal(e.SpanID, id[:]))
	}
	// Output: the exemplar is of the span: true
}
