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

// Etsy is a running StatsD: Etsy's original in JavaScript.
type Etsy struct {
	process
	Address    string // for both UDP and TCP
	Socket     string // for the network "unix"
	management string
}

// StartEtsy starts the StatsD whose stats.js is named by METRICSBUFFER_STATSD_JS. It is killed when the test ends.
func StartEtsy(t testing.TB) *Etsy {
	t.Helper()
	return startEtsy(t, `backends: [], flushInterval: 600000`)
}

// StartEtsyWithTimers starts a StatsD whose Timers can be read. StatsD computes timers at the end of its interval,
// which is 50 milliseconds here, and sets its counters to zero then.
func StartEtsyWithTimers(t testing.TB) *Etsy {
	t.Helper()
	backend := filepath.Join(t.TempDir(), "backend.js")
	require.NoError(t, os.WriteFile(backend, []byte(timersBackend), 0o600))
	return startEtsy(t, fmt.Sprintf("backends: [%q], flushInterval: 50, percentThreshold: []", backend))
}

// timersBackend is a backend for StatsD. It adds up StatsD's figures of each timer. The command "stats" of the
// management port prints them.
const timersBackend = `
exports.init = function (startup, config, events) {
	const totals = {};
	events.on("flush", function (timestamp, metrics) {
		for (const key in metrics.timer_data) {
			const t = metrics.timer_data[key];
			if (!(t.count > 0)) continue;
			const total = totals[key] = totals[key] || {count: 0, lines: 0, sum: 0, lower: Infinity, upper: -Infinity};
			total.count += t.count;
			total.lines += metrics.timers[key].length;
			total.sum += t.sum;
			total.lower = Math.min(total.lower, t.lower);
			total.upper = Math.max(total.upper, t.upper);
		}
	});
	events.on("status", function (write) {
		for (const key in totals) {
			for (const figure in totals[key]) write(null, "timer " + key, figure, totals[key][figure]);
		}
	});
	return true;
};
`

func startEtsy(t testing.TB, config string) *Etsy {
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
	file := filepath.Join(dir, "config.js")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{
		servers: [
			{server: "./servers/udp", address: "127.0.0.1", port: %[1]s},
			{server: "./servers/tcp", address: "127.0.0.1", port: %[1]s},
			{server: "./servers/tcp", socket: %[2]q},
		],
		mgmt_address: "127.0.0.1", mgmt_port: %[3]s,
		%[4]s, title: false, automaticConfigReload: false,
	}`, port(e.Address), e.Socket, port(e.management), config), 0o600))
	e.process = process{t: t, socket: e.Socket, argv: []string{node, script, file}, ready: func() bool {
		_, err := e.ask("health")
		return err == nil
	}}
	t.Cleanup(e.Stop)
	e.Start()
	return e
}

// Counters returns StatsD's counters by name;key=value, without the counters about StatsD itself.
func (e *Etsy) Counters() map[string]float64 { e.t.Helper(); return e.read("counters") }

// Gauges returns StatsD's gauges.
func (e *Etsy) Gauges() map[string]float64 { e.t.Helper(); return e.read("gauges") }

// Timers returns the figures of each timer since the start of a StatsD that StartEtsyWithTimers has started: key.count
// is computed from sample rates; key.lines is the number of lines; key.sum, key.lower and key.upper are those of the
// lines' values.
func (e *Etsy) Timers() map[string]float64 {
	e.t.Helper()
	answer, err := e.ask("stats")
	require.NoError(e.t, err)
	values := make(map[string]float64)
	for line := range strings.Lines(answer) {
		if line, ours := strings.CutPrefix(strings.TrimSpace(line), "timer "); ours {
			name, number, _ := strings.Cut(line, ": ")
			values[name], err = strconv.ParseFloat(number, 64)
			require.NoError(e.t, err, line)
		}
	}
	return values
}

// BadLines returns the number of lines that StatsD could not read.
func (e *Etsy) BadLines() float64 {
	e.t.Helper()
	return e.readAll("counters")["statsd.bad_lines_seen"]
}

func (e *Etsy) read(kind string) map[string]float64 {
	e.t.Helper()
	values := e.readAll(kind)
	for key := range values {
		if strings.HasPrefix(key, "statsd.") {
			delete(values, key)
		}
	}
	return values
}

// entry matches an entry of an object in the format of JavaScript's util.inspect. It quotes keys that are no
// identifiers.
var entry = regexp.MustCompile(`(?m)^(?:\{| ) '?([^\s':]+)'?: (.*?),?(?: \})?$`)

func (e *Etsy) readAll(kind string) map[string]float64 {
	e.t.Helper()
	answer, err := e.ask(kind)
	require.NoError(e.t, err)
	// Small objects are printed in one line. The text ", " only occurs between entries.
	answer = strings.ReplaceAll(answer, ", ", ",\n  ")
	values := make(map[string]float64)
	for _, match := range entry.FindAllStringSubmatch(answer, -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		require.NoError(e.t, err, "StatsD's %s %s", kind, match[1])
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
	// StatsD answers one command per packet, and closes the connection only after "quit".
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
