package statsdsink_test

import (
	"fmt"
	"io"
	"net"
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
