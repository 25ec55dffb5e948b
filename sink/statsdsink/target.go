package statsdsink

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A target is the server that a sink sends to.
type target struct {
	network string // as package net knows it
	address string // host:port, or the path of a unix socket
	host    string // to be looked up; empty for an IP address and for a unix socket
}

// examples are correct targets, one for each network. Error messages show them.
var examples = map[string]string{
	"udp": "udp://127.0.0.1:8125", "udp4": "udp4://127.0.0.1:8125", "udp6": "udp6://[::1]:8125",
	"tcp": "tcp://127.0.0.1:8125", "tcp4": "tcp4://127.0.0.1:8125", "tcp6": "tcp6://[::1]:8125",
	"unixgram": "unixgram:///run/statsd.sock", "unix": "unix:///run/statsd.sock",
}

// parseTarget reads a target in the form that [New] documents. An error shows a correct one.
func parseTarget(s string) (target, error) {
	network, address, isURL := strings.Cut(s, "://")
	example, known := examples[network]
	scheme, rest, _ := strings.Cut(s, ":")
	switch {
	case s == "":
		return target{}, fmt.Errorf("the target is empty: write %s or %s", examples["udp"], examples["unixgram"])
	case !isURL && strings.HasPrefix(s, "/"):
		return target{}, fmt.Errorf("target %q has no network: write unixgram://%s or unix://%s", s, s, s)
	case !isURL && examples[scheme] != "" && strings.Trim(rest, "/") != "":
		if !strings.HasPrefix(scheme, "unix") {
			rest = strings.TrimLeft(rest, "/")
		}
		return target{}, fmt.Errorf("target %q has no slashes after the network: write %s://%s", s, scheme, rest)
	case !isURL && strings.Contains(s, ":") && examples[scheme] == "":
		return target{}, fmt.Errorf("target %q has no network: write udp://%s or tcp://%s", s, s, s)
	case !isURL:
		return target{}, fmt.Errorf("target %q has no network: write a target like %s or %s",
			s, examples["udp"], examples["unixgram"])
	case !known:
		return target{}, fmt.Errorf("target %q: the network %q is unknown: write udp, tcp, unixgram or unix, as in %s",
			s, network, examples["udp"])
	}
	t := target{network: network, address: address}
	var fault string
	if strings.HasPrefix(network, "unix") {
		fault = faultOfPath(address)
	} else {
		t.host, fault = hostOf(network, address)
	}
	if fault == bare && !strings.HasSuffix(network, "4") {
		example = network + "://[::1]:8125"
	}
	if fault != "" {
		return target{}, fmt.Errorf("target %q %s: write a target like %s", s, fault, example)
	}
	return t, nil
}

func (t target) String() string { return t.network + "://" + t.address }

// isStream reports whether the target is reached by a connection rather than by datagrams.
func (t target) isStream() bool { return t.network == "unix" || strings.HasPrefix(t.network, "tcp") }

// isUDP reports whether nothing but the network itself slows the sender down.
func (t target) isUDP() bool { return strings.HasPrefix(t.network, "udp") }

// faultOfPath returns the mistake in the path of a unix socket, or "".
func faultOfPath(path string) (fault string) {
	longest := 107 // of Linux and Windows
	switch runtime.GOOS {
	case "darwin", "ios", "dragonfly", "freebsd", "netbsd", "openbsd":
		longest = 103
	}
	switch {
	case path == "":
		return "has no path"
	case strings.ContainsRune(path, 0):
		return "has a zero byte in its path"
	case path == "@":
		return "has an empty name of an abstract socket"
	case path[len(path)-1] == '/':
		return "has the path of a directory"
	case len(path) > longest:
		return fmt.Sprintf("has a path of %d bytes; the system allows a socket %d", len(path), longest)
	case runtime.GOOS != "windows" && path[0] != '/' && path[0] != '@':
		return "has a relative path; its first part would be taken for a host" // and the directory may change
	}
	return ""
}

const bare = "has an IPv6 address without brackets"

// hostOf returns the host of host:port if it is a name, and the mistake in the address, or "".
func hostOf(network, address string) (name, fault string) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil && !strings.HasSuffix(address, "]") && strings.Count(address, ":") > 1:
		return "", bare
	case err != nil:
		return "", "has no port"
	case host == "":
		return "", "has no host"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Sprintf("has the port %q, which is not a number from 1 to 65535", port)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return "", faultOfIP(network, ip)
	}
	return host, faultOfName(host)
}

// faultOfIP returns the mistake in an IP address, or "".
func faultOfIP(network string, ip netip.Addr) (fault string) {
	is4 := ip.Unmap().Is4()
	switch {
	case is4 && strings.HasSuffix(network, "6"):
		return "has an IPv4 address for a network of IPv6"
	case !is4 && strings.HasSuffix(network, "4"):
		return "has an IPv6 address for a network of IPv4"
	case strings.ContainsFunc(ip.Zone(), func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }):
		return fmt.Sprintf("has the zone %q, which cannot name an interface; the interface's number can stand there, too",
			ip.Zone())
	}
	return ""
}

// faultOfName returns the mistake in the name of a host, or "". The name of a container may have underscores.
func faultOfName(host string) (fault string) {
	if classes(host)&special != 0 {
		return fmt.Sprintf("has the host %q, which has more in it than letters, digits, '.', '-' and '_'", host)
	}
	name := strings.TrimSuffix(host, ".")
	labels := strings.Split(name, ".")
	if len(name) > 253 || slices.ContainsFunc(labels, func(l string) bool { return l == "" || len(l) > 63 }) {
		return fmt.Sprintf("has the host %q; a name has at most 253 bytes, and 1 to 63 between two dots", host)
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" { // the URL standard takes it for an address
		return fmt.Sprintf("has the host %q, which is not an IPv4 address, and not a name because it ends in a number", host)
	}
	return ""
}
