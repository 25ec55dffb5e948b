package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/protobuf/proto"
)

// An otlpServer receives OTLP by gRPC, which can be stopped, and by HTTP. It adds up the deltas of each.
type otlpServer struct {
	t            testing.TB
	rpc, web     otlpTotals
	address, url string
	stop         func() // ends gRPC after the requests under way have been answered
}

type otlpTotals struct {
	collector.UnimplementedMetricsServiceServer
	sums
}

func startOTLP(t testing.TB) *otlpServer {
	o := &otlpServer{t: t, address: "127.0.0.1:0"}
	o.start()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o.url = "http://" + listener.Addr().String()
	server := &http.Server{Handler: &o.web, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { o.stop(); _ = server.Close() })
	return o
}

// start serves gRPC, at the same address as before.
func (o *otlpServer) start() {
	listener, err := net.Listen("tcp", o.address)
	require.NoError(o.t, err)
	o.address = listener.Addr().String()
	server := grpc.NewServer()
	collector.RegisterMetricsServiceServer(server, &o.rpc)
	go func() { _ = server.Serve(listener) }()
	o.stop = server.GracefulStop
}

// The exporters do not retry: the buffer does.

func (o *otlpServer) grpcExporter() sdk.Exporter {
	exporter, err := otlpmetricgrpc.New(o.t.Context(), otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithEndpoint(o.address), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
		otlpmetricgrpc.WithDialOption(grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		})))
	require.NoError(o.t, err)
	o.t.Cleanup(func() { _ = exporter.Shutdown(context.Background()) })
	return exporter
}

func (o *otlpServer) httpExporter() sdk.Exporter {
	exporter, err := otlpmetrichttp.New(o.t.Context(),
		otlpmetrichttp.WithEndpointURL(o.url+"/v1/metrics"), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
	require.NoError(o.t, err)
	o.t.Cleanup(func() { _ = exporter.Shutdown(context.Background()) })
	return exporter
}

func (o *otlpTotals) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var message collector.ExportMetricsServiceRequest
	if err = errors.Join(err, proto.Unmarshal(body, &message)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, _ := o.Export(request.Context(), &message)
	body, _ = proto.Marshal(response)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
}

func (o *otlpTotals) Export(
	_ context.Context, request *collector.ExportMetricsServiceRequest,
) (*collector.ExportMetricsServiceResponse, error) {
	for _, resource := range request.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				for _, p := range m.GetSum().GetDataPoints() {
					o.add(total{name: m.Name, label: otlpLabel(p.Attributes), value: float64(p.GetAsInt())})
				}
				for _, p := range m.GetGauge().GetDataPoints() {
					o.add(total{name: m.Name, label: otlpLabel(p.Attributes), value: p.GetAsDouble()})
				}
				for _, p := range m.GetExponentialHistogram().GetDataPoints() {
					label := otlpLabel(p.Attributes)
					o.add(total{name: m.Name, label: label, part: "count", value: float64(p.Count)})
					o.add(total{name: m.Name, label: label, part: "sum", value: p.GetSum()})
				}
			}
		}
	}
	return &collector.ExportMetricsServiceResponse{}, nil
}

func otlpLabel(attributes []*common.KeyValue) (label string) {
	for _, pair := range attributes {
		label = pair.Value.GetStringValue()
	}
	return label
}
