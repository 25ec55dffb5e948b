package statsdsink_test

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// An adder is a server that adds up the lines it reads, by what stands around the number.
type adder struct {
	t        *testing.T
	listener net.Listener
	reading  sync.WaitGroup

	mu   sync.Mutex
	sums map[string]int64
}

func (a *adder) start(address string) {
	require.Eventually(a.t, func() (ok bool) {
		var err error
		a.listener, err = net.Listen("tcp", address)
		return err == nil
	}, 5*time.Second, time.Millisecond)
	a.reading.Add(1)
	go func(listener net.Listener) {
		defer a.reading.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			a.read(conn)
		}
	}(a.listener)
}

func (a *adder) read(conn net.Conn) {
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		number, kind, _ := strings.Cut(rest, "|")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			a.sums[name+"|"+kind] += n
		}
	}
}

// stop returns when everything that was accepted has been read.
func (a *adder) stop() {
	_ = a.listener.Close()
	a.reading.Wait()
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		a := &adder{t: t, sums: make(map[string]int64)}
		a.start("127.0.0.1:0")
		address := a.listener.Addr().String()
		t.Cleanup(a.stop)
		sink, err := statsdsink.New("tcp", address)
		require.NoError(t, err)
		return sinktest.Subject{
			Sink: sink,
			Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int64 {
				if kind == metricsbuffer.KindTimer {
					name += ".ns.count"
				}
				name += "|c"
				for _, tag := range tags {
					name += "|#" + tag.Key + ":" + tag.Value
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				return a.sums[name]
			},
			Break: a.stop,
			Mend:  func() { a.start(address) },
		}
	})
}
