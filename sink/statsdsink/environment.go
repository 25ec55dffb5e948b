package statsdsink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// FromEnvironment returns a sink for the server that the environment names. It reads the variables that the usual
// clients read. The first of these that is set, and not empty, names the server:
//
//	DD_DOGSTATSD_URL   udp://host:port, udp://host, unix:///path or unixgram:///path, as datadog-go reads it
//	DD_AGENT_HOST      a host; DD_DOGSTATSD_PORT is its port, or 8125; or host:port
//	STATSD_ADDR        host:port, as statsd-instrument (Ruby) reads it
//	STATSD_HOST        a host; STATSD_PORT is its port, or 8125, as statsd (Python) reads them
//
// A port that stands behind a host comes before the port in another variable, as in datadog-go.
//
// A DD_ variable means Datadog's agent. Timers and histograms are then sent as [Distributions], and negative gauges as
// with [WithSignedGauges]. Every line has these tags, if their variables are set:
//
//	DD_ENTITY_ID   dd.internal.entity_id, from which the agent learns the pod
//	DD_ENV         env
//	DD_SERVICE     service
//	DD_VERSION     version
//
// A STATSD_ variable means any other server. STATSD_PREFIX and a dot then stand in front of each name.
//
// The options come after all this, and override it. If no variable names a server, or one has a wrong value, the error
// names the variables to set.
func FromEnvironment(opts ...Option) (*Sink, error) {
	target, found, err := targetOfEnvironment()
	if err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	return New(target, append(found, opts...)...)
}

func targetOfEnvironment() (string, []Option, error) {
	const defaultPort = "8125"
	for _, variables := range [][2]string{
		{"DD_DOGSTATSD_URL"}, {"DD_AGENT_HOST", "DD_DOGSTATSD_PORT"}, {"STATSD_ADDR"}, {"STATSD_HOST", "STATSD_PORT"},
	} {
		value, port := os.Getenv(variables[0]), defaultPort
		if value == "" {
			continue
		}
		if s := os.Getenv(variables[1]); s != "" {
			port = s
		}
		target, err := targetOfClient(value, port)
		if err == nil {
			_, err = parseTarget(target)
		}
		if err != nil {
			names := strings.TrimSuffix(strings.Join(variables[:], " and "), " and ")
			return "", nil, fmt.Errorf("from %s: %w", names, err)
		}
		if strings.HasPrefix(variables[0], "DD_") {
			return target, datadogOptions(), nil
		}
		if prefix := os.Getenv("STATSD_PREFIX"); prefix != "" {
			return target, []Option{WithPrefix(strings.TrimSuffix(prefix, ".") + ".")}, nil
		}
		return target, nil, nil
	}
	return "", nil, errors.New("the environment names no server: set DD_AGENT_HOST for Datadog's agent, " +
		"or STATSD_HOST for another server")
}

// targetOfClient turns a server as other clients have it, a host, host:port or a URL, into a target of [New].
func targetOfClient(server, port string) (string, error) {
	scheme, address, isURL := strings.Cut(server, "://")
	switch {
	case strings.HasPrefix(server, `\\.\pipe\`):
		return "", errors.New("named pipes are not supported: use UDP")
	case !isURL:
		address = server
	case scheme == "unix": // the scheme of Datadog's clients for a socket whose kind they find out
		return "unixgram://" + address, nil
	case scheme == "unixstream":
		return "", errors.New("streams of Datadog's own protocol are not supported: use unixgram:///path")
	case scheme != "udp":
		return server, nil
	}
	if _, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		return "udp://" + net.JoinHostPort(strings.Trim(address, "[]"), port), nil
	}
	if strings.Contains(address, ":") {
		return "udp://" + address, nil
	}
	return "udp://" + net.JoinHostPort(address, port), nil
}

func datadogOptions() []Option {
	opts := []Option{WithTimers(Distributions), WithSignedGauges()}
	for _, tag := range [][2]string{
		{"DD_ENTITY_ID", "dd.internal.entity_id"}, {"DD_ENV", "env"}, {"DD_SERVICE", "service"}, {"DD_VERSION", "version"},
	} {
		if value := os.Getenv(tag[0]); value != "" {
			opts = append(opts, WithTags(metricsbuffer.Tag{Key: tag[1], Value: value}))
		}
	}
	return opts
}
