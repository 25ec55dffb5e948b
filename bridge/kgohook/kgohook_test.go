package kgohook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/kgohook"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

var tag = metricsbuffer.T

// record returns a buffer, and a function that returns all totals of a series over its tags but the given ones.
func record(t *testing.T) (*metricsbuffer.Buffer, func(name string, tags ...metricsbuffer.Tag) metricsbuffer.Point) {
	t.Helper()
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder, metricsbuffer.SinkInterval(0)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, buffer.Close()) })
	return buffer, func(name string, tags ...metricsbuffer.Tag) (total metricsbuffer.Point) {
		require.NoError(t, buffer.Flush(context.Background()))
		for _, p := range recorder.Totals() {
			if p.Name == name && contains(p.Tags, tags) {
				total.Count += p.Count
				total.Sum += p.Sum
			}
		}
		return total
	}
}

func contains(tags, some []metricsbuffer.Tag) bool {
	for _, want := range some {
		found := false
		for _, tag := range tags {
			found = found || tag == want
		}
		if !found {
			return false
		}
	}
	return true
}

func cluster(t *testing.T, topics ...string) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(4, topics...))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// Produced records are those of the promises, for each topic and outcome. Fetched records are those of the polls.
func TestRecords(t *testing.T) {
	const producers, each = 8, 2000
	topics := []string{"apples", "pears"}
	buffer, total := record(t)
	cluster := cluster(t, topics...)
	cl := client(t, cluster, kgo.WithHooks(kgohook.New(buffer)), kgo.ConsumeTopics(topics...),
		kgo.ProducerBatchMaxBytes(16_384), kgo.ProducerBatchCompression(kgo.GzipCompression()))

	var stored, refused [2]atomic.Int64
	var producing sync.WaitGroup
	for p := range producers {
		producing.Go(func() {
			for i := range each {
				topic := (i + p) % 2
				r := &kgo.Record{Topic: topics[topic], Value: []byte("value")}
				if i%100 == 0 {
					r.Value = make([]byte, 100_000) // more than a batch may have
				}
				cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
					if err == nil {
						stored[topic].Add(1)
						return
					}
					if errors.Is(err, kerr.MessageTooLarge) {
						refused[topic].Add(1)
					}
				})
			}
		})
	}
	producing.Wait()
	require.NoError(t, cl.Flush(context.Background()))
	var sum int64
	for i, topic := range topics {
		stored, refused := stored[i].Load(), refused[i].Load()
		sum += stored + refused
		require.NotZero(t, refused)
		require.Equal(t, stored, total("kafka.produce.records", tag("topic", topic), tag("outcome", "ok")).Count)
		require.Equal(t, refused,
			total("kafka.produce.records", tag("topic", topic), tag("outcome", "MESSAGE_TOO_LARGE")).Count)
		require.Eventually(t, func() bool {
			return total("kafka.produce.batch", tag("topic", topic)).Sum >= stored
		}, 10*time.Second, time.Millisecond)
		require.Equal(t, stored, total("kafka.produce.batch", tag("topic", topic)).Sum)
	}
	require.EqualValues(t, producers*each, sum)
	require.EqualValues(t, producers*each, total("kafka.produce.records").Count)

	fetched := make(map[string]int64)
	for n := stored[0].Load() + stored[1].Load(); n > 0; {
		fetches := cl.PollRecords(context.Background(), 300)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			fetched[r.Topic]++
			n--
		})
	}
	for i, topic := range topics {
		require.Equal(t, stored[i].Load(), fetched[topic])
		require.Equal(t, fetched[topic], total("kafka.fetch.records", tag("topic", topic), tag("outcome", "polled")).Count)
		require.Equal(t, fetched[topic], total("kafka.fetch.batch", tag("topic", topic)).Sum)
	}
	require.Zero(t, total("kafka.fetch.records", tag("outcome", "discarded")).Count)
	for _, series := range []string{"bytes", "compressed_bytes", "batch"} {
		require.Equal(t, total("kafka.produce."+series).Count, total("kafka.fetch."+series).Count, series)
	}
	require.Less(t, total("kafka.produce.compressed_bytes").Count, total("kafka.produce.bytes").Count)
}

// A wire counts the bytes and connections of a client.
type wire struct {
	written, read, opened, closed atomic.Int64
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.opened.Add(1)
	return &wiredConn{Conn: conn, wire: w}, nil
}

type wiredConn struct {
	net.Conn
	wire   *wire
	closed atomic.Bool
}

func (c *wiredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wire.written.Add(int64(n))
	return n, err
}

func (c *wiredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.read.Add(int64(n))
	return n, err
}

func (c *wiredConn) Close() error {
	if !c.closed.Swap(true) {
		c.wire.closed.Add(1)
	}
	return c.Conn.Close()
}

// Requests are those that the brokers saw. Bytes and connections are those of the sockets.
func TestRequests(t *testing.T) {
	buffer, total := record(t)
	cluster := cluster(t, "apples")
	var seen [kmsg.MaxKey + 1]atomic.Int64
	cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		seen[r.Key()].Add(1)
		return nil, nil, false
	})
	var wire wire
	cl := client(t, cluster, kgo.WithHooks(kgohook.New(buffer)), kgo.Dialer(wire.dial), kgo.DefaultProduceTopic("apples"))
	for range 200 {
		require.NoError(t, cl.ProduceSync(context.Background(), kgo.StringRecord("value")).FirstErr())
	}
	cl.Close()
	require.Eventually(t, func() bool { return wire.opened.Load() == wire.closed.Load() },
		10*time.Second, time.Millisecond)

	requests := int64(0)
	for key := range seen {
		n := seen[key].Load()
		requests += n
		name := kmsg.NameForKey(int16(key))
		require.Equal(t, n, total("kafka.request", tag("request", name)).Count, name)
	}
	require.GreaterOrEqual(t, requests, int64(200))
	require.Equal(t, requests, total("kafka.request", tag("outcome", "ok")).Count)
	for _, series := range []string{"write_wait", "write", "read_wait", "read"} {
		require.Equal(t, requests, total("kafka.request."+series).Count, series)
	}
	sum := total("kafka.request.write").Sum + total("kafka.request.read_wait").Sum + total("kafka.request.read").Sum
	require.Equal(t, total("kafka.request").Sum, sum)
	require.Equal(t, wire.written.Load(), total("kafka.request.bytes").Count)
	require.Equal(t, wire.read.Load(), total("kafka.response.bytes").Count)
	require.Equal(t, wire.opened.Load(), total("kafka.connect", tag("outcome", "ok")).Count)
	require.Equal(t, wire.closed.Load(), total("kafka.disconnects").Count)
}

// A broker that cannot be reached, and one that goes away, are errors.
func TestErrors(t *testing.T) {
	buffer, total := record(t)
	cluster := cluster(t, "apples")
	var attempts atomic.Int64
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("the broker closes the connection"), true
	})
	cl := client(t, cluster, kgo.WithHooks(kgohook.New(buffer)), kgo.DefaultProduceTopic("apples"),
		kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			if attempts.Add(1) <= 2 {
				return nil, errors.New("no route to host")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}))
	require.NoError(t, cl.ProduceSync(context.Background(), kgo.StringRecord("value")).FirstErr())
	require.EqualValues(t, 2, total("kafka.connect", tag("outcome", "error")).Count)
	require.EqualValues(t, 1, total("kafka.request", tag("request", "Produce"), tag("outcome", "error")).Count)
	require.EqualValues(t, 1, total("kafka.request", tag("request", "Produce"), tag("outcome", "ok")).Count)
	require.EqualValues(t, 1, total("kafka.produce.records").Count)
}

// The interval of a response that throttles is recorded.
func TestThrottle(t *testing.T) {
	buffer, total := record(t)
	cluster := cluster(t, "apples")
	cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		response := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		response.ProducerID, response.ThrottleMillis = 1, 7
		return response, nil, true
	})
	cl := client(t, cluster, kgo.WithHooks(kgohook.New(buffer)), kgo.DefaultProduceTopic("apples"))
	require.NoError(t, cl.ProduceSync(context.Background(), kgo.StringRecord("value")).FirstErr())
	require.EqualValues(t, 1, total("kafka.throttle").Count)
	require.EqualValues(t, 7*time.Millisecond, total("kafka.throttle").Sum)
}

// Records that the client drops because it is closed are counted like any other.
func TestClosed(t *testing.T) {
	buffer, total := record(t)
	cl := client(t, cluster(t, "apples"), kgo.WithHooks(kgohook.New(buffer)), kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(3), kgo.DefaultProduceTopic("apples"))
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	promised := make(chan error, 10)
	promise := func(_ *kgo.Record, err error) { promised <- err }
	for range 3 {
		cl.Produce(context.Background(), kgo.StringRecord("value"), promise)
	}
	cl.TryProduce(context.Background(), kgo.StringRecord("value"), promise)
	require.ErrorIs(t, <-promised, kgo.ErrMaxBuffered)
	require.EqualValues(t, 1, total("kafka.produce.records", tag("outcome", "buffer_full")).Count)
	require.NoError(t, cl.AbortBufferedRecords(context.Background()))
	for range 3 {
		require.ErrorIs(t, <-promised, kgo.ErrAborting)
	}
	require.EqualValues(t, 3, total("kafka.produce.records", tag("outcome", "aborted")).Count)
	cl.Close()
	cl.Produce(canceled, kgo.StringRecord("value"), promise)
	require.Error(t, <-promised)
	require.EqualValues(t, 5, total("kafka.produce.records").Count)
}

// Outcomes are names that are known in advance. The text of an error is none of them.
func TestOutcomes(t *testing.T) {
	buffer := metricstest.New(t)
	hooks := kgohook.New(buffer)
	for want, err := range map[string]error{
		"ok":                       nil,
		"NOT_LEADER_FOR_PARTITION": fmt.Errorf("produce: %w", kerr.NotLeaderForPartition),
		"UNKNOWN_SERVER_ERROR":     kerr.ErrorForCode(29_999),
		"timeout":                  fmt.Errorf("produce: %w", kgo.ErrRecordTimeout),
		"retries":                  kgo.ErrRecordRetries,
		"canceled":                 context.Canceled,
		"closed":                   kgo.ErrClientClosed,
		"error":                    errors.New("a text with an offset in it: 1234"),
	} {
		hooks.OnProduceRecordUnbuffered(&kgo.Record{Topic: "apples"}, err)
		require.EqualValues(t, 1,
			metricstest.Count(t, buffer, "kafka.produce.records", tag("topic", "apples"), tag("outcome", want)), want)
	}
	hooks.OnProduceRecordUnbuffered(&kgo.Record{Topic: "apples"}, &kerr.Error{Message: "anything", Code: 3})
	require.EqualValues(t, 2,
		metricstest.Count(t, buffer, "kafka.produce.records", tag("topic", "apples"), tag("outcome", "error")))
}

// Topics, brokers and requests beyond the limits share a series, and no update is lost.
func TestLimits(t *testing.T) {
	buffer, total := record(t)
	hooks := kgohook.New(buffer, kgohook.WithMaxTopics(10), kgohook.Option{})
	var recording sync.WaitGroup
	for range 4 {
		recording.Go(func() {
			for i := range 2000 {
				hooks.OnFetchRecordUnbuffered(&kgo.Record{Topic: fmt.Sprint("topic", i%100)}, i%2 == 0)
				hooks.OnBrokerE2E(kgo.BrokerMetadata{NodeID: int32(i)}, math.MaxInt16-int16(i), kgo.BrokerE2E{})
			}
		})
	}
	recording.Wait()
	require.EqualValues(t, 8000, total("kafka.fetch.records").Count)
	require.EqualValues(t, 4*1800, total("kafka.fetch.records", tag("topic", "other")).Count)
	require.EqualValues(t, 4000, total("kafka.fetch.records", tag("outcome", "discarded")).Count)
	require.EqualValues(t, 8000, total("kafka.request", tag("request", "Unknown")).Count)
	require.EqualValues(t, 4000, total("kafka.request", tag("broker", "other")).Count)
	require.Less(t, buffer.Stats().Series, 7*1001+3*12)

	hooks = kgohook.New(buffer, kgohook.WithMaxTopics(0))
	hooks.OnFetchRecordUnbuffered(&kgo.Record{Topic: "topic0"}, true)
	require.EqualValues(t, 4*1800+1, total("kafka.fetch.records", tag("topic", "other")).Count)
}

// A topic that is cut out of a long string does not keep the long string.
func TestTopicsAreCopied(t *testing.T) {
	hooks := kgohook.New(metricstest.New(t))
	long := make([]byte, 1<<20)
	copy(long, "topic")
	kept := weak.Make(&long[0])
	topic := unsafe.String(&long[0], len("topic"))
	hooks.OnProduceRecordUnbuffered(&kgo.Record{Topic: topic}, nil)
	hooks.OnFetchRecordUnbuffered(&kgo.Record{Topic: topic}, true)
	hooks.OnProduceBatchWritten(kgo.BrokerMetadata{NodeID: 1}, topic, 0, kgo.ProduceBatchMetrics{NumRecords: 1})
	runtime.GC()
	require.Nil(t, kept.Value())
	runtime.KeepAlive(hooks)
}

// The cost of a new topic does not grow with the number of topics.
func TestManyTopics(t *testing.T) {
	const topics = 5000
	hooks := kgohook.New(nil, kgohook.WithMaxTopics(topics))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range topics {
		hooks.OnFetchRecordUnbuffered(&kgo.Record{Topic: fmt.Sprint("topic", i)}, true)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(topics*2000), "bytes were allocated")
}

func TestSeeds(t *testing.T) {
	buffer, total := record(t)
	kgohook.New(buffer).OnBrokerDisconnect(kgo.BrokerMetadata{NodeID: math.MinInt32 + 2}, nil)
	require.EqualValues(t, 1, total("kafka.disconnects", tag("broker", "seed_2")).Count)
}

func TestNoBuffer(*testing.T) {
	hooks := kgohook.New(nil)
	for _, err := range []error{nil, errors.New("lost")} {
		hooks.OnBrokerConnect(kgo.BrokerMetadata{}, 1, nil, err)
		hooks.OnBrokerDisconnect(kgo.BrokerMetadata{}, nil)
		hooks.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{ReadErr: err})
		hooks.OnBrokerThrottle(kgo.BrokerMetadata{}, 1, true)
		hooks.OnGroupManageError(err)
		hooks.OnProduceRecordUnbuffered(&kgo.Record{}, err)
		hooks.OnProduceBatchWritten(kgo.BrokerMetadata{}, "", 0, kgo.ProduceBatchMetrics{})
		hooks.OnFetchRecordUnbuffered(&kgo.Record{}, true)
		hooks.OnFetchBatchRead(kgo.BrokerMetadata{}, "", 0, kgo.FetchBatchMetrics{})
	}
}

func TestGroupErrors(t *testing.T) {
	buffer := metricstest.New(t)
	kgohook.New(buffer).OnGroupManageError(kerr.RebalanceInProgress)
	require.EqualValues(t, 1, metricstest.Count(t, buffer, "kafka.group.errors"))
}

// No hook allocates once its series exist.
func TestAllocations(t *testing.T) {
	buffer := metricstest.New(t)
	hooks := kgohook.New(buffer, kgohook.WithMaxTopics(1))
	apples, pears, broker := &kgo.Record{Topic: "apples"}, &kgo.Record{Topic: "pears"}, kgo.BrokerMetadata{NodeID: 1}
	e2e := kgo.BrokerE2E{BytesWritten: 100, BytesRead: 50, WriteWait: 20, TimeToWrite: 30, ReadWait: 40, TimeToRead: 50}
	produced, fetched := kgo.ProduceBatchMetrics{NumRecords: 3}, kgo.FetchBatchMetrics{NumRecords: 3}
	for name, hook := range map[string]func(){
		"produced record": func() { hooks.OnProduceRecordUnbuffered(apples, nil) },
		"another topic":   func() { hooks.OnProduceRecordUnbuffered(pears, nil) },
		"refused record":  func() { hooks.OnProduceRecordUnbuffered(apples, kgo.ErrClientClosed) },
		"fetched record":  func() { hooks.OnFetchRecordUnbuffered(apples, true) },
		"produced batch":  func() { hooks.OnProduceBatchWritten(broker, "apples", 1, produced) },
		"fetched batch":   func() { hooks.OnFetchBatchRead(broker, "apples", 1, fetched) },
		"request":         func() { hooks.OnBrokerE2E(broker, 0, e2e) },
		"connection":      func() { hooks.OnBrokerConnect(broker, 1, nil, nil) },
		"throttle":        func() { hooks.OnBrokerThrottle(broker, 1, true) },
	} {
		for range 10_000 {
			hook() // on each P
		}
		if name == "refused record" {
			continue // errors.As allocates; such records are rare
		}
		require.Zero(t, testing.AllocsPerRun(1000, hook), name)
	}
}

func BenchmarkHooks(b *testing.B) {
	hooks := kgohook.New(metricstest.New(b))
	r, broker := &kgo.Record{Topic: "apples"}, kgo.BrokerMetadata{NodeID: 1}
	b.Run("record", func(b *testing.B) {
		for b.Loop() {
			hooks.OnProduceRecordUnbuffered(r, nil)
		}
	})
	b.Run("request", func(b *testing.B) {
		e2e := kgo.BrokerE2E{BytesWritten: 100, BytesRead: 50, WriteWait: 20, TimeToWrite: 30, ReadWait: 40, TimeToRead: 50}
		for b.Loop() {
			hooks.OnBrokerE2E(broker, 0, e2e)
		}
	})
}
