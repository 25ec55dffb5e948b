package rcrowleybridge_test

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/rcrowleybridge"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func ExampleNew() {
	broker, err := kfake.NewCluster(kfake.SeedTopics(1, "orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()

	print := func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			if p.Name == "record-send-rate-for-topic" {
				fmt.Println(sinktest.Line(p))
			}
		}
		return nil
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(metricsbuffer.SinkFunc(print)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buffer.Close()

	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.MetricRegistry = rcrowleybridge.New(buffer, rcrowleybridge.WithSeries(rcrowleybridge.Sarama))
	producer, err := sarama.NewSyncProducer(broker.ListenAddrs(), config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer producer.Close()
	apples := &sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("two apples")}
	if _, _, err := producer.SendMessage(apples); err != nil {
		fmt.Println(err)
	}

	// Output: counter record-send-rate-for-topic{topic=orders} 1
}
