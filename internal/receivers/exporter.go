package receivers

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Exporter is a running statsd_exporter. It serves the received values to Prometheus.
type Exporter struct {
	process
	Address string // for both UDP and TCP
	Socket  string // for the network "unixgram"
	url     string
}

// StartExporter starts the statsd_exporter that METRICSBUFFER_STATSD_EXPORTER names, or else the one in PATH. It is
// killed when the test ends.
func StartExporter(t testing.TB) *Exporter {
	t.Helper()
	binary := os.Getenv("METRICSBUFFER_STATSD_EXPORTER")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("statsd_exporter"); err != nil {
			t.Skip("METRICSBUFFER_STATSD_EXPORTER does not name statsd_exporter, and PATH has none" + howToInstall)
		}
	}
	dir, err := os.MkdirTemp("", "exporter") // not t.TempDir: a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	web := freeAddress(t)
	e := &Exporter{Address: freeAddress(t), Socket: filepath.Join(dir, "socket"), url: "http://" + web + "/metrics"}
	e.process = process{t: t, socket: e.Socket, argv: []string{
		binary, "--web.listen-address=" + web, "--statsd.listen-udp=" + e.Address, "--statsd.listen-tcp=" + e.Address,
		"--statsd.listen-unixgram=" + e.Socket, "--statsd.event-flush-interval=20ms",
	}, ready: func() bool {
		_, err := e.read()
		return err == nil
	}}
	t.Cleanup(e.Stop)
	e.Start()
	return e
}

// Metrics returns the metrics that statsd_exporter serves, by name{key="value",…} with sorted keys. They include its
// own metrics, such as statsd_exporter_events_error_total, which counts the lines that it refused.
func (e *Exporter) Metrics() map[string]float64 {
	e.t.Helper()
	metrics, err := e.read()
	require.NoError(e.t, err)
	return metrics
}

func (e *Exporter) read() (map[string]float64, error) {
	response, err := http.Get(e.url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	metrics := make(map[string]float64)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if space < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			return nil, err
		}
		metrics[line[:space]] = value
	}
	return metrics, lines.Err()
}
