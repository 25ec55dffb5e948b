package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metricsbuffer/metricsbuffer"
)

// sendersPerProducer is the number of goroutines that share one Kafka client.
const sendersPerProducer = 8

// A tally has the numbers of messages by their result. They are counted in the callbacks, without the metrics buffer.
// The audit compares the buffer's totals with them.
type tally struct{ attempted, succeeded, failed int64 }

// A producer is a Kafka client and the metrics that its delivery callbacks record, with the names and tags that
// Sentry's Arroyo gives them.
//
// The instruments are made once. So a callback adds to them without building a name or finding a series.
type producer struct {
	client  *kgo.Client
	success *metricsbuffer.Counter
	failure *metricsbuffer.Counter
	latency *metricsbuffer.Timer

	callbacks                    sync.WaitGroup // those still to come
	attempted, succeeded, failed atomic.Int64
}

// produce sends all messages through several producers, and returns when the callback of every message that was sent
// has run. Once ctx is done it sends no more.
func produce(ctx context.Context, cfg config, broker *broker, buffer *metricsbuffer.Buffer) (*tally, error) {
	producers := make([]*producer, cfg.producers)
	for i := range producers {
		p, err := newProducer(fmt.Sprint("producer-", i), broker, buffer)
		if err != nil {
			return nil, err
		}
		defer p.client.Close() // for the early return; closing twice is fine
		producers[i] = p
	}

	var senders sync.WaitGroup
	n := cfg.producers * sendersPerProducer
	for i := range n {
		share := (cfg.messages + i) / n // the shares add up to cfg.messages
		senders.Go(func() { producers[i%cfg.producers].sendAll(ctx, share, cfg.duration) })
	}
	senders.Wait()

	total := new(tally)
	for _, p := range producers {
		p.settle()
		total.attempted += p.attempted.Load()
		total.succeeded += p.succeeded.Load()
		total.failed += p.failed.Load()
	}
	return total, nil
}

func newProducer(name string, broker *broker, buffer *metricsbuffer.Buffer) (*producer, error) {
	client, err := broker.client(
		kgo.ClientID(name),
		kgo.DefaultProduceTopic(broker.topic),
		kgo.RecordDeliveryTimeout(10*time.Second),
	)
	if err != nil {
		return nil, err
	}
	tag := metricsbuffer.Tag{Key: "producer_name", Value: name}
	return &producer{
		client:  client,
		success: buffer.Counter("arroyo.producer.produce_status", tag, metricsbuffer.Tag{Key: "status", Value: "success"}),
		failure: buffer.Counter("arroyo.producer.produce_status", tag, metricsbuffer.Tag{Key: "status", Value: "error"}),
		latency: buffer.Timer("arroyo.producer.callback_latency", tag),
	}, nil
}

// send hands one message to the client. When the broker has answered, the client calls back from a goroutine of its
// own. The callback records the metrics, while other goroutines record theirs and the buffer is flushed.
func (p *producer) send() {
	p.callbacks.Add(1)
	sequence := p.attempted.Add(1)
	watch := p.latency.Start()
	p.client.Produce(context.Background(), newMessage(sequence), func(_ *kgo.Record, err error) {
		defer p.callbacks.Done()
		watch.Stop()
		if err != nil {
			p.failure.Inc()
			p.failed.Add(1)
			return
		}
		p.success.Inc()
		p.succeeded.Add(1)
	})
}

// sendAll sends the given number of messages evenly over the duration, or fewer if ctx is done before.
func (p *producer) sendAll(ctx context.Context, messages int, duration time.Duration) {
	const pause = 10 * time.Millisecond
	start := time.Now()
	for sent := 0; ; {
		due := messages
		if elapsed := time.Since(start); elapsed < duration {
			due = int(float64(messages) * float64(elapsed) / float64(duration))
		}
		for ; sent < due && ctx.Err() == nil; sent++ {
			p.send()
		}
		if sent == messages {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// settle returns when every callback has run. A callback gets the broker's answer, or an error if the broker has not
// answered in time.
func (p *producer) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	_ = p.client.Flush(ctx) // Close fails the messages that are left, and their callbacks count them
	p.client.Close()
	p.callbacks.Wait()
}

// newMessage returns a message of 100 bytes that ends in the checksum of the rest.
func newMessage(sequence int64) *kgo.Record {
	body := fmt.Appendf(make([]byte, 0, 100), "%-96d", sequence)
	return &kgo.Record{
		Key:   strconv.AppendInt(nil, sequence, 10), // spreads the messages over the partitions
		Value: binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body)),
	}
}

// intact reports whether a message is as newMessage made it.
func intact(message *kgo.Record) bool {
	end := len(message.Value) - 4
	return end >= 0 &&
		crc32.ChecksumIEEE(message.Value[:end]) == binary.BigEndian.Uint32(message.Value[end:])
}
