package rcrowleybridge_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/rcrowleybridge"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
)

// A twin is a registry whose metrics write into go-metrics' own metrics, too.
type twin struct {
	*rcrowleybridge.Registry
	own   metrics.Registry // where nothing is unregistered, and samples keep every value
	names metrics.Registry // has the names that are registered
}

func names(registry metrics.Registry) map[string]bool {
	names := make(map[string]bool)
	registry.Each(func(name string, _ any) { names[name] = true })
	return names
}

func (w *twin) Unregister(name string) {
	w.Registry.Unregister(name)
	w.names.Unregister(name)
}

func (w *twin) GetOrRegister(name string, i any) any {
	w.names.GetOrRegister(name, metrics.NilMeter{})
	switch ours := w.Registry.GetOrRegister(name, i).(type) {
	case metrics.Histogram:
		own := w.own.GetOrRegister(name, func() metrics.Histogram {
			return metrics.NewHistogram(metrics.NewUniformSample(1e6))
		}).(metrics.Histogram)
		return twinHistogram{own, ours}
	case metrics.Meter:
		return twinMeter{w.own.GetOrRegister(name, metrics.NewMeter).(metrics.Meter), ours}
	case metrics.Counter:
		return twinCounter{w.own.GetOrRegister(name, metrics.NewCounter).(metrics.Counter), ours}
	default:
		panic(ours)
	}
}

type twinHistogram struct {
	metrics.Histogram
	ours metrics.Histogram
}
type twinMeter struct {
	metrics.Meter
	ours metrics.Meter
}
type twinCounter struct {
	metrics.Counter
	ours metrics.Counter
}

func (h twinHistogram) Update(v int64) { h.Histogram.Update(v); h.ours.Update(v) }
func (m twinMeter) Mark(n int64)       { m.Meter.Mark(n); m.ours.Mark(n) }
func (c twinCounter) Inc(n int64)      { c.Counter.Inc(n); c.ours.Inc(n) }
func (c twinCounter) Dec(n int64)      { c.Counter.Dec(n); c.ours.Dec(n) }

// Everything that sarama records in go-metrics' own registry is recorded in the buffer, equally.
func TestSarama(t *testing.T) {
	const messages = 5000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(4, "apples.red", "pears"))
	require.NoError(t, err)
	defer cluster.Close()
	buffer := metricstest.New(t)
	registry := &twin{rcrowleybridge.New(buffer, rcrowleybridge.WithSeries(rcrowleybridge.Sarama)),
		metrics.NewRegistry(), metrics.NewRegistry()}
	defer registry.own.UnregisterAll()
	config := sarama.NewConfig()
	config.Version = sarama.V2_1_0_0
	config.MetricRegistry = registry
	config.Producer.Return.Successes = true
	config.Producer.Compression = sarama.CompressionGZIP
	config.Consumer.Offsets.Initial = sarama.OffsetOldest

	producer, err := sarama.NewAsyncProducer(cluster.ListenAddrs(), config)
	require.NoError(t, err)
	go func() {
		for i := range messages {
			topic := []string{"apples.red", "pears"}[i%2]
			producer.Input() <- &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strings.Repeat("v", i%1000))}
		}
	}()
	for range messages {
		select {
		case <-producer.Successes():
		case err := <-producer.Errors():
			t.Fatal(err)
		}
	}
	require.NoError(t, producer.Close())

	group, err := sarama.NewConsumerGroup(cluster.ListenAddrs(), "billing", config)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	handler := &consumer{left: messages, all: cancel}
	require.NoError(t, group.Consume(ctx, []string{"apples.red", "pears"}, handler))
	require.Zero(t, handler.left)
	require.NoError(t, group.Close())
	require.Eventually(t, func() bool { // sarama closes some connections later
		left := names(registry.names)
		return len(left) < 10 && maps.Equal(left, names(registry.Registry))
	}, 10*time.Second, 10*time.Millisecond, "sarama has unregistered its metrics")

	compared := 0
	registry.own.Each(func(name string, own any) {
		s := rcrowleybridge.Sarama(name)
		if own.(interface{ Count() int64 }).Count() == 0 && !s.Level {
			return // nothing was recorded
		}
		compared++
		switch own := own.(type) {
		case metrics.Histogram:
			p := metricstest.Histogram(t, buffer, s.Name, s.Unit, s.Tags...)
			require.Equal(t, []int64{own.Count(), own.Sum(), own.Max()}, []int64{p.Count, p.Sum, p.Max}, name)
			require.Equal(t, max(0, own.Min()), p.Min, name)
			require.NotEmpty(t, s.Unit, name)
		case metrics.Meter:
			require.Equal(t, own.Count(), metricstest.Count(t, buffer, s.Name, s.Tags...), name)
		case metrics.Counter:
			if s.Level {
				require.InDelta(t, own.Count(), metricstest.Gauge(t, buffer, s.Name, s.Tags...), 0, name)
				return
			}
			require.Equal(t, own.Count(), metricstest.Count(t, buffer, s.Name, s.Tags...), name)
		}
	})
	require.Greater(t, compared, 50)
	require.EqualValues(t, messages, metricstest.Count(t, buffer, "record-send-rate"))
	red := metricstest.Count(t, buffer, "record-send-rate-for-topic", tag("topic", "apples_red"))
	require.EqualValues(t, messages/2, red)
	require.EqualValues(t, messages, metricstest.Histogram(t, buffer, "records-per-request", "records").Sum)
	require.EqualValues(t, messages, metricstest.Histogram(t, buffer, "consumer-batch-size", "records").Sum)
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "consumer-group-join-total", tag("group", "billing")))
	metricstest.None(t, buffer, "rcrowleybridge.unmapped")
}

// A consumer cancels when it has got all messages.
type consumer struct {
	counting sync.Mutex
	left     int
	all      context.CancelFunc
}

func (*consumer) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*consumer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (c *consumer) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for range claim.Messages() {
		c.counting.Lock()
		if c.left--; c.left == 0 {
			c.all()
		}
		c.counting.Unlock()
	}
	return nil
}

func TestSaramaNames(t *testing.T) {
	type series = rcrowleybridge.Series
	one := func(key, value string) []metricsbuffer.Tag { return []metricsbuffer.Tag{tag(key, value)} }
	of := func(name, unit, key, value string) series {
		return series{Name: name, Unit: unit, Tags: one(key, value)}
	}
	for name, want := range map[string]series{
		"request-rate":                        {Name: "request-rate"},
		"request-size-for-broker-3":           of("request-size-for-broker", "bytes", "broker", "3"),
		"request-rate-for-broker--1":          of("request-rate-for-broker", "", "broker", "-1"),
		"batch-size-for-topic-a-for-broker-1": of("batch-size-for-topic", "bytes", "topic", "a-for-broker-1"),
		"requests-in-flight":                  {Name: "requests-in-flight", Level: true},
		"requests-in-flight-for-broker-1": {
			Name: "requests-in-flight-for-broker", Tags: one("broker", "1"), Level: true,
		},
		"protocol-requests-rate-18": of("protocol-requests-rate", "", "request", "18"),
		"protocol-requests-rate-18-for-broker-3": {
			Name: "protocol-requests-rate-for-broker", Tags: append(one("request", "18"), tag("broker", "3")),
		},
		"consumer-group-join-total-a-for-topic-b": of("consumer-group-join-total", "", "group", "a-for-topic-b"),
		"time-for-lunch": {Name: "time-for-lunch"},

		// Sarama's own example has a prefix.
		"sarama.request-size":                  {Name: "sarama.request-size", Unit: "bytes"},
		"sarama.request-size-for-broker-3":     of("sarama.request-size-for-broker", "bytes", "broker", "3"),
		"a.b.consumer-batch-size":              {Name: "a.b.consumer-batch-size", Unit: "records"},
		"sarama.requests-in-flight":            {Name: "sarama.requests-in-flight", Level: true},
		"sarama.protocol-requests-rate-18":     of("sarama.protocol-requests-rate", "", "request", "18"),
		"sarama.consumer-group-join-total-a.b": of("sarama.consumer-group-join-total", "", "group", "a.b"),
		"not-consumer-group-join-total-a":      {Name: "not-consumer-group-join-total-a"},
	} {
		require.Equal(t, want, rcrowleybridge.Sarama(name), name)
	}
}
