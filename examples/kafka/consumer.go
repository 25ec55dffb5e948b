package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metricsbuffer/metricsbuffer"
)

// A consumer reads the topic as the one member of a consumer group. It processes each partition on a goroutine of its
// own and records its metrics by name, under the names that Sentry's Arroyo gives them.
type consumer struct {
	client  *kgo.Client
	buffer  *metricsbuffer.Buffer
	records atomic.Int64 // processed, counted without the metrics buffer

	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	err    error         // the error that ended run, or nil; may be read when done is closed
}

func startConsumer(broker *broker, buffer *metricsbuffer.Buffer) (*consumer, error) {
	c := &consumer{buffer: buffer, done: make(chan struct{})}
	client, err := broker.client(
		kgo.ClientID("consumer"),
		kgo.ConsumeTopics(broker.topic),
		kgo.ConsumerGroup(broker.topic), // as new as the topic: there are no earlier commits
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(c.assigned),
	)
	if err != nil {
		return nil, err
	}
	c.client = client
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.done)
		c.err = c.run(ctx)
	}()
	return c, nil
}

// assigned is called by the Kafka client on a goroutine of its own.
func (c *consumer) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	start := time.Now()
	for _, assigned := range partitions {
		c.buffer.IncrCounter("arroyo.consumer.partitions_assigned.count", int64(len(assigned)))
	}
	c.buffer.IncrTimer("arroyo.consumer.run.callback", time.Since(start),
		metricsbuffer.Tag{Key: "callback_name", Value: "on_partitions_assigned"})
}

// run polls and processes until ctx is done or the broker refuses.
func (c *consumer) run(ctx context.Context) error {
	for {
		c.buffer.IncrCounter("arroyo.consumer.run.count", 1)
		start := time.Now()
		fetches := c.client.PollFetches(ctx)
		c.buffer.IncrTimer("arroyo.consumer.poll.time", time.Since(start))

		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		var partitions sync.WaitGroup
		fetches.EachPartition(func(partition kgo.FetchTopicPartition) {
			partitions.Go(func() { partition.EachRecord(c.process) })
		})
		partitions.Wait()
	}
}

func (c *consumer) process(record *kgo.Record) {
	start := time.Now()
	if !intact(record) {
		c.buffer.IncrCounter("arroyo.consumer.invalid_message.count", 1)
	}
	c.buffer.IncrTimer("arroyo.consumer.processing.time", time.Since(start))
	c.buffer.IncrTimer("arroyo.consumer.latency", time.Since(record.Timestamp))
	c.records.Add(1)
}

// awaitRecords returns when that many records are processed, after the timeout, or when the consumer has ended. The
// audit shows missing records.
func (c *consumer) awaitRecords(records int64, timeout time.Duration) {
	deadline := time.After(timeout)
	for c.records.Load() < records {
		select {
		case <-c.done:
			return
		case <-deadline:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the consumer. After that the consumer records nothing. The error is the one that had ended the consumer
// before, or nil.
func (c *consumer) stop() error {
	c.cancel()
	<-c.done
	c.client.Close()
	return c.err
}
