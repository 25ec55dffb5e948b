package otelsink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// A receiver takes OTLP, by gRPC or HTTP, and adds up the points.
type receiver struct {
	collector.UnimplementedMetricsServiceServer
	t       testing.TB
	address string
	start   func(net.Listener) (stop, kill func())
	stop    func() // answers the requests that have begun
	kill    func() // does not wait for them

	mu      sync.Mutex
	totals  map[string]seen // by name and attributes, as fmt prints them
	latest  map[string]seen
	answer  *collector.ExportMetricsPartialSuccess
	crash   chan struct{} // closed once a request was taken that will not be answered; nil to answer
	exports int
	request *collector.ExportMetricsServiceRequest // the last one

	refuse func(*collector.ExportMetricsServiceRequest) error // nil to refuse nothing

	requests []*collector.ExportMetricsServiceRequest // all
	stalled  chan struct{}                            // until it is closed nothing is taken or answered; nil to do both
}

// seen is the content of a series that has arrived.
type seen struct {
	kind, unit      string
	count, zeros    uint64
	sum, value      float64
	lowest, highest float64
	buckets         map[int32]uint64
	start, end      time.Time
	cumulative      bool
}

// Start begins to listen, at the same address as before.
func (r *receiver) Start() {
	var listener net.Listener
	require.Eventually(r.t, func() (ok bool) {
		var err error
		listener, err = net.Listen("tcp", r.address)
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
	r.address = listener.Addr().String()
	r.stop, r.kill = r.start(listener)
}

func newReceiver(t testing.TB) *receiver {
	return &receiver{t: t, address: "127.0.0.1:0", totals: make(map[string]seen), latest: make(map[string]seen)}
}

// startGRPC starts a receiver, and makes an exporter to it that leaves it to others to try again.
func startGRPC(t testing.TB) (*receiver, sdk.Exporter) {
	r := newReceiver(t)
	r.start = func(l net.Listener) (stop, kill func()) {
		server := grpc.NewServer()
		collector.RegisterMetricsServiceServer(server, r)
		go func() { _ = server.Serve(l) }()
		return server.GracefulStop, server.Stop
	}
	r.Start()
	exporter, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithEndpoint(r.address), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
		otlpmetricgrpc.WithDialOption(grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		})))
	require.NoError(t, err)
	// Connections must be gone before a server stops gracefully.
	t.Cleanup(func() { _ = exporter.Shutdown(context.Background()); r.stop() })
	return r, exporter
}

func startHTTP(t testing.TB) (*receiver, sdk.Exporter) {
	r := newReceiver(t)
	r.start = func(l net.Listener) (stop, kill func()) {
		server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }()
		return func() { _ = server.Shutdown(context.Background()) }, func() { _ = server.Close() }
	}
	r.Start()
	exporter, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithInsecure(),
		otlpmetrichttp.WithEndpoint(r.address), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = exporter.Shutdown(context.Background()); r.stop() })
	return r, exporter
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var message collector.ExportMetricsServiceRequest
	if err = errors.Join(err, proto.Unmarshal(body, &message)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, err := r.Export(request.Context(), &message)
	if err != nil {
		codes := map[codes.Code]int{
			codes.InvalidArgument:   http.StatusBadRequest,
			codes.ResourceExhausted: http.StatusRequestEntityTooLarge,
			codes.Unavailable:       http.StatusServiceUnavailable,
		}
		http.Error(w, err.Error(), codes[status.Code(err)])
		return
	}
	body, _ = proto.Marshal(response)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
}

func (r *receiver) Export(
	ctx context.Context, request *collector.ExportMetricsServiceRequest,
) (*collector.ExportMetricsServiceResponse, error) {
	r.mu.Lock()
	stalled := r.stalled
	r.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-ctx.Done():
		}
		return nil, status.Error(codes.Unavailable, "it was stalled")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exports++
	if r.refuse != nil {
		if err := r.refuse(request); err != nil {
			return nil, err
		}
	}
	r.request = request
	r.requests = append(r.requests, request)
	if r.crash != nil {
		defer func(crash chan struct{}) {
			close(crash)
			<-ctx.Done() // the connection is broken
		}(r.crash)
		r.crash = nil
	}
	for _, resource := range request.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, metric := range scope.Metrics {
				r.take(metric)
			}
		}
	}
	return &collector.ExportMetricsServiceResponse{PartialSuccess: r.answer}, nil
}

func (r *receiver) take(m *otlp.Metric) {
	for _, p := range m.GetSum().GetDataPoints() {
		kind := fmt.Sprintf("sum, monotonic: %v", m.GetSum().IsMonotonic)
		r.add(m, p.Attributes, p.StartTimeUnixNano, p.TimeUnixNano, m.GetSum().AggregationTemporality,
			seen{kind: kind, value: float64(p.GetAsInt()) + p.GetAsDouble()})
	}
	for _, p := range m.GetGauge().GetDataPoints() {
		r.add(m, p.Attributes, p.StartTimeUnixNano, p.TimeUnixNano, otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA,
			seen{kind: "gauge", value: p.GetAsDouble()})
	}
	for _, p := range m.GetExponentialHistogram().GetDataPoints() {
		buckets := make(map[int32]uint64)
		for i, n := range p.Positive.GetBucketCounts() {
			if n > 0 {
				buckets[p.Positive.Offset+int32(i)] = n
			}
		}
		r.add(m, p.Attributes, p.StartTimeUnixNano, p.TimeUnixNano, m.GetExponentialHistogram().AggregationTemporality,
			seen{
				kind: fmt.Sprintf("histogram of scale %d", p.Scale), count: p.Count, sum: p.GetSum(), zeros: p.ZeroCount,
				lowest: p.GetMin(), highest: p.GetMax(), buckets: buckets,
			})
	}
}

func (r *receiver) add(m *otlp.Metric, attributes []*common.KeyValue, start, end uint64,
	temporality otlp.AggregationTemporality, s seen,
) {
	s.unit, s.start, s.end = m.Unit, time.Unix(0, int64(start)).UTC(), time.Unix(0, int64(end)).UTC()
	s.cumulative = temporality == otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	key := m.Name
	for _, pair := range attributes {
		key += fmt.Sprintf(" %s=%s", pair.Key, pair.Value.GetStringValue())
	}
	r.latest[key] = s
	if total, ok := r.totals[key]; ok && total.kind == s.kind {
		s.count += total.count
		s.sum += total.sum
		s.zeros += total.zeros
		s.lowest, s.highest = min(s.lowest, total.lowest), max(s.highest, total.highest)
		s.start = total.start
		if s.kind != "gauge" {
			s.value += total.value
		}
		s.buckets = maps.Clone(s.buckets)
		for i, n := range total.buckets {
			s.buckets[i] += n
		}
	}
	r.totals[key] = s
}

// stall makes the receiver accept requests without an answer.
func (r *receiver) stall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled = make(chan struct{})
}

// mend ends a stall, or starts a receiver that was stopped.
func (r *receiver) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stalled == nil {
		r.Start()
		return
	}
	close(r.stalled)
	r.stalled = nil
}

// exported returns all requests.
func (r *receiver) exported() []*collector.ExportMetricsServiceRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// total returns the sum of a series' exported points.
func (r *receiver) total(key string) seen { return r.locked(&r.totals, key) }

// last returns the point that was exported last.
func (r *receiver) last(key string) seen { return r.locked(&r.latest, key) }

func (r *receiver) locked(in *map[string]seen, key string) seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return (*in)[key]
}
