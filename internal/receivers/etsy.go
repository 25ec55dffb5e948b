package receivers

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Etsy is a running StatsD: the original, written in JavaScript.
type Etsy struct {
	process
	Address    string // for both UDP and TCP
	Socket     string // for the network "unix"
	management string
}

// StartEtsy starts the StatsD whose stats.js METRICSBUFFER_STATSD_JS names, and has it killed when the test ends.
func StartEtsy(t testing.TB) *Etsy {
	t.Helper()
	script := os.Getenv("METRICSBUFFER_STATSD_JS")
	if script == "" {
		t.Skip("METRICSBUFFER_STATSD_JS does not name StatsD's stats.js" + howToInstall)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skipf("node, which runs StatsD, is not installed: %v", err)
	}
	dir, err := os.MkdirTemp("", "etsy") // not t.TempDir: a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	e := &Etsy{Address: freeAddress(t), Socket: filepath.Join(dir, "socket"), management: freeAddress(t)}
	config := filepath.Join(dir, "config.js")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{
		servers: [
			{server: "./servers/udp", address: "127.0.0.1", port: %[1]s},
			{server: "./servers/tcp", address: "127.0.0.1", port: %[1]s},
			{server: "./servers/tcp", socket: %[2]q},
		],
		mgmt_address: "127.0.0.1", mgmt_port: %[3]s,
		backends: [], flushInterval: 600000, title: false, automaticConfigReload: false,
	}`, port(e.Address), e.Socket, port(e.management)), 0o600))
	e.process = process{t: t, socket: e.Socket, argv: []string{node, script, config}, ready: func() bool {
		_, err := e.ask("health")
		return err == nil
	}}
	t.Cleanup(e.Stop)
	e.Start()
	return e
}

// Counters returns StatsD's counters by its own keys, name;key=value, without those about itself.
func (e *Etsy) Counters() map[string]float64 { e.t.Helper(); return e.read("counters") }

// Gauges returns StatsD's gauges.
func (e *Etsy) Gauges() map[string]float64 { e.t.Helper(); return e.read("gauges") }

// BadLines returns how many lines StatsD could not read.
func (e *Etsy) BadLines() float64 {
	e.t.Helper()
	return e.readAll("counters")["statsd.bad_lines_seen"]
}

func (e *Etsy) read(what string) map[string]float64 {
	e.t.Helper()
	values := e.readAll(what)
	for key := range values {
		if strings.HasPrefix(key, "statsd.") {
			delete(values, key)
		}
	}
	return values
}

// An entry of an object as JavaScript's util.inspect prints it. Keys that are not identifiers are quoted.
var entry = regexp.MustCompile(`(?m)^(?:\{| ) '?([^\s':]+)'?: (.*?),?(?: \})?$`)

func (e *Etsy) readAll(what string) map[string]float64 {
	e.t.Helper()
	answer, err := e.ask(what)
	require.NoError(e.t, err)
	// Small objects are printed in one line, and always ", " stands between entries only.
	answer = strings.ReplaceAll(answer, ", ", ",\n  ")
	values := make(map[string]float64)
	for _, match := range entry.FindAllStringSubmatch(answer, -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		require.NoError(e.t, err, "StatsD's %s %s", what, match[1])
		values[match[1]] = value
	}
	return values
}

// ask sends a command to the management port and returns the answer.
func (e *Etsy) ask(command string) (string, error) {
	conn, err := net.Dial("tcp", e.management)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	// It answers one command per packet, and ends the connection after "quit" only.
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	end := "END\n"
	if command == "health" {
		end = "health: up\n"
	}
	var answer strings.Builder
	for buffer := make([]byte, 64<<10); !strings.Contains(answer.String(), end); {
		n, err := conn.Read(buffer)
		answer.Write(buffer[:n])
		if err != nil {
			return "", fmt.Errorf("StatsD's answer to %q ends after %q: %w", command, answer.String(), err)
		}
	}
	return answer.String(), nil
}
