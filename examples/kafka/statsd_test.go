package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
)

// TestStatsDServerHasTheTotals: a real StatsD server has the totals that the Kafka clients counted.
func TestStatsDServerHasTheTotals(t *testing.T) {
	for _, network := range []string{"tcp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			exporter := receivers.StartExporter(t)
			address := exporter.Address
			if network == "unixgram" {
				address = exporter.Socket
			}
			cfg := small()
			cfg.injectErrors = 10
			cfg.interval = 50 * time.Millisecond
			var err error
			cfg.statsd, err = newStatsD(network + "://" + address)
			require.NoError(t, err)
			result, err := run(t.Context(), cfg, io.Discard)
			requireExact(t, result, err)
			require.Positive(t, result.produced.failed)

			require.EventuallyWithT(t, func(t *assert.CollectT) { // the server needs a moment
				told := sumByMetric(exporter.Metrics())
				assert.Equal(t, result.produced.succeeded, told["arroyo_producer_produce_status success"])
				assert.Equal(t, result.produced.failed, told["arroyo_producer_produce_status error"])
				assert.Equal(t, result.produced.attempted, told["arroyo_producer_callback_latency_count"])
				assert.Equal(t, result.consumed, told["arroyo_consumer_processing_time_count"])
				assert.Equal(t, result.consumed, told["arroyo_consumer_latency_count"])
				assert.Equal(t, int64(partitions), told["arroyo_consumer_partitions_assigned_count"])
			}, 5*time.Second, 20*time.Millisecond)
			for name, count := range exporter.Metrics() {
				if strings.HasPrefix(name, "statsd_exporter_") && strings.Contains(name, "_error") {
					require.Zero(t, count, name) // the server could not read all lines
				}
			}
		})
	}
}

// sumByMetric adds up the producers' series. Only the status stays apart from the name.
func sumByMetric(metrics map[string]float64) map[string]int64 {
	sums := make(map[string]int64)
	for series, value := range metrics {
		name, tags, _ := strings.Cut(series, "{")
		if _, status, found := strings.Cut(tags, `status="`); found {
			status, _, _ = strings.Cut(status, `"`)
			name += " " + status
		}
		sums[name] += int64(value)
	}
	return sums
}
