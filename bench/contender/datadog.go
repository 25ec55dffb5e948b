package contender

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
)

func datadog() Contender {
	return Contender{
		Name: "datadog-go", Module: "github.com/DataDog/datadog-go/v5",
		How: "extended client-side aggregation, mutex mode, no telemetry, a sender queue that holds any flush; it has no " +
			"handles: all is by name, with tags that are prepared; timings are kept as samples; text is what it sends, by Flush",
		Without: map[string]string{"vector": "tags are given with the name: see by name with two tags"},
		Open:    openDatadog,
	}
}

type datadogInstance struct {
	client *statsd.Client
	writer *datadogWriter
}

func openDatadog(output Output) (Instance, error) {
	writer := &datadogWriter{output: output}
	client, err := statsd.NewWithWriter(writer, statsd.WithExtendedClientSideAggregation(), statsd.WithoutTelemetry(),
		statsd.WithoutOriginDetection(), statsd.WithAggregationInterval(time.Hour),
		statsd.WithBufferFlushInterval(time.Hour), statsd.WithSenderQueueSize(1<<16))
	return &datadogInstance{client, writer}, err
}

func (d *datadogInstance) Limits() Limits { return Limits{} }
func (d *datadogInstance) Close() error   { return d.client.Close() }
func (d *datadogInstance) Report() error  { return d.client.Flush() }

func (d *datadogInstance) Counters(names []string) Loop { return d.Named(names) }

func (d *datadogInstance) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			_ = d.client.Count(names[i], 1, nil, 1) // fails only when closed
		}
	}
}

func (d *datadogInstance) Tagged(name string, labels []Labels) Loop {
	tags := make([][]string, len(labels))
	for i, l := range labels {
		tags[i] = []string{LabelA + ":" + l.A, LabelB + ":" + l.B}
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			_ = d.client.Count(name, 1, tags[i], 1)
		}
	}
}

func (d *datadogInstance) Timer(name string) Loop {
	return func(_ int, order []uint32) {
		for _, v := range order {
			_ = d.client.Timing(name, time.Duration(v), nil, 1)
		}
	}
}

func (d *datadogInstance) Request() Loop {
	return func(_ int, order []uint32) {
		for _, v := range order {
			_ = d.client.Count("requests", 1, nil, 1)
			_ = d.client.Count("bytes", 512, nil, 1)
			_ = d.client.Timing("latency", time.Duration(v), nil, 1)
			_ = d.client.Gauge("inflight", float64(v), nil, 1)
		}
	}
}

func (d *datadogInstance) Export(w io.Writer) error {
	d.writer.w = w // the client's sender reads it after Flush has woken it
	return d.client.Flush()
}

// A datadogWriter is what the client sends to, one payload at a time: the text goes on to w, or its counters to the
// audit.
type datadogWriter struct {
	w      io.Writer
	output Output
}

func (d *datadogWriter) Close() error { return nil }

func (d *datadogWriter) Write(payload []byte) (int, error) {
	if d.output == nil {
		if d.w == nil {
			return len(payload), nil
		}
		return d.w.Write(payload)
	}
	var reports []Report
	for line := range bytes.Lines(payload) { // name:value|c
		name, rest, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		number, kind, _ := bytes.Cut(rest, []byte("|"))
		if len(kind) == 0 || kind[0] != 'c' {
			continue
		}
		value, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("line %q: %w", line, err)
		}
		reports = append(reports, Report{Name: string(name), Value: value})
	}
	if err := d.output(reports); err != nil {
		return 0, err
	}
	return len(payload), nil
}
