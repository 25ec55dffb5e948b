package receivers

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Collector is a running statsdreceiver of the OpenTelemetry Collector. It passes values on ten times a second.
type Collector struct {
	process
	Address string
	written string // the file of its output
}

// A CollectorPoint is a data point that the Collector passes on. Value is of a sum or a gauge, the other figures are
// of a histogram.
type CollectorPoint struct {
	Kind, Series         string // the series is name;key=value;… with sorted keys
	Value, Sum, Min, Max float64
	Count                uint64
}

// StartCollector starts the receiver that METRICSBUFFER_COLLECTOR names, or else the collector in PATH, with one
// transport, "udp" or "tcp". Timers become histograms. The settings are added to its configuration; nil stands for the
// default. It is killed when the test ends.
func StartCollector(t testing.TB, transport string, settings map[string]any) *Collector {
	t.Helper()
	binary := find(t, "METRICSBUFFER_COLLECTOR", "collector")
	c := &Collector{Address: freeAddress(t), written: filepath.Join(t.TempDir(), "written")}
	var histograms []map[string]string
	for _, kind := range []string{"timing", "histogram", "distribution"} {
		histograms = append(histograms, map[string]string{"statsd_type": kind, "observer_type": "histogram"})
	}
	all := map[string]any{
		"endpoint": c.Address, "transport": transport, "aggregation_interval": "100ms",
		"timer_histogram_mapping": histograms,
	}
	maps.Copy(all, settings)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	config, err := json.Marshal(all)
	require.NoError(t, err)
	argv := []string{"sh", "-c", `exec "$0" "$1" > "$2"`, binary, string(config), c.written}
	c.process = process{t: t, argv: argv, ready: func() bool { return len(c.read()) > 0 }}
	t.Cleanup(c.Stop)
	c.Start()
	return c
}

// Points returns the data points that the Collector has passed on, in order.
func (c *Collector) Points() []CollectorPoint {
	c.t.Helper()
	return c.read()[1:] // after "ready"
}

func (c *Collector) read() (points []CollectorPoint) {
	c.t.Helper()
	text, err := os.ReadFile(c.written)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(c.t, err)
	text = text[:bytes.LastIndexByte(text, '\n')+1] // the rest is being written
	for line := range bytes.Lines(text) {
		var p struct {
			CollectorPoint
			Name string
			Tags map[string]string
		}
		require.NoError(c.t, json.Unmarshal(line, &p), "the Collector wrote %q", line)
		p.Series = p.Name
		for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
			p.Series += ";" + key + "=" + p.Tags[key]
		}
		points = append(points, p.CollectorPoint)
	}
	return points
}
