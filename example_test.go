package metricsbuffer_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/consolesink"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
)

// The usage example of the README.
func Example() {
	console := metricsbuffer.Must(consolesink.New(os.Stdout))
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(console))) // a batch every second
	requests := buffer.Counter("http.requests", metricsbuffer.T("handler", "index"))
	latency := buffer.Timer("http.latency")
	for range 1000 { // in any number of goroutines
		stopwatch := latency.Start()
		requests.Inc()
		stopwatch.Stop()
	}
	buffer.IncrCounter("http.errors", 2, metricsbuffer.T("status", "500")) // by name
	fmt.Println(buffer.Close(), buffer.Stats().Recorded)                   // flushes
}

// Typed labels build no string. Updates that are recorded together arrive in the same batch.
func ExampleRecord() {
	buffer := metricsbuffer.Must(metricsbuffer.New()) // without a sink it only counts
	type route struct {
		Path   string `tag:"path"`
		Status int    `tag:"status"`
	}
	requests := metricsbuffer.Must(metricsbuffer.NewCounterVec[route](buffer, "http.requests"))
	latency := metricsbuffer.Must(metricsbuffer.NewTimerVec[route](buffer, "http.latency"))

	to := route{Path: "/users", Status: 200}
	metricsbuffer.Record(requests.With(to).Delta(1), latency.With(to).Took(12*time.Millisecond))

	fmt.Println(buffer.Stats().Recorded) // increments, observations
	// Output: {1 1}
}

// Dollars are counted in cents, so that the sum of many small amounts is exact.
func ExampleBuffer_FractionCounter() {
	write := metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			fmt.Printf("%s: %s, or about %v\n", p.Name, p.AppendAmount(nil), p.Amount())
		}
		return nil
	})
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(write))
	if err != nil {
		fmt.Println(err)
		return
	}
	cost := buffer.FractionCounter("cost.usd", 2)
	for range 10 {
		cost.Add(0.1)
	}
	cost.Steps().Add(25) // cents
	if err := buffer.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// cost.usd: 1.25, or about 1.25
}

// A scope adds tags and a prefix to everything that is recorded in it. A library takes a scope as it takes a buffer.
func ExampleBuffer_With() {
	printer := metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
		for _, p := range batch.Points {
			fmt.Println(p.Name, p.Tags, p.Count)
		}
		return nil
	})
	buffer := metricsbuffer.Must(metricsbuffer.New(
		metricsbuffer.WithSink(printer), metricsbuffer.WithTags(metricsbuffer.T("host", "a1"))))

	web := buffer.WithPrefix("http.").With(metricsbuffer.T("service", "web"), metricsbuffer.T("route", "any"))
	web.IncrCounter("requests", 1)
	web.IncrCounter("requests", 2, metricsbuffer.T("route", "/users")) // the tag of the call is taken
	if err := buffer.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// http.requests [{host a1} {route any} {service web}] 1
	// http.requests [{host a1} {route /users} {service web}] 2
}

// Backends show what a name means.
func ExampleBuffer_Describe() {
	page := metricsbuffer.Must(openmetricssink.New())
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(page)))
	defer func() { _ = buffer.Close() }()

	buffer.Describe("queue.depth", "Jobs that wait.", "jobs")
	buffer.SetGauge("queue.depth", 3)

	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	fmt.Print(answer.Body)
	// Output:
	// # HELP queue_depth Jobs that wait.
	// # TYPE queue_depth gauge
	// queue_depth 3
}

// A Local is for an inner loop: recording in it costs about as much as adding to a variable.
func ExampleLocal() {
	buffer := metricsbuffer.Must(metricsbuffer.New())
	volume := buffer.Counter("message.volume")
	size := buffer.Histogram("message.size", "bytes")
	local := buffer.Local() // this goroutine's
	for _, message := range []string{"one", "two", "three"} {
		local.Counter(volume).Add(int64(len(message)))
		local.Histogram(size).Observe(int64(len(message)))
	}
	local.Commit() // all of it arrives in one batch
	fmt.Println(buffer.Stats().Recorded)
	// Output: {11 3}
}

// ObserveN records what another source has counted in buckets of its own.
func ExampleTimer_ObserveN() {
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(&lines{to: os.Stdout})))
	latency := buffer.Timer("disk.latency")
	for _, bucket := range []struct {
		upTo  time.Duration
		count int64 // since the last time
	}{{time.Millisecond, 1500}, {10 * time.Millisecond, 20}, {100 * time.Millisecond, 3}} {
		latency.ObserveN(bucket.upTo, bucket.count)
	}
	fmt.Println(buffer.Close(), buffer.Stats().Recorded) // increments, observations
	// Output:
	// disk.latency 1523 100ms
	// <nil> {0 1523}
}

// A sink of one's own is a type with a Write method. This one sends lines over a connection, in pieces: it acknowledges
// each piece, so that a failure repeats no line, and drops the points that its protocol cannot express. It is short: it
// ignores tags, and a newline in a name makes two lines of one. Test a sink of yours with the package sinktest.
func ExampleSink() {
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(&lines{to: os.Stdout})))
	buffer.IncrCounter("messages", 3)
	buffer.IncrCounter("two words", 1)
	buffer.IncrTimer("latency", 10*time.Millisecond)
	fmt.Println(buffer.Close(), buffer.Stats().Sinks[0].Drops)
	// Output:
	// messages 3
	// latency 1 10ms
	// <nil> map[name with a space:1]
}

type lines struct{ to io.Writer }

func (l *lines) String() string { return "lines" } // its name in errors and statistics

func (l *lines) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	for i, p := range batch.Points {
		if ctx.Err() != nil {
			return ctx.Err() // the rest stays in the buffer, and is in the next batch
		}
		if strings.Contains(p.Name, " ") {
			batch.Drop(i, "name with a space")
			continue
		}
		var err error
		switch p.Kind {
		case metricsbuffer.KindCounter:
			_, err = fmt.Fprintln(l.to, p.Name, string(p.AppendAmount(nil)))
		case metricsbuffer.KindTimer:
			_, err = fmt.Fprintln(l.to, p.Name, p.Count, time.Duration(p.Max))
		case metricsbuffer.KindHistogram:
			_, err = fmt.Fprintln(l.to, p.Name, p.Count, p.Max, p.Unit)
		case metricsbuffer.KindGauge:
			_, err = fmt.Fprintln(l.to, p.Name, p.Value)
		}
		if err != nil {
			return err
		}
		batch.Acknowledge(i + 1)
	}
	return nil
}

// A sink that is asked for its values implements Attacher. The buffer hands it a function that fetches all updates
// since the last request.
func ExampleAttacher() {
	page := &page{totals: make(map[string]int64)}
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(page)))
	server := httptest.NewServer(page)
	for range 2 {
		buffer.IncrCounter("requests", 2)
		response := metricsbuffer.Must(http.Get(server.URL))
		fmt.Print(string(metricsbuffer.Must(io.ReadAll(response.Body))))
		_ = response.Body.Close()
	}
	server.Close()
	fmt.Println(buffer.Close())
	// Output:
	// requests 2
	// requests 4
	// <nil>
}

type page struct {
	flush  func(context.Context) error
	mutex  sync.Mutex
	totals map[string]int64
}

func (p *page) Attach(flush func(context.Context) error) error {
	p.flush = flush
	return nil
}

func (p *page) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, point := range batch.Points {
		p.totals[point.Name] += point.Count
	}
	return nil
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := p.flush(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for name, total := range p.totals {
		_, _ = fmt.Fprintln(w, name, total)
	}
}

// Values that somebody else keeps are polled before each batch.
func ExampleBuffer_GaugeFunc() {
	buffer := metricsbuffer.Must(metricsbuffer.New(
		metricsbuffer.WithSink(metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				fmt.Println(p.Name, p.Count, p.Value)
			}
			return nil
		})), metricsbuffer.WithInterval(0)))
	queue := make(chan int, 10)
	var pool struct{ dials int64 } // a library's own statistics, which only grow
	buffer.GaugeFunc("queue.depth", func() float64 { return float64(len(queue)) })
	buffer.CounterFunc("pool.dials", func() int64 { return pool.dials })
	queue <- 1
	pool.dials = 4
	fmt.Println(buffer.Flush(context.Background()))
	pool.dials = 5
	fmt.Println(buffer.Close())
	// Unordered output:
	// pool.dials 4 0
	// queue.depth 0 1
	// <nil>
	// pool.dials 1 0
	// queue.depth 0 1
	// <nil>
}

// A sink that wraps another one has a method Unwrap: through it, the buffer finds the Close and Attach methods of the
// wrapped sink. This one passes the batch itself on, so that Acknowledge and Drop reach the buffer.
func ExampleSink_wrapper() {
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(&logged{&file{}})))
	buffer.IncrCounter("messages", 3)
	fmt.Println(buffer.Close())
	// Output:
	// messages 3
	// 1 points written: <nil>
	// the file is closed
	// <nil>
}

type logged struct{ next metricsbuffer.Sink }

func (l *logged) Unwrap() metricsbuffer.Sink { return l.next }

func (l *logged) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	err := l.next.Write(ctx, batch)
	fmt.Println(len(batch.Points), "points written:", err)
	return err
}

type file struct{}

func (*file) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	for _, p := range batch.Points {
		fmt.Println(p.Name, p.Count)
	}
	return nil
}

func (*file) Close() error {
	fmt.Println("the file is closed")
	return nil
}

// SinkFunc makes a sink of a function. This one prints every kind of point.
func ExampleSinkFunc() {
	toStdout := metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
		for i := range batch.Points {
			p := &batch.Points[i]
			switch p.Kind {
			case metricsbuffer.KindCounter:
				fmt.Println(p.Name, p.Tags, string(p.AppendAmount(nil))) // Count alone is in steps, if it has Decimals
			case metricsbuffer.KindGauge:
				fmt.Println(p.Name, p.Tags, p.Value)
			case metricsbuffer.KindTimer:
				fmt.Println(p.Name, p.Tags, p.Count, time.Duration(p.Sum), time.Duration(p.Quantile(0.5)), time.Duration(p.Max))
			case metricsbuffer.KindHistogram:
				fmt.Println(p.Name, p.Tags, p.Count, p.Sum, p.Quantile(0.5), p.Max, p.Unit)
			}
		}
		return nil // an error here would keep the batch in the buffer
	})
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(toStdout), metricsbuffer.WithInterval(0)))
	buffer.IncrCounter("messages", 2, metricsbuffer.T("topic", "orders"))
	buffer.IncrCounter("messages", 1, metricsbuffer.T("topic", "orders"))
	buffer.FractionCounter("cost.usd", 2).Add(0.25)
	buffer.SetGauge("queue.depth", -1.5)
	buffer.IncrTimer("callback.latency", 20*time.Millisecond)
	buffer.Histogram("message.size", "bytes").Observe(7)
	fmt.Println(buffer.Flush(context.Background()))
	fmt.Println(buffer.Close())
	// Output:
	// messages [{topic orders}] 3
	// cost.usd [] 0.25
	// callback.latency [] 1 20ms 20ms 20ms
	// message.size [] 1 7 7 7 bytes
	// queue.depth [] -1.5
	// <nil>
	// <nil>
}

// A slow request is found by the trace that its exemplar names. Here the trace is in the header traceparent. With a
// SpanContext of OpenTelemetry it is TraceContext{TraceID: span.TraceID(), SpanID: span.SpanID()}.
func ExampleTimer_ObserveExemplar() {
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				fmt.Println(p.Name, p.Count)
				for _, e := range p.Exemplars {
					fmt.Printf("trace %x, span %x\n", e.TraceID, e.SpanID)
				}
			}
			return nil
		}))))
	latency := buffer.Timer("http.latency")
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stopwatch := latency.Start()
		// … serve the request …
		span, sampled := traceOf(r.Header.Get("traceparent"))
		if !sampled {
			stopwatch.Stop()
			return
		}
		latency.ObserveExemplar(stopwatch.Elapsed(), span)
	})
	for _, flags := range []string{"00", "01"} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"+flags)
		handler.ServeHTTP(nil, request)
	}
	fmt.Println(buffer.Close())
	// Output:
	// http.latency 2
	// trace 4bf92f3577b34da6a3ce929d0e0e4736, span 00f067aa0ba902b7
	// <nil>
}

// traceOf reads a header as in https://www.w3.org/TR/trace-context. Only a trace that is sampled is stored anywhere.
func traceOf(traceparent string) (span metricsbuffer.TraceContext, sampled bool) {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		return span, false
	}
	_, badTrace := hex.Decode(span.TraceID[:], []byte(parts[1]))
	_, badSpan := hex.Decode(span.SpanID[:], []byte(parts[2]))
	flags, badFlags := strconv.ParseUint(parts[3], 16, 8)
	return span, badTrace == nil && badSpan == nil && badFlags == nil && flags&1 != 0
}
