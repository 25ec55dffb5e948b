package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	var out bytes.Buffer
	cfg, err := parse(nil, &out)
	require.NoError(t, err)
	require.Less(t, cfg.duration, 20*time.Second)

	cfg, err = parse([]string{"--brokers", "a:1,b:2", "--statsd", "tcp://c:3", "--duration", "0"}, &out)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, cfg.brokers)
	require.Equal(t, "statsd tcp://c:3", cfg.statsd.String())
	require.Zero(t, cfg.duration)
	require.Empty(t, out.String())
}

func TestFirstLineSaysWhatWillBeSeen(t *testing.T) {
	cfg, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "Sending 200000 messages to a Kafka broker inside this process, for 10s, and reading them back.\n"+
		"Every 1s a table of metrics follows, and at the end an audit with its verdict. Ctrl-C ends the run early.\n",
		cfg.announcement())

	cfg, err = parse([]string{"--brokers", "a:1,b:2", "--duration", "0"}, io.Discard)
	require.NoError(t, err)
	require.Contains(t, cfg.announcement(), "to the Kafka brokers at a:1, b:2, as fast as possible, and")
}

func TestWrongFlagsAreExplained(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"5"}, `unexpected argument "5"`},
		{[]string{"--messages", "0"}, "--messages 0: must be at least 1"},
		{[]string{"--producers", "0"}, "--producers 0: must be at least 1"},
		{[]string{"--duration", "-1s"}, "--duration -1s: must not be negative"},
		{[]string{"--interval", "0s"}, "--interval 0s: must be at least 1ms"},
		{[]string{"--interval", "1us"}, "--interval 1µs: must be at least 1ms"},
		{[]string{"--brokers", "a:1,"}, "--brokers a:1,: an address is empty"},
		{[]string{"--inject-errors", "-1"}, "--inject-errors -1: must not be negative"},
		{[]string{"--inject-errors", "1", "--brokers", "a:1"}, "works with the in-process broker only"},
		{[]string{"--statsd", "http://a:1"}, `the network "http" is unknown`},
		{[]string{"--statsd", "localhost"}, "has no port"},
		{[]string{"--no-such-flag"}, "no-such-flag"},
	} {
		var out bytes.Buffer
		_, err := parse(test.args, &out)
		require.Error(t, err, test.args)
		require.Contains(t, out.String(), test.says)
	}
}

func TestStatsDAddresses(t *testing.T) {
	for address, name := range map[string]string{
		"localhost:8125":       "statsd udp://localhost:8125",
		"udp://localhost:8125": "statsd udp://localhost:8125",
		"tcp://[::1]:8125":     "statsd tcp://[::1]:8125",
		"unixgram:///run/s":    "statsd unixgram:///run/s",
	} {
		sink, err := newStatsD(address)
		require.NoError(t, err)
		require.Equal(t, name, sink.String())
	}
}
