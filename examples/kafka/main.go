// Kafka is the scenario that metricsbuffer comes from, from end to end: messages are produced to Kafka asynchronously,
// the client's delivery callbacks count and time them on its own goroutines, a consumer does the same by name, and all
// the while the buffer is flushed to one or two sinks. When it ends, it audits itself: what was produced, called back,
// delivered to each sink, stored in the broker and consumed must be the same number of messages.
//
// Read it in this order: main.go (the wiring), producer.go (the callbacks), consumer.go (metrics by name), audit.go,
// broker.go.
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
		os.Exit(2) // parse has said why
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // the first Ctrl-C ends the run with its audit, a second one ends the program at once

	if _, err := run(ctx, cfg, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

// run produces and consumes until all messages are sent or ctx is done, then settles what is under way and audits it.
// The error says which counts differ, or what kept them from being taken.
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
		defer func() { _ = cfg.statsd.Close() }() // when the buffer is closed, so that nothing is under way
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
	defer func() { _ = buffer.Close() }() // for the early returns; closing twice is fine

	consumer, err := startConsumer(broker, buffer)
	if err != nil {
		return nil, err
	}
	produced, err := produce(ctx, cfg, broker, buffer)
	if err != nil {
		return nil, errors.Join(err, consumer.stop())
	}

	// From here on nothing heeds ctx: what was produced is accounted for, Ctrl-C or not.
	stored, err := broker.endOffsets()
	if err != nil {
		return nil, errors.Join(err, consumer.stop())
	}
	consumer.awaitRecords(stored, 10*time.Second)
	if err := consumer.stop(); err != nil {
		return nil, err
	}
	undelivered := buffer.Close() // the audit tells how much that is

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
