package statsdsink_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

func newBuffer(t *testing.T, network, address string, opts ...statsdsink.Option) *metricsbuffer.Buffer {
	t.Helper()
	sink, err := statsdsink.New(network+"://"+address, opts...)
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, buffer.Close()); require.NoError(t, sink.Close()) })
	return buffer
}

func tag(key, value string) metricsbuffer.Tag { return metricsbuffer.Tag{Key: key, Value: value} }

const (
	writers = 8
	updates = 5_000 // of each writer, to each of its series
	series  = 40
)

// work records from several goroutines while the buffer is flushed. At its end everything is delivered.
func work(t *testing.T, b *metricsbuffer.Buffer) {
	t.Helper()
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			latency := b.Timer("callback.latency", tag("writer", fmt.Sprint(w)))
			for i := range updates {
				b.IncrCounter("plain", 1)
				b.IncrCounter("produce_status", 2, tag("status", "success"), tag("name", fmt.Sprint(i%series)))
				latency.Observe(time.Duration(i) * time.Microsecond)
			}
		})
	}
	stop := make(chan struct{})
	var flushing sync.WaitGroup
	flushing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				_ = b.Flush(t.Context()) // fails while there is no server
			}
		}
	})
	running.Wait()
	close(stop)
	flushing.Wait()
	require.NoError(t, b.Flush(t.Context()))
	stats := b.Stats()
	require.Equal(t, stats.Recorded, stats.Sinks[0].Acknowledged)
}

// parts sends timers so that servers have their exact sums.
var parts = statsdsink.WithTimers(statsdsink.Parts)

// A namer returns the server's name of a series with up to two tags.
type namer func(name, key1, value1, key2, value2 string) string

// requireWork waits until the server has exactly the totals of work, with more added to the plain counter.
func requireWork(t *testing.T, read func() map[string]float64, name namer, more float64) {
	t.Helper()
	const sum = updates * (updates - 1) / 2 * 1000
	want := map[string]float64{name("plain", "", "", "", ""): writers*updates + more}
	for i := range series {
		want[name("produce_status", "name", fmt.Sprint(i), "status", "success")] = 2 * writers * updates / series
	}
	for w := range writers {
		want[name("callback.latency.ns.count", "writer", fmt.Sprint(w), "", "")] = updates
		want[name("callback.latency.ns.sum", "writer", fmt.Sprint(w), "", "")] = sum
	}
	requireSoon(t, want, read)
}

// requireSoon waits until read returns the wanted values: servers need some time to count.
func requireSoon(t *testing.T, want map[string]float64, read func() map[string]float64) {
	t.Helper()
	var got map[string]float64
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got = read()
		if fmt.Sprint(got) == fmt.Sprint(want) { // prints maps in order
			return
		}
	}
	for name, value := range got {
		require.Equal(t, fmt.Sprint(want[name]), fmt.Sprint(value), name)
	}
	require.Len(t, got, len(want))
}

func etsyName(name, key1, value1, key2, value2 string) string {
	for _, tag := range [][2]string{{key1, value1}, {key2, value2}} {
		if tag[0] != "" {
			name += ";" + tag[0] + "=" + tag[1]
		}
	}
	return name
}

func exporterName(name, key1, value1, key2, value2 string) string {
	var labels []string
	for _, tag := range [][2]string{{key1, value1}, {key2, value2}} {
		if tag[0] != "" {
			labels = append(labels, fmt.Sprintf("%s=%q", tag[0], tag[1]))
		}
	}
	name = strings.NewReplacer(".", "_", "-", "_").Replace(name)
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	return name
}

func TestEtsyHasTheExactTotals(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unix"} {
		for dialect, opts := range map[string][]statsdsink.Option{
			"dogstatsd": nil, "graphite": {statsdsink.WithGraphiteTags()},
		} {
			t.Run(network+"/"+dialect, func(t *testing.T) {
				etsy := receivers.StartEtsy(t)
				address := etsy.Address
				if network == "unix" {
					address = etsy.Socket
				}
				work(t, newBuffer(t, network, address, append(opts, parts)...))
				requireWork(t, etsy.Counters, etsyName, 0)
				require.Zero(t, etsy.BadLines())
			})
		}
	}
}

// exported returns the counters among the exporter's metrics that were sent to it.
func exported(e *receivers.Exporter, prefixes ...string) func() map[string]float64 {
	return func() map[string]float64 {
		metrics := e.Metrics()
		for name := range metrics {
			ours := false
			for _, prefix := range prefixes {
				ours = ours || strings.HasPrefix(name, prefix)
			}
			if !ours || strings.Contains(name, "_ns_min") || strings.Contains(name, "_ns_max") {
				delete(metrics, name)
			}
		}
		return metrics
	}
}

func TestExporterHasTheExactTotals(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			exporter := receivers.StartExporter(t)
			address := exporter.Address
			if network == "unixgram" {
				address = exporter.Socket
			}
			work(t, newBuffer(t, network, address, parts))
			requireWork(t, exported(exporter, "plain", "produce_status", "callback"), exporterName, 0)
		})
	}
}

// A server that is down while updates are recorded and flushed gets all of them when it is up: none lost, none twice.
func TestServersThatWereDown(t *testing.T) {
	etsy := receivers.StartEtsy(t)
	exporter := receivers.StartExporter(t)
	exported := exported(exporter, "plain", "produce_status", "callback")
	for _, test := range []struct {
		network, address string
		server           interface {
			Start()
			Stop()
		}
		read func() map[string]float64
		name namer
	}{
		{"tcp", etsy.Address, etsy, etsy.Counters, etsyName},
		{"udp", etsy.Address, etsy, etsy.Counters, etsyName},
		{"unix", etsy.Socket, etsy, etsy.Counters, etsyName},
		{"unixgram", exporter.Socket, exporter, exported, exporterName},
		{"tcp", exporter.Address, exporter, exported, exporterName},
	} {
		t.Run(fmt.Sprintf("%T/%s", test.server, test.network), func(t *testing.T) {
			test.server.Start()
			b := newBuffer(t, test.network, test.address, parts)
			b.IncrCounter("told to the server that is stopped", 1)
			require.NoError(t, b.Flush(t.Context()))
			test.server.Stop()

			for range 3 {
				b.IncrCounter("plain", 1)
				require.Error(t, b.Flush(t.Context()))
			}
			test.server.Start()
			work(t, b)
			requireWork(t, test.read, test.name, 3)
		})
	}
}

// A batch is larger than the buffer of a server's socket. The server loses nothing, because the sink pauses. On a busy
// machine the server may not get to run for some time, and lose packets nevertheless: hence the tries.
func TestUDPIsPaced(t *testing.T) {
	etsy := receivers.StartEtsy(t)
	b := newBuffer(t, "udp", etsy.Address)
	const series, tries = 20_000, 5
	for try := 1; ; try++ {
		for i := range series {
			b.IncrCounter(fmt.Sprint("arroyo.producer.produce_status.", try, ".", i), 1)
		}
		require.NoError(t, b.Flush(t.Context()))
		time.Sleep(100 * time.Millisecond) // read by now, or lost
		arrived := 0
		for name := range etsy.Counters() {
			if strings.HasPrefix(name, fmt.Sprint("arroyo.producer.produce_status.", try, ".")) {
				arrived++
			}
		}
		if arrived == series {
			return
		}
		t.Logf("%d of %d series arrived", arrived, series)
		require.Less(t, try, tries, "they are lost every time")
	}
}

// Some servers add up the fractions of a counter, and others cut them off. The documentation says which.
func TestFractions(t *testing.T) {
	send := func(t *testing.T, network, address string) {
		b := newBuffer(t, network, address)
		cost, jobs := b.FractionCounter("cost", 2), b.Counter("jobs")
		for range 4 {
			cost.Add(1.75)
			jobs.Inc()
			require.NoError(t, b.Flush(t.Context()))
		}
	}
	t.Run("Etsy", func(t *testing.T) {
		etsy := receivers.StartEtsy(t)
		send(t, "tcp", etsy.Address)
		requireSoon(t, map[string]float64{"cost": 7, "jobs": 4}, etsy.Counters)
		require.Zero(t, etsy.BadLines())
	})
	t.Run("exporter", func(t *testing.T) {
		exporter := receivers.StartExporter(t)
		send(t, "tcp", exporter.Address)
		requireSoon(t, map[string]float64{"cost": 7, "jobs": 4}, exported(exporter, "cost", "jobs"))
	})
	t.Run("telegraf", func(t *testing.T) {
		telegraf := receivers.StartTelegraf(t)
		send(t, "tcp", telegraf.Address)
		requireIn(t, telegraf.Counters, map[string]float64{"cost": 4, "jobs": 4})
	})
	t.Run("Collector", func(t *testing.T) {
		c := receivers.StartCollector(t, "udp", nil)
		send(t, "udp", c.Address)
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			_, cost := totals(c, "cost")
			_, jobs := totals(c, "jobs")
			assert.Equal(t, []int{4, 4}, []int{int(cost.Value), int(jobs.Value)})
		}, 5*time.Second, 20*time.Millisecond)
	})
}
