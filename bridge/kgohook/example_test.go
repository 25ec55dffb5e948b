package kgohook_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/kgohook"
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
			if strings.HasSuffix(p.Name, ".records") {
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

	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker.ListenAddrs()...),
		kgo.DefaultProduceTopic("orders"),
		kgo.WithHooks(kgohook.New(buffer)),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	for range 3 {
		client.Produce(context.Background(), kgo.StringRecord("two apples"), nil)
	}
	if err := client.Flush(context.Background()); err != nil {
		fmt.Println(err)
	}

	// Output: counter kafka.produce.records{outcome=ok,topic=orders} 3
}
