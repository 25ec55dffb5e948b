package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

// config has the values of the flags.
type config struct {
	brokers      []string         // none: an in-process broker
	statsd       *statsdsink.Sink // nil: the console only
	messages     int
	duration     time.Duration
	producers    int
	interval     time.Duration
	injectErrors int
}

// announcement describes the run that is about to begin, and its duration.
func (cfg config) announcement() string {
	broker, pace := "a Kafka broker inside this process", fmt.Sprintf("for %v", cfg.duration)
	if len(cfg.brokers) > 0 {
		broker = "the Kafka brokers at " + strings.Join(cfg.brokers, ", ")
	}
	if cfg.duration == 0 {
		pace = "as fast as possible"
	}
	return fmt.Sprintf("Sending %d messages to %s, %s, and reading them back.\n"+
		"Every %v a table of metrics follows, and at the end an audit with its verdict. Ctrl-C ends the run early.\n",
		cfg.messages, broker, pace, cfg.interval)
}

// parse reads the flags. If they are wrong, it prints the reason to out and returns an error.
func parse(args []string, out io.Writer) (config, error) {
	var cfg config
	var brokers string
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&brokers, "brokers", "",
		"produce to these Kafka `brokers` (host:port,...), into a topic made for the run and deleted after it\n"+
			"(default: an in-process broker)")
	flags.Func("statsd",
		"deliver to the StatsD server at this `address`, too: host:port (UDP), tcp://host:port, unix:///path (stream)\n"+
			"or unixgram:///path (default: the console only)",
		func(address string) (err error) {
			cfg.statsd, err = newStatsD(address)
			return err
		})
	flags.IntVar(&cfg.messages, "messages", 200_000, "send this `number` of messages in all")
	flags.DurationVar(&cfg.duration, "duration", 10*time.Second,
		"spread them evenly over this `time`; 0s: as fast as the broker takes them")
	flags.IntVar(&cfg.producers, "producers", 4,
		fmt.Sprintf("share them among this `number` of Kafka clients, each used by %d goroutines", sendersPerProducer))
	flags.DurationVar(&cfg.interval, "interval", time.Second, "flush the metrics each time this `time` has passed")
	flags.IntVar(&cfg.injectErrors, "inject-errors", 0,
		"let the in-process broker reject this `number` of produce requests (each carries many messages), evenly over\n"+
			"--duration (default 0)")
	flags.Usage = func() {
		_, _ = fmt.Fprint(out, "Produces and consumes Kafka messages, meters them with metricsbuffer, audits the totals.\n"+
			"Exits with 0 if every message is accounted for, 1 if not, 2 on wrong flags. Ctrl-C ends it early.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if brokers != "" {
		cfg.brokers = strings.Split(brokers, ",")
	}
	err := cfg.check(flags.Args())
	if err != nil {
		_, _ = fmt.Fprintf(out, "kafka: %v (see --help)\n", err)
	}
	return cfg, err
}

// check returns an error that names the first wrong flag, or nil.
func (cfg config) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q: there are flags only", rest[0])
	case slices.Contains(cfg.brokers, ""):
		return fmt.Errorf("--brokers %s: an address is empty, and would mean port 9092 of this machine: leave a comma out",
			strings.Join(cfg.brokers, ","))
	case cfg.messages < 1:
		return fmt.Errorf("--messages %d: must be at least 1", cfg.messages)
	case cfg.producers < 1:
		return fmt.Errorf("--producers %d: must be at least 1", cfg.producers)
	case cfg.duration < 0:
		return fmt.Errorf("--duration %v: must not be negative", cfg.duration)
	case cfg.interval < time.Millisecond:
		return fmt.Errorf("--interval %v: must be at least 1ms", cfg.interval)
	case cfg.injectErrors < 0:
		return fmt.Errorf("--inject-errors %d: must not be negative", cfg.injectErrors)
	case cfg.injectErrors > 0 && len(cfg.brokers) > 0:
		return errors.New("--inject-errors works with the in-process broker only: leave it or --brokers out")
	}
	return nil
}

// newStatsD returns the sink that --statsd asks for. It does not connect yet.
func newStatsD(address string) (*statsdsink.Sink, error) {
	if !strings.Contains(address, "://") {
		address = "udp://" + address
	}
	return statsdsink.New(address)
}
