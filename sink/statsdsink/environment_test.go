package statsdsink

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// setEnvironment sets these variables, and unsets all others that FromEnvironment reads.
func setEnvironment(t *testing.T, variables map[string]string) {
	for _, name := range []string{
		"DD_DOGSTATSD_URL", "DD_AGENT_HOST", "DD_DOGSTATSD_PORT", "DD_ENTITY_ID", "DD_ENV", "DD_SERVICE", "DD_VERSION",
		"STATSD_ADDR", "STATSD_HOST", "STATSD_PORT", "STATSD_PREFIX",
	} {
		t.Setenv(name, variables[name])
	}
}

func TestServersOfTheEnvironment(t *testing.T) {
	for target, variables := range map[string]map[string]string{
		"udp://agent:8125":   {"DD_AGENT_HOST": "agent"},
		"udp://agent:9125":   {"DD_AGENT_HOST": "agent", "DD_DOGSTATSD_PORT": "9125", "STATSD_HOST": "other"},
		"udp://agent:7":      {"DD_AGENT_HOST": "agent:7", "DD_DOGSTATSD_PORT": "9125"},
		"udp://[::1]:8125":   {"DD_AGENT_HOST": "::1"},
		"udp://[::1]:9125":   {"DD_AGENT_HOST": "[::1]", "DD_DOGSTATSD_PORT": "9125"},
		"unixgram:///a.sock": {"DD_AGENT_HOST": "unix:///a.sock"},

		"udp://url:1":        {"DD_DOGSTATSD_URL": "udp://url:1", "DD_AGENT_HOST": "agent", "DD_DOGSTATSD_PORT": "2"},
		"udp://url:8125":     {"DD_DOGSTATSD_URL": "udp://url", "DD_DOGSTATSD_PORT": "2"},
		"unixgram:///d.sock": {"DD_DOGSTATSD_URL": "unix:///d.sock"},
		"unixgram:///e.sock": {"DD_DOGSTATSD_URL": "unixgram:///e.sock"},

		"udp://statsd:8125":   {"STATSD_HOST": "statsd"},
		"udp://statsd:9125":   {"STATSD_HOST": "statsd", "STATSD_PORT": "9125"},
		"udp://localhost:125": {"STATSD_ADDR": "localhost:125", "STATSD_HOST": "statsd"},
		"tcp://localhost:125": {"STATSD_ADDR": "tcp://localhost:125"},
	} {
		setEnvironment(t, variables)
		s, err := FromEnvironment()
		require.NoError(t, err)
		require.Equal(t, "statsd "+target, s.String())
	}
}

// An error names the variables, their values, and the remedy.
func TestEnvironmentsThatAreRefused(t *testing.T) {
	long := strings.Repeat("l", 5000)
	for says, variables := range map[string]map[string]string{
		"the environment names no server: set DD_AGENT_HOST for Datadog's agent, or STATSD_HOST": {"DD_ENV": "prod"},

		`from DD_AGENT_HOST="a" and DD_DOGSTATSD_PORT="0": target "udp://a:0" has the port "0"`: {
			"DD_AGENT_HOST": "a", "DD_DOGSTATSD_PORT": "0",
		},
		`from STATSD_ADDR="a:b": target "udp://a:b" has the port "b", which is not a number from 1 to 65535: write`: {
			"STATSD_ADDR": "a:b",
		},
		`from DD_AGENT_HOST="a b": target "udp://a b:8125" has the host "a b", which has`: {"DD_AGENT_HOST": "a b"},
		`from STATSD_HOST="a" and STATSD_PORT="x": target "udp://a:x" has the port "x"`: {
			"STATSD_HOST": "a", "STATSD_PORT": "x",
		},
		`from DD_DOGSTATSD_URL="\\\\.\\pipe\\dd": named pipes are not supported: use udp://host:port`: {
			"DD_DOGSTATSD_URL": `\\.\pipe\dd`,
		},
		`from DD_DOGSTATSD_URL="unixstream:///a": streams of Datadog's own protocol are not supported: use unixgram:///`: {
			"DD_DOGSTATSD_URL": "unixstream:///a",
		},
		`from DD_DOGSTATSD_URL="http://a": target "http://a": the network "http" is un`: {"DD_DOGSTATSD_URL": "http://a"},
		`from STATSD_PREFIX="a b": prefix "a b.": use letters`: {
			"STATSD_HOST": "a", "STATSD_PREFIX": "a b",
		},
		`: shorten the prefix and the constant tags, or give WithMaxPacket more bytes (the environment has ` +
			`STATSD_HOST="a" and STATSD_PREFIX="llll`: {"STATSD_HOST": "a", "STATSD_PREFIX": long},
		`(the environment has DD_AGENT_HOST="a" and DD_ENV="prod" and DD_SERVICE="llll`: {
			"DD_AGENT_HOST": "a", "DD_ENV": "prod", "DD_SERVICE": long, "STATSD_PREFIX": "unused",
		},
		`and DD_ENTITY_ID="llll`: {"DD_AGENT_HOST": "a", "DD_ENTITY_ID": long},
		`and DD_ENV="llll`:       {"DD_AGENT_HOST": "a", "DD_ENV": long},
		`and DD_VERSION="llll`:   {"DD_AGENT_HOST": "a", "DD_VERSION": long},
	} {
		setEnvironment(t, variables)
		_, err := FromEnvironment()
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, "statsdsink: ")
		require.Less(t, len(err.Error()), 1000)
	}
	setEnvironment(t, map[string]string{"DD_AGENT_HOST": "a"})
	_, err := FromEnvironment(nil)
	require.ErrorContains(t, err, "option 1 of 1 is nil: leave it out")
	_, err = FromEnvironment(WithGraphiteTags())
	require.ErrorContains(t, err, `use WithTimers(Timings) (the environment has DD_AGENT_HOST="a")`)
}

func TestLinesOfTheEnvironment(t *testing.T) {
	batch := func() *metricsbuffer.Batch {
		return &metricsbuffer.Batch{Points: []point{
			{Name: "jobs", Tags: tags{tag("env", "own")}, Count: 1},
			{Name: "level", Kind: gauge, Value: -2},
			{Name: "t", Kind: timer, Min: 1e6, Max: 1e6, Buckets: &buckets{Offset: 318, Counts: []uint64{2}}},
		}}
	}
	lines := func(opts ...Option) (written string) {
		s, err := FromEnvironment(opts...)
		require.NoError(t, err)
		require.NoError(t, s.pack(batch(), func(packet []byte, _ place) error {
			written += string(packet)
			return nil
		}))
		return written
	}
	setEnvironment(t, map[string]string{"STATSD_HOST": "a", "DD_ENV": "prod"})
	require.Equal(t, "jobs:1|c|#env:own\nlevel:0|g\nlevel:-2|g\nt:1|ms|@0.5\n", lines())

	for _, prefix := range []string{"app", "app."} {
		setEnvironment(t, map[string]string{"STATSD_HOST": "a", "STATSD_PREFIX": prefix})
		require.Equal(t, "app.jobs:1|c|#env:own\napp.level:0|g\napp.level:-2|g\napp.t:1|ms|@0.5\n", lines())
	}

	setEnvironment(t, map[string]string{
		"DD_AGENT_HOST": "a", "STATSD_PREFIX": "app", "DD_ENTITY_ID": "uid-1", "DD_ENV": "prod", "DD_SERVICE": "shop",
		"DD_VERSION": "1.2+3",
	})
	const tags = "#dd.internal.entity_id:uid-1,env:prod,service:shop,version:1.2_x2B_3"
	require.Equal(t, "jobs:1|c|"+tags+",_x_env:own\nlevel:-2|g|"+tags+"\nt:1|d|@0.5|"+tags+"\n", lines())
	require.Contains(t, lines(WithTimers(Timings)), "\nt:1|ms|@0.5|#", "options override the environment")
}

func TestSignedGauges(t *testing.T) {
	batch := &metricsbuffer.Batch{Points: []point{
		{Name: "g", Kind: gauge, Value: -2.5}, {Name: "g", Kind: gauge, Value: 2.5},
		{Name: "t", Kind: timer, Count: 2, Min: -1, Max: 1},
	}}
	const parts = "t.ns.count:2|c\nt.ns.sum:0|c\n"
	require.Equal(t, "g:0|g\ng:-2.5|g\ng:2.5|g\n"+parts+"t.ns.min:0|g\nt.ns.min:-1|g\nt.ns.max:1|g\n",
		write(t, batch, WithTimers(Parts)))
	require.Equal(t, "g:-2.5|g\ng:2.5|g\n"+parts+"t.ns.min:-1|g\nt.ns.max:1|g\n",
		write(t, batch, WithTimers(Parts), WithSignedGauges()))
}
