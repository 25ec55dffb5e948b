package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/metricsbuffer/metricsbuffer"
)

// small is the scenario within one second, with many flushes.
func small() config {
	return config{messages: 20_000, duration: time.Second, producers: 4, interval: 5 * time.Millisecond}
}

// requireExact repeats the checks of the audit, without the audit's code.
func requireExact(t *testing.T, result *audit, err error) {
	t.Helper()
	require.NoError(t, err)
	require.Equal(t, result.produced.attempted, result.produced.succeeded+result.produced.failed)
	require.Equal(t, result.produced.succeeded, result.stored)
	require.Equal(t, result.produced.succeeded, result.consumed)
	for _, sink := range result.sinks {
		require.Equal(t, result.produced.succeeded, sink.total("arroyo.producer.produce_status", "success"))
		require.Equal(t, result.produced.failed, sink.total("arroyo.producer.produce_status", "error"))
		require.Equal(t, result.produced.attempted, sink.total("arroyo.producer.callback_latency", ""))
		require.Equal(t, result.consumed, sink.total("arroyo.consumer.processing.time", ""))
		require.Equal(t, result.consumed, sink.total("arroyo.consumer.latency", ""))
		require.Zero(t, sink.total("arroyo.consumer.invalid_message.count", ""))
		require.EqualValues(t, partitions, sink.total("arroyo.consumer.partitions_assigned.count", ""))
	}
}

func TestEveryMessageIsAccountedFor(t *testing.T) {
	var out bytes.Buffer
	result, err := run(t.Context(), small(), &out)
	requireExact(t, result, err)
	require.EqualValues(t, 20_000, result.produced.succeeded)
	require.Contains(t, out.String(),
		"\nEXACT: 20000 messages were produced, called back and delivered to each sink; "+
			"20000 were stored and consumed; 0 failed.\n")
}

func TestInjectedErrorsAreCountedExactly(t *testing.T) {
	cfg := small()
	cfg.injectErrors = 10
	var out bytes.Buffer
	result, err := run(t.Context(), cfg, &out)
	requireExact(t, result, err)
	require.EqualValues(t, 20_000, result.produced.attempted)
	require.GreaterOrEqual(t, result.produced.failed, int64(10), "each request carries at least one message")
	require.Contains(t, out.String(), "The broker rejected 10 of the 10 produce requests")
}

func TestAsFastAsPossible(t *testing.T) {
	cfg := small()
	cfg.duration = 0
	result, err := run(t.Context(), cfg, io.Discard)
	requireExact(t, result, err)
	require.EqualValues(t, 20_000, result.produced.succeeded)
}

func TestInterruptedRunIsAudited(t *testing.T) {
	cfg := small()
	cfg.duration = time.Hour
	cfg.messages = 100_000_000
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	result, err := run(ctx, cfg, io.Discard)
	requireExact(t, result, err)
	require.Positive(t, result.produced.succeeded)
	require.Less(t, result.produced.attempted, int64(cfg.messages))
}

// TestFailingSink: a console that fails for a while gets every metric in the end, and none twice.
func TestFailingSink(t *testing.T) {
	console := &failingWriter{until: time.Now().Add(small().duration / 2)}
	result, err := run(t.Context(), small(), console)
	requireExact(t, result, err)
	require.Positive(t, console.failures.Load())
}

// failingWriter fails until the given time.
type failingWriter struct {
	until    time.Time
	failures atomic.Int64
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if time.Now().Before(w.until) {
		w.failures.Add(1)
		return 0, errors.New("console: not now")
	}
	return len(p), nil
}

// TestEndOffsetsByAnotherClient: with --brokers the topic is in an existing cluster, here the test's. This cluster
// refuses to delete the topic. So a client that has no part in the run can still read the end offsets.
func TestEndOffsetsByAnotherClient(t *testing.T) {
	cluster, err := kfake.NewCluster()
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	cluster.ControlKey(int16(kmsg.DeleteTopics), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.DeleteTopicsResponse)
		for _, topic := range request.(*kmsg.DeleteTopicsRequest).Topics {
			refused := kmsg.NewDeleteTopicsResponseTopic()
			refused.Topic = topic.Topic
			refused.ErrorCode = kerr.TopicDeletionDisabled.Code
			response.Topics = append(response.Topics, refused)
		}
		return response, nil, true
	})

	cfg := small()
	cfg.brokers = cluster.ListenAddrs()
	result, err := run(t.Context(), cfg, io.Discard)
	requireExact(t, result, err)

	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	offsets, err := kadm.NewClient(client).ListEndOffsets(t.Context())
	require.NoError(t, err)
	var stored int64
	offsets.Each(func(partition kadm.ListedOffset) {
		if strings.HasPrefix(partition.Topic, "metricsbuffer-example-") {
			stored += partition.Offset
		}
	})
	require.Equal(t, result.produced.succeeded, stored)
}

func TestTopicIsDeleted(t *testing.T) {
	cluster, err := kfake.NewCluster()
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	cfg := small()
	cfg.brokers, cfg.messages, cfg.duration = cluster.ListenAddrs(), 100, 0
	result, err := run(t.Context(), cfg, io.Discard)
	requireExact(t, result, err)

	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	topics, err := kadm.NewClient(client).ListTopics(t.Context())
	require.NoError(t, err)
	require.Empty(t, topics)
}

func TestAuditSaysWhatDiffers(t *testing.T) {
	ctx := t.Context()
	exact := func() *audit {
		sink := &auditedSink{name: "console", sink: metricsbuffer.SinkFunc(
			func(context.Context, *metricsbuffer.Batch) error { return nil })}
		status := func(status string) []metricsbuffer.Tag {
			return []metricsbuffer.Tag{{Key: "producer_name", Value: "p"}, {Key: "status", Value: status}}
		}
		require.NoError(t, sink.Write(ctx, &metricsbuffer.Batch{Points: []metricsbuffer.Point{
			{Name: "arroyo.producer.produce_status", Tags: status("success"), Count: 5},
			{Name: "arroyo.producer.produce_status", Tags: status("error"), Count: 2},
			{Name: "arroyo.producer.callback_latency", Kind: metricsbuffer.KindTimer, Count: 7},
			{Name: "arroyo.consumer.processing.time", Kind: metricsbuffer.KindTimer, Count: 5},
		}}))
		return &audit{produced: tally{7, 5, 2}, stored: 5, consumed: 5, sinks: []*auditedSink{sink}}
	}
	require.NoError(t, exact().check())
	require.Contains(t, exact().String(), "\nEXACT: 7 messages")

	deliver := func(name, status string) func(*audit) {
		return func(a *audit) { a.sinks[0].totals[series{name, status}]++ }
	}
	for _, test := range []struct {
		spoil func(*audit)
		says  string
	}{
		{func(a *audit) { a.produced.attempted++ }, "audit: messages differ: 7 (delivery callbacks), but 8 (produced)"},
		{func(a *audit) { a.stored-- }, "audit: successes differ: 5 (delivery callbacks), but 4 (broker end offsets)"},
		{func(a *audit) { a.consumed++ }, "audit: successes differ: 5 (delivery callbacks), but 6 (consumed)"},
		{deliver("arroyo.producer.produce_status", "success"), "but 6 (console: arroyo.producer.produce_status)"},
		{deliver("arroyo.producer.produce_status", "error"), "errors differ: 2 (delivery callbacks), but 3 (console"},
		{deliver("arroyo.producer.callback_latency", ""), "but 8 (console: arroyo.producer.callback_latency)"},
		{deliver("arroyo.consumer.processing.time", ""), "but 6 (console: arroyo.consumer.processing.time)"},
	} {
		a := exact()
		test.spoil(a)
		require.ErrorContains(t, a.check(), test.says)
		require.NotContains(t, a.String(), "\nEXACT")
		require.True(t, strings.HasSuffix(a.String(), "\nNOT EXACT: counts in one column differ.\n"), a.String())
	}
}

// TestAuditCountsAcknowledgedBatchesOnly: a batch that the sink refuses is not counted.
func TestAuditCountsAcknowledgedBatchesOnly(t *testing.T) {
	refusal := errors.New("no")
	refuse := func(context.Context, *metricsbuffer.Batch) error { return refusal }
	sink := &auditedSink{sink: metricsbuffer.SinkFunc(refuse)}
	batch := &metricsbuffer.Batch{Points: []metricsbuffer.Point{{Name: "n", Count: 1}}}
	require.ErrorIs(t, sink.Write(t.Context(), batch), refusal)
	require.Zero(t, sink.total("n", ""))
}
