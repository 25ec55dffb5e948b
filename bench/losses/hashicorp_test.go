package losses

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-metrics"
	hashiprom "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestHashicorpFirstIncrements(t *testing.T) {
	const goroutines, names = 8, 1000
	until(t, func() bool {
		registry := prometheus.NewRegistry()
		sink, err := hashiprom.NewPrometheusSinkFrom(hashiprom.PrometheusOpts{Registerer: registry})
		require.NoError(t, err)
		together(goroutines, func(int) {
			for i := range names {
				sink.IncrCounter([]string{"requests", strconv.Itoa(i)}, 1)
			}
		})
		families, err := registry.Gather()
		require.NoError(t, err)
		total := 0.0
		for _, family := range families {
			total += family.GetMetric()[0].GetCounter().GetValue()
		}
		t.Logf("%v of %d increments were gathered", total, goroutines*names)
		return total < goroutines*names
	})
}

func TestHashicorpShutdown(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	sink, err := metrics.NewStatsdSink(server.LocalAddr().String())
	require.NoError(t, err)

	sink.IncrCounter([]string{"requests"}, 1)
	sink.Shutdown()

	require.NoError(t, server.SetReadDeadline(time.Now().Add(500*time.Millisecond))) // five times its interval
	_, _, err = server.ReadFrom(make([]byte, 1500))
	require.Error(t, err, "the increment was sent")
}
