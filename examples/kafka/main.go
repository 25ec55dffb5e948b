// Kafka is the scenario that metricsbuffer comes from. The program produces messages to Kafka asynchronously, and the
// client's delivery callbacks count and time them on goroutines of the client. A consumer records its metrics by name.
// During all this the buffer is flushed to one or two sinks. At the end the program audits itself: callbacks, broker,
// consumer and sinks must have counted the same number of messages.
//
// Read the files in this order: main.go (the wiring), producer.go (the callbacks), consumer.go (metrics by name),
// audit.go, broker.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
)

func main() {
	cfg, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2) // parse has printed the reason
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // the first Ctrl-C ends the run with its audit, a second one ends the program at once

	fmt.Println(cfg.announcement())
	if _, err := run(ctx, cfg, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

// run produces and consumes until all messages are sent or ctx is done. Then it waits for the open callbacks and audits
// the counts. The error says which counts differ, or why they could not be taken.
func run(ctx context.Context, cfg config, out io.Writer) (*audit, error) {
	broker, err := openBroker(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer broker.close()

	console, err := consolesink.New(out)
	if err != nil {
		return nil, err
	}
	sinks := []*auditedSink{{name: "console", sink: console}}
	if cfg.statsd != nil {
		defer func() { _ = cfg.statsd.Close() }() // after the buffer, which writes to it until then
		sinks = append(sinks, &auditedSink{name: "statsd", sink: cfg.statsd})
	}
	options := []metricsbuffer.Option{metricsbuffer.WithInterval(cfg.interval)}
	for _, sink := range sinks {
		options = append(options, metricsbuffer.WithSink(sink))
	}
	buffer, err := metricsbuffer.New(options...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = buffer.Close() }() // for the early returns: a second Close does nothing

	consumer, err := startConsumer(broker, buffer)
	if err != nil {
		return nil, err
	}
	produced, err := produce(ctx, cfg, broker, buffer)
	if err != nil {
		return nil, errors.Join(err, consumer.stop())
	}

	// The audit of the produced messages ignores ctx: Ctrl-C must not cut it short.
	stored, err := broker.endOffsets()
	if err != nil {
		return nil, errors.Join(err, consumer.stop())
	}
	consumer.awaitRecords(stored, 10*time.Second)
	if err := consumer.stop(); err != nil {
		return nil, err
	}
	undelivered := buffer.Close() // the audit shows how many updates are missing

	result := &audit{
		produced: *produced,
		stored:   stored,
		consumed: consumer.records.Load(),
		sinks:    sinks,
		toReject: int64(cfg.injectErrors),
		rejected: broker.rejected.Load(),
	}
	_, unprinted := fmt.Fprint(out, result)
	return result, errors.Join(undelivered, result.check(), unprinted)
}
