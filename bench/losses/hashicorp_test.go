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

func TestHashicorpAfterAnOutage(t *testing.T) {
	t.Parallel() // it waits for seconds
	until(t, func() bool {
		server, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		address := server.LocalAddr().String()
		sink, err := metrics.NewStatsdSink(address)
		require.NoError(t, err)
		defer sink.Shutdown()

		require.NoError(t, server.Close())
		for range 5 { // the first write is refused by the system, which the second or third learns
			sink.IncrCounter([]string{"while_the_server_is_away"}, 1)
			time.Sleep(150 * time.Millisecond) // more than its interval
		}
		server, err = net.ListenPacket("udp", address)
		require.NoError(t, err)
		defer server.Close()
		sink.IncrCounter([]string{"when_it_is_back"}, 1)
		time.Sleep(6 * time.Second) // more than it waits before it connects again
		sink.IncrCounter([]string{"later"}, 1)

		require.NoError(t, server.SetReadDeadline(time.Now().Add(2*time.Second)))
		packet := make([]byte, 1500)
		n, _, err := server.ReadFrom(packet)
		require.NoError(t, err)
		t.Logf("the first that arrived: %s", packet[:n])
		return string(packet[:n]) == "later:1.000000|c\n"
	})
}
