package statsdsink

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTargets(t *testing.T) {
	longest := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("a", 61) // 253 bytes
	for written, want := range map[string]target{
		"udp://127.0.0.1:8125":               {"udp", "127.0.0.1:8125", ""},
		"udp4://statsd.example:1":            {"udp4", "statsd.example:1", "statsd.example"},
		"tcp://[::1]:65535":                  {"tcp", "[::1]:65535", ""},
		"tcp6://[fe80::1%eth0]:8125":         {"tcp6", "[fe80::1%eth0]:8125", ""},
		"udp://stats_d-1.local.:8125":        {"udp", "stats_d-1.local.:8125", "stats_d-1.local."},
		"udp4://[::ffff:127.0.0.1]:8125":     {"udp4", "[::ffff:127.0.0.1]:8125", ""},
		"udp://[fe80::1%eth0.100]:8125":      {"udp", "[fe80::1%eth0.100]:8125", ""},
		"udp://shop_statsd_1:8125":           {"udp", "shop_statsd_1:8125", "shop_statsd_1"},
		"udp://4f2a.default.svc:8125":        {"udp", "4f2a.default.svc:8125", "4f2a.default.svc"},
		"tcp://" + longest + ".:1":           {"tcp", longest + ".:1", longest + "."},
		"unixgram:///run/x.sock":             {"unixgram", "/run/x.sock", ""},
		"unix:///run/a%20b c/x.sock":         {"unix", "/run/a%20b c/x.sock", ""}, // taken as it is
		"unixgram://@abstract":               {"unixgram", "@abstract", ""},
		"unix:///" + strings.Repeat("a", 90): {"unix", "/" + strings.Repeat("a", 90), ""},
	} {
		got, err := parseTarget(written)
		require.NoError(t, err)
		require.Equal(t, want, got)
		s, err := New(written)
		require.NoError(t, err)
		require.Equal(t, "statsd "+written, s.String())
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
	}
}

// An error of New names the mistake and a correct target.
func TestTargetsThatNewRefuses(t *testing.T) {
	long := "unix:///" + strings.Repeat("a", 199)
	label, name := strings.Repeat("a", 64), strings.Repeat("a.", 126)+"aa"
	for written, says := range map[string]string{
		"":                          `the target is empty: write udp://127.0.0.1:8125 or unixgram:///run/statsd.sock`,
		"127.0.0.1:8125":            `"127.0.0.1:8125" has no network: write udp://127.0.0.1:8125 or tcp://127.0.0.1:8125`,
		"/run/x.sock":               `"/run/x.sock" has no network: write unixgram:///run/x.sock or unix:///run/x.sock`,
		"localhost":                 `target "localhost" has no network: write a target like udp://127.0.0.1:8125`,
		"udp":                       `target "udp" has no network: write a target like`,
		"udp:localhost:8125":        `has no slashes after the network: write udp://localhost:8125`,
		"tcp:/localhost:8125":       `has no slashes after the network: write tcp://localhost:8125`,
		"unix:/run/x.sock":          `has no slashes after the network: write unix:///run/x.sock`,
		"localhost:8125":            `"localhost:8125" has no network: write udp://localhost:8125 or tcp://localhost:8125`,
		"tpc://127.0.0.1:8125":      `network "tpc" is unknown: write udp, tcp, unixgram or unix, as in udp://127.0.0.1:8125`,
		"http://127.0.0.1:8125":     `the network "http" is unknown`,
		"UDP://127.0.0.1:8125":      `the network "UDP" is unknown`,
		"://127.0.0.1:8125":         `the network "" is unknown`,
		"udp://":                    `target "udp://" has no port: write a target like udp://127.0.0.1:8125`,
		"udp://127.0.0.1":           `target "udp://127.0.0.1" has no port: write a target like udp://127.0.0.1:8125`,
		"udp://:8125":               `target "udp://:8125" has no host: write`,
		"udp://:0":                  `target "udp://:0" has no host: write`,
		"udp://localhost:0":         `has the port "0", which is not a number from 1 to 65535: write`,
		"udp://localhost:99999":     `has the port "99999", which is not a number from 1 to 65535: write`,
		"tcp://localhost:-1":        `has the port "-1", which is not a number`,
		"tcp://localhost:":          `has the port "", which is not a number`,
		"tcp://localhost:statsd":    `has the port "statsd", which is not a number`,
		"tcp://localhost:8125/path": `has the port "8125/path", which is not a number`,
		"tcp6://::1:8125":           `has an IPv6 address without brackets: write a target like tcp6://[::1]:8125`,
		"udp://::1:8125":            `has an IPv6 address without brackets: write a target like udp://[::1]:8125`,
		"udp4://::1:8125":           `has an IPv6 address without brackets: write a target like udp4://127.0.0.1:8125`,
		"tcp6://[::1]":              `has no port: write`,
		"tcp://a b:8125":            `has the host "a b", which has more in it than letters`,
		"tcp://user@host:8125":      `has the host "user@host"`,
		"tcp://host\n:8125":         `has the host "host\n"`,
		"udp4://[::1]:8125":         `has an IPv6 address for a network of IPv4: write a target like udp4://127.0.0.1:8125`,
		"tcp6://127.0.0.1:8125":     `has an IPv4 address for a network of IPv6: write a target like tcp6://[::1]:8125`,
		"udp6://[::ffff:1.2.3.4]:1": `has an IPv4 address for a network of IPv6: write`,
		"udp://127.0.0.256:8125":    `has the host "127.0.0.256", which is not an IPv4 address, and not a name because it`,
		"udp://127.1:8125":          `has the host "127.1", which is not an IPv4 address`,
		"udp://host.1.:8125":        `has the host "host.1.", which is not an IPv4 address`,
		"udp://0:8125":              `has the host "0", which is not an IPv4 address`,
		"udp://a..b:8125":           `has the host "a..b"; a name has at most 253 bytes, and 1 to 63 between two dots: write`,
		"udp://.:1":                 `has the host "."; a name has`,
		"udp://.a:1":                `has the host ".a"; a name has`,
		"udp://a..:1":               `has the host "a.."; a name has`,
		"udp://" + label + ":1":     `has the host "` + label + `"; a name has`,
		"udp://" + name + ":1":      `has the host "` + name + `"; a name has`,
		"udp://[fe80::1%a b]:1":     `has the zone "a b", which cannot name an interface; the interface's number can stand`,
		"udp://[fe80::1%a\n]:1":     `has the zone "a\n", which`,
		"unixgram://@":              `has an empty name of an abstract socket: write a target like unixgram:///run/`,
		"unix:///run/":              `has the path of a directory: write a target like unix:///run/statsd.sock`,
		"unixgram://":               `target "unixgram://" has no path: write a target like unixgram:///run/statsd.sock`,
		"unix://run/x.sock":         `target "unix://run/x.sock" has a relative path`,
		"unix:///run/\x00":          `has a zero byte in its path`,
		long:                        `has a path of 200 bytes; the system allows a socket 10`,
	} {
		_, err := New(written)
		require.ErrorContains(t, err, says)
		require.True(t, strings.HasPrefix(err.Error(), "statsdsink: "), err)
	}
}

// nilWriter is a type with a nil value that is an io.Writer.
type nilWriter struct{ io.Writer }

func TestWritersThatNewWriterRefuses(t *testing.T) {
	for says, w := range map[string]io.Writer{
		"the writer is nil: give one, such as os.Stdout":            nil,
		"the writer is a nil *os.File: give one, such as os.Stdout": (*os.File)(nil),
		"the writer is a nil *statsdsink.nilWriter: give one":       (*nilWriter)(nil),
		"the writer is a nil statsdsink.writerFunc: give one":       writerFunc(nil),
	} {
		_, err := NewWriter(w)
		require.ErrorContains(t, err, "statsdsink: "+says)
	}
}
