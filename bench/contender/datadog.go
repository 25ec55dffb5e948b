package contender

import (
	"io"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
)

func datadog() Contender {
	return Contender{
		Name: "datadog-go", Module: "github.com/DataDog/datadog-go/v5",
		How: "extended client-side aggregation, mutex mode, no telemetry, a sender queue that holds any flush; it has no " +
			"handles: all is by name, with tags that are prepared; timings are kept as samples; text is its payload, by Flush",
		Without: Reasons{"vector": "tags are given with the name: see by name with two tags", "page": noPage},
		Open: func(output Output) (Instance, error) {
			d := &datadogInstance{received: received{output: output}}
			var err error
			d.client, err = statsd.NewWithWriter(&d.received, statsd.WithExtendedClientSideAggregation(),
				statsd.WithoutTelemetry(), statsd.WithoutOriginDetection(), statsd.WithAggregationInterval(time.Hour),
				statsd.WithBufferFlushInterval(time.Hour), statsd.WithSenderQueueSize(1<<16))
			return d, err
		},
	}
}

type datadogInstance struct {
	client   *statsd.Client
	received received
}

func (d *datadogInstance) Close() error  { return d.client.Close() }
func (d *datadogInstance) Report() error { return d.client.Flush() }

func (d *datadogInstance) Export(w io.Writer) error {
	d.received.w = w // the client's sender reads it after Flush has woken it
	return d.client.Flush()
}

func (d *datadogInstance) Counters(names []string) Loop { return d.Named(names) }

// The calls in the loops return an error if the client is closed, and only then.

//go:noinline
func (d *datadogInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) { each(order, func(i uint32) { _ = d.client.Count(names[i], 1, nil, 1) }) }
}

func (d *datadogInstance) Tagged(name string, labels []Labels) Loop {
	tags := make([][]string, len(labels))
	for i, l := range labels {
		tags[i] = []string{LabelA + ":" + l.A, LabelB + ":" + l.B}
	}
	return func(_ int, order []uint32) { each(order, func(i uint32) { _ = d.client.Count(name, 1, tags[i], 1) }) }
}

func (d *datadogInstance) Timer(name string) Loop {
	return func(_ int, order []uint32) {
		each(order, func(v uint32) { _ = d.client.Timing(name, time.Duration(v), nil, 1) })
	}
}

func (d *datadogInstance) Stopwatch() Loop {
	return func(_ int, order []uint32) {
		each(order, func(uint32) {
			begin := time.Now()
			_ = d.client.Timing("latency", time.Since(begin), nil, 1)
		})
	}
}

func (d *datadogInstance) Group() Loop {
	return func(_ int, order []uint32) {
		each(order, func(v uint32) {
			_ = d.client.Count("requests", 1, nil, 1)
			_ = d.client.Count("bytes", 512, nil, 1)
			_ = d.client.Timing("latency", time.Duration(v), nil, 1)
		})
	}
}

func (d *datadogInstance) Request() Loop {
	return func(_ int, order []uint32) {
		each(order, func(v uint32) {
			_ = d.client.Count("requests", 1, nil, 1)
			_ = d.client.Count("bytes", 512, nil, 1)
			_ = d.client.Timing("latency", time.Duration(v), nil, 1)
			_ = d.client.Gauge("inflight", float64(v), nil, 1)
		})
	}
}
