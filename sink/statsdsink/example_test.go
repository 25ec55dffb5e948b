package statsdsink_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
)

func Example() {
	address := server() // a StatsD server's, say "127.0.0.1:8125"

	sink, err := statsdsink.New("tcp://"+address, statsdsink.WithPrefix("shop."))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer.IncrCounter("orders", 2, metricsbuffer.Tag{Key: "status", Value: "paid in full"})
	buffer.IncrTimer("checkout", 1500*time.Microsecond)
	if err := buffer.Close(); err != nil { // delivers the rest and closes the sink
		fmt.Println(err)
	}
	fmt.Print(<-received)

	// Unordered output:
	// shop.orders:2|c|#status:paid_x20_in_x20_full
	// shop.checkout:1.5|ms
}

// A writer gets the lines as a server would.
func ExampleNewWriter() {
	sink, err := statsdsink.NewWriter(os.Stdout, statsdsink.WithTags(metricsbuffer.Tag{Key: "env", Value: "prod"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		buffer.IncrTimer("checkout", 250*time.Microsecond)
	}
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// checkout:0.25|ms|@0.25|#env:prod
}

// A container gets its server from the environment.
func ExampleFromEnvironment() {
	_ = os.Setenv("DD_AGENT_HOST", "10.0.0.7")
	defer func() { _ = os.Unsetenv("DD_AGENT_HOST") }()
	sink, err := statsdsink.FromEnvironment()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink)
	// Output:
	// statsd udp://10.0.0.7:8125
}

var received = make(chan string, 1)

// server receives one batch.
func server() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		defer listener.Close()
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		defer conn.Close() // after all has been read: the sink waits for it
		lines, err := io.ReadAll(conn)
		if err != nil {
			panic(err)
		}
		received <- string(lines)
	}()
	return listener.Addr().String()
}
