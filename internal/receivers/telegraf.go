package receivers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Telegraf is a running telegraf. It reads StatsD with the extensions of DogStatsD, and writes the received values to a
// file twenty times a second. Written values survive Stop.
type Telegraf struct {
	process
	Address string // for both UDP and TCP
	written string // the file
	log     string
}

// With the defaults of telegraf the totals would not be exact. It throws messages away if too many wait, also those
// from TCP, where each line is a message: so all may wait. Several workers mix up the order of lines, and a negative
// gauge is two lines: so there is one worker. The separator keeps dots in names.
const telegrafConfig = `
[agent]
  interval = "50ms"
  flush_interval = "50ms"
  round_interval = false
  omit_hostname = true
  metric_batch_size = 1000000
  metric_buffer_limit = 1000000
  logfile = %[1]q
[[outputs.file]]
  files = [%[2]q]
  data_format = "json"
`

const telegrafInput = `
[[inputs.statsd]]
  protocol = %[1]q
  service_address = %[2]q
  datadog_extensions = true
  datadog_distributions = true
  datadog_keep_container_tag = true
  allowed_pending_messages = 1000000
  number_workers_threads = 1
  metric_separator = "."
`

// StartTelegraf starts the telegraf that METRICSBUFFER_TELEGRAF names, or else the one in PATH. It is killed when the
// test ends.
func StartTelegraf(t testing.TB) *Telegraf {
	t.Helper()
	binary := find(t, "METRICSBUFFER_TELEGRAF", "telegraf")
	dir := t.TempDir()
	tg := &Telegraf{
		Address: freeAddress(t), written: filepath.Join(dir, "written"), log: filepath.Join(dir, "log"),
	}
	// Telegraf starts its inputs in this order. So UDP is ready if TCP is.
	config := fmt.Appendf(nil, telegrafConfig, tg.log, tg.written)
	config = fmt.Appendf(config, telegrafInput, "udp", tg.Address)
	config = fmt.Appendf(config, telegrafInput, "tcp", tg.Address)
	path := filepath.Join(dir, "telegraf.conf")
	require.NoError(t, os.WriteFile(path, config, 0o600))
	tg.process = process{t: t, argv: []string{binary, "--config", path}, ready: func() bool {
		conn, err := net.Dial("tcp", tg.Address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}}
	t.Cleanup(tg.Stop)
	tg.Start()
	return tg
}

// A Timing has telegraf's figures of a series of |ms or |h lines.
type Timing struct{ Count, Sum, Lower, Upper float64 }

// Counters returns the sums of telegraf's counters by name;key=value;… with sorted keys.
func (t *Telegraf) Counters() map[string]float64 {
	t.t.Helper()
	sums := make(map[string]float64)
	for _, m := range t.read("counter") {
		sums[m.series] += m.Fields["value"]
	}
	return sums
}

// Gauges returns the last values of telegraf's gauges.
func (t *Telegraf) Gauges() map[string]float64 {
	t.t.Helper()
	last := make(map[string]float64)
	for _, m := range t.read("gauge") {
		last[m.series] = m.Fields["value"]
	}
	return last
}

// Timings returns telegraf's figures of timings (|ms) if kind is "timing", or of histograms (|h) if kind is
// "histogram".
func (t *Telegraf) Timings(kind string) map[string]Timing {
	t.t.Helper()
	timings := make(map[string]Timing)
	for _, m := range t.read(kind) {
		total, seen := timings[m.series]
		if !seen {
			total.Lower, total.Upper = m.Fields["lower"], m.Fields["upper"]
		}
		timings[m.series] = Timing{
			Count: total.Count + m.Fields["count"], Sum: total.Sum + m.Fields["sum"],
			Lower: min(total.Lower, m.Fields["lower"]), Upper: max(total.Upper, m.Fields["upper"]),
		}
	}
	return timings
}

// Distributions returns the values of distributions (|d). Telegraf passes on each of them by itself.
func (t *Telegraf) Distributions() (values []float64) {
	t.t.Helper()
	for _, m := range t.read("distribution") {
		values = append(values, m.Fields["value"])
	}
	return values
}

// Errors returns the errors in telegraf's log: lines that it could not parse, messages that it threw away.
func (t *Telegraf) Errors() (errors []string) {
	t.t.Helper()
	log, err := os.ReadFile(t.log)
	require.NoError(t.t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, " E! ") {
			errors = append(errors, line)
		}
	}
	return errors
}

// A telegrafMetric is one line of telegraf's output: a series in one interval.
type telegrafMetric struct {
	Name   string
	Tags   map[string]string
	Fields map[string]float64

	series string
}

func (t *Telegraf) read(kind string) (metrics []telegrafMetric) {
	t.t.Helper()
	text, err := os.ReadFile(t.written)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t.t, err)
	text = text[:bytes.LastIndexByte(text, '\n')+1] // the rest is being written
	for line := range bytes.Lines(text) {
		var m telegrafMetric
		require.NoError(t.t, json.Unmarshal(line, &m), "telegraf wrote %q", line)
		if m.Tags["metric_type"] != kind {
			continue
		}
		delete(m.Tags, "metric_type")
		m.series = m.Name
		for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
			m.series += ";" + key + "=" + m.Tags[key]
		}
		metrics = append(metrics, m)
	}
	return metrics
}
