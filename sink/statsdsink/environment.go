package statsdsink

import (
	"cmp"
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
// The options come after all this, and override it. If no variable names a server, the error names the variables to
// set. If one has a wrong value, or one that does not go with the options, the error names the variable and its value.
func FromEnvironment(opts ...Option) (*Sink, error) {
	s, read, err := ofEnvironment()
	if err != nil {
		return nil, fmt.Errorf("statsdsink: %w", err)
	}
	if err := s.configure(opts); err != nil { // the cause may be an option, the environment, or both
		return nil, fmt.Errorf("statsdsink: %w (the environment has %s)", err, read)
	}
	return s, nil
}

// variables are those of the environment that were read and not empty, as name="value".
type variables []string

// read returns the variable's value.
func (v *variables) read(name string) string {
	value := os.Getenv(name)
	if value != "" {
		*v = append(*v, fmt.Sprintf("%s=%.200q", name, value))
	}
	return value
}

func (v variables) String() string { return strings.Join(v, " and ") }

// ofEnvironment returns a sink that is configured by the environment, and the variables that it was configured by.
func ofEnvironment() (*Sink, variables, error) {
	for _, names := range [][2]string{
		{"DD_DOGSTATSD_URL"}, {"DD_AGENT_HOST", "DD_DOGSTATSD_PORT"}, {"STATSD_ADDR"}, {"STATSD_HOST", "STATSD_PORT"},
	} {
		var read variables
		server := read.read(names[0])
		if server == "" {
			continue
		}
		s := new(Sink)
		written, err := targetOfClient(server, cmp.Or(read.read(names[1]), "8125"))
		if err == nil {
			s.target, err = parseTarget(written)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("from %s: %w", read, err)
		}
		if strings.HasPrefix(names[0], "DD_") {
			return s, read, s.configureForDatadog(&read)
		}
		return s, read, s.configureForStatsD(&read)
	}
	return nil, nil, errors.New("the environment names no server: set DD_AGENT_HOST for Datadog's agent, " +
		"or STATSD_HOST for another server")
}

// targetOfClient turns a server as other clients have it, a host, host:port or a URL, into a target of [New].
func targetOfClient(server, port string) (string, error) {
	scheme, address, isURL := strings.Cut(server, "://")
	switch {
	case strings.HasPrefix(server, `\\.\pipe\`):
		return "", errors.New("named pipes are not supported: use udp://host:port")
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

func (s *Sink) configureForDatadog(read *variables) error {
	opts := []Option{WithTimers(Distributions), WithSignedGauges()}
	for _, tag := range [][2]string{
		{"DD_ENTITY_ID", "dd.internal.entity_id"}, {"DD_ENV", "env"}, {"DD_SERVICE", "service"}, {"DD_VERSION", "version"},
	} {
		if value := read.read(tag[0]); value != "" {
			opts = append(opts, WithTags(metricsbuffer.Tag{Key: tag[1], Value: value}))
		}
	}
	return s.apply(opts)
}

func (s *Sink) configureForStatsD(read *variables) error {
	var own variables
	prefix := own.read("STATSD_PREFIX")
	if prefix == "" {
		return nil
	}
	*read = append(*read, own...)
	if err := s.apply([]Option{WithPrefix(strings.TrimSuffix(prefix, ".") + ".")}); err != nil {
		return fmt.Errorf("from %s: %w", own, err)
	}
	return nil
}
