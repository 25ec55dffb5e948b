package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	partitions   = 8
	adminTimeout = 10 * time.Second
)

// A broker is a Kafka cluster, in this process or real. It has a topic that is made for this run and deleted after it.
// The topic's end offsets count the messages that the cluster has stored in this run.
type broker struct {
	addresses []string
	topic     string
	admin     *kadm.Client
	cluster   *kfake.Cluster // nil if it is real
	rejected  atomic.Int64   // produce requests, see rejectSome
}

func openBroker(ctx context.Context, cfg config) (*broker, error) {
	b := &broker{
		addresses: cfg.brokers,
		topic:     fmt.Sprint("metricsbuffer-example-", time.Now().UnixNano()),
	}
	if len(b.addresses) == 0 {
		cluster, err := kfake.NewCluster()
		if err != nil {
			return nil, fmt.Errorf("starting the in-process broker: %w", err)
		}
		b.cluster, b.addresses = cluster, cluster.ListenAddrs()
		if cfg.injectErrors > 0 {
			b.rejectSome(int64(cfg.injectErrors), cfg.duration)
		}
	}
	client, err := b.client()
	if err != nil {
		b.close()
		return nil, err
	}
	b.admin = kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if _, err := b.admin.CreateTopic(ctx, partitions, -1, nil, b.topic); err != nil {
		b.close()
		return nil, fmt.Errorf("creating topic %s on %v: %w", b.topic, b.addresses, err)
	}
	return b, nil
}

// client returns a Kafka client of this broker.
func (b *broker) client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(b.addresses...))...)
}

// endOffsets returns the number of messages that the broker has stored.
func (b *broker) endOffsets() (messages int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	offsets, err := b.admin.ListEndOffsets(ctx, b.topic)
	if err := errors.Join(err, offsets.Error()); err != nil {
		return 0, fmt.Errorf("reading the end offsets of topic %s: %w", b.topic, err)
	}
	offsets.Each(func(partition kadm.ListedOffset) { messages += partition.Offset })
	return messages, nil
}

// rejectSome lets the in-process broker answer the given number of produce requests with INVALID_RECORD, evenly over
// the duration. Clients do not retry after this error.
func (b *broker) rejectSome(requests int64, duration time.Duration) {
	start := time.Now()
	b.cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		due := requests
		if elapsed := time.Since(start); elapsed < duration {
			due = min(due, int64(float64(requests+1)*float64(elapsed)/float64(duration))) // the last before the end
		}
		if b.rejected.Load() >= due {
			return nil, nil, false
		}
		b.rejected.Add(1)
		return rejection(request.(*kmsg.ProduceRequest)), nil, true
	})
}

// rejection answers each batch of the request with INVALID_RECORD.
func rejection(request *kmsg.ProduceRequest) *kmsg.ProduceResponse {
	response := request.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range request.Topics {
		rejected := kmsg.NewProduceResponseTopic()
		rejected.Topic, rejected.TopicID = topic.Topic, topic.TopicID
		for _, batch := range topic.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition = batch.Partition
			partition.ErrorCode = kerr.InvalidRecord.Code
			rejected.Partitions = append(rejected.Partitions, partition)
		}
		response.Topics = append(response.Topics, rejected)
	}
	return response
}

// close deletes the topic and the consumer group of the run, and shuts the in-process cluster down.
func (b *broker) close() {
	if b.cluster != nil {
		defer b.cluster.Close()
	}
	if b.admin == nil {
		return
	}
	defer b.admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	_, _ = b.admin.DeleteGroup(ctx, b.topic)
	_, _ = b.admin.DeleteTopic(ctx, b.topic)
}
