package otelsink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/metricsbuffer/metricsbuffer"
)

// transports are the exporters whose answers the sink knows.
var transports = map[string]func(testing.TB) (*receiver, sdk.Exporter){"gRPC": startGRPC, "HTTP": startHTTP}

// refuseAsServersDo refuses requests of more than 4 MiB, as gRPC does, and those with a metric without a name.
func refuseAsServersDo(request *collector.ExportMetricsServiceRequest) error {
	if size := proto.Size(request); size > 4<<20 {
		return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. 4194304)", size)
	}
	for _, m := range metricsOf([]*collector.ExportMetricsServiceRequest{request}) {
		if m.Name == "" {
			return status.Error(codes.InvalidArgument, "a metric has no name")
		}
	}
	return nil
}

// A series that can never arrive is dropped. All others arrive, each once.
func TestRefusedSeries(t *testing.T) {
	for name, startReceiver := range transports {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := startReceiver(t)
			receiver.refuse = refuseAsServersDo
			b := metricsbuffer.Must(metricsbuffer.New(
				metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(0))))
			for i := range 100 {
				b.IncrCounter(fmt.Sprint("fine", i), 1)
				if i == 50 {
					b.IncrCounter("long", 2, tag{Key: "sql", Value: strings.Repeat("x", 5<<20)})
					b.IncrCounter("", 3)
				}
			}
			require.Error(t, b.Flush(t.Context()))
			b.IncrCounter("fine0", 1)
			require.NoError(t, b.Flush(t.Context()))
			require.InDelta(t, 2, receiver.total("fine0").value, 0)
			for i := range 99 {
				require.InDelta(t, 1, receiver.total(fmt.Sprint("fine", i+1)).value, 0)
			}
			sink := b.Stats().Sinks[0]
			require.Equal(t, map[string]int64{"too large": 1, "refused as invalid": 1}, sink.Drops)
			require.EqualValues(t, 2+3, sink.Dropped.Increments)
			require.Zero(t, sink.Pending.Increments)
			require.NoError(t, b.Close())
		})
	}
}

// A request is too large although none of its points is.
func TestManyLongTags(t *testing.T) {
	for name, startReceiver := range transports {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := startReceiver(t)
			receiver.refuse = refuseAsServersDo
			points := make([]metricsbuffer.Point, 1500)
			for i := range points {
				points[i] = counter(fmt.Sprint("c", i), 1, tag{Key: "k", Value: strings.Repeat("x", 4500)})
			}
			batch := second(points...)
			require.NoError(t, newSink(t, exporter).Write(t.Context(), batch))
			require.Equal(t, len(points), batch.Acknowledged())
			require.Len(t, receiver.totals, len(points))
			require.Less(t, receiver.exports, 10, "too many requests")
		})
	}
}

// The exporter for a terminal or a file writes JSON, which has no NaN and no infinities. Such a gauge is dropped. All
// others arrive, each once.
func TestNotInJSON(t *testing.T) {
	var written bytes.Buffer
	exporter, err := stdoutmetric.New(stdoutmetric.WithWriter(&written))
	require.NoError(t, err)
	b := metricsbuffer.Must(metricsbuffer.New(
		metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(0))))
	for i := range 1500 {
		b.IncrCounter(fmt.Sprintf("fine%d.", i), 1)
	}
	b.Gauge("ratio").Set(math.NaN())
	b.Gauge("limit").Set(math.Inf(1))
	require.ErrorContains(t, b.Flush(t.Context()), `gauge "ratio" is dropped: otelsink: json: unsupported value: NaN`)
	require.Equal(t, map[string]int64{"not in JSON": 2}, b.Stats().Sinks[0].Drops)
	b.Gauge("ratio").Set(0.5)
	require.NoError(t, b.Close())
	for i := range 1500 {
		require.Equal(t, 1, strings.Count(written.String(), fmt.Sprintf(`"fine%d."`, i)))
	}
	require.Contains(t, written.String(), `"ratio"`)
	require.NotContains(t, written.String(), `"limit"`)
}

// An answeringExporter answers as the function says, and adds up what it has taken.
type answeringExporter struct {
	sdk.Exporter
	answer  func([]metricdata.Metrics) error
	exports int
	taken   map[string]int64
}

func (*answeringExporter) Shutdown(context.Context) error { return nil }

func (e *answeringExporter) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	e.exports++
	list := rm.ScopeMetrics[0].Metrics
	if err := e.answer(list); err != nil {
		return fmt.Errorf("failed to upload metrics: %w", errors.Join(nil, err))
	}
	for _, m := range list {
		sum, _ := m.Data.(metricdata.Sum[int64])
		for _, p := range sum.DataPoints {
			e.taken[m.Name] += p.Value
		}
	}
	return nil
}

// Each increment is exported once, counted as dropped or pending, in whichever order the answers come.
func TestConservationUnderRefusals(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		exporter := &answeringExporter{taken: make(map[string]int64)}
		exporter.answer = func(list []metricdata.Metrics) error {
			if random.IntN(10) == 0 {
				return status.Error(codes.Unavailable, "later")
			}
			if len(list) > 100 {
				return status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 8)")
			}
			for _, m := range list {
				if strings.HasPrefix(m.Name, "bad") {
					return status.Error(codes.InvalidArgument, "no")
				}
			}
			return nil
		}
		b := metricsbuffer.Must(metricsbuffer.New(
			metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(0)),
			metricsbuffer.WithErrorHandler(func(error) {})))
		recorded, bad := make(map[string]int64), int64(0)
		for range 10 {
			for range 300 {
				name, n := fmt.Sprint("fine", random.IntN(700)), int64(1+random.IntN(9))
				if random.IntN(100) == 0 {
					name = fmt.Sprint("bad", random.IntN(9))
					bad += n
				} else {
					recorded[name] += n
				}
				b.IncrCounter(name, n)
			}
			_ = b.Flush(t.Context())
		}
		require.Eventually(t, func() bool {
			_ = b.Flush(t.Context())
			return b.Stats().Sinks[0].Pending.Increments == 0
		}, 10*time.Second, time.Millisecond)
		require.Equal(t, recorded, exporter.taken, "seed %d", seed)
		require.Equal(t, bad, b.Stats().Sinks[0].Dropped.Increments, "seed %d", seed)
		require.NoError(t, b.Close())
	}
}

// After an answer that is not about the content of the request, the points wait, and the request is not halved.
func TestAnswersNotAboutTheContent(t *testing.T) {
	throttled, err := status.New(codes.ResourceExhausted, "message larger than max").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1)})
	require.NoError(t, err)
	for _, answer := range []error{
		status.Error(codes.Unavailable, "too large"),
		status.Error(codes.DeadlineExceeded, "too large"),
		status.Error(codes.Unauthenticated, "too large"),
		status.Error(codes.ResourceExhausted, "the quota is used up"),
		throttled.Err(),
		errors.New(`Post "http://x": request body too large: 400`),
		errors.New("retry-able request failure: body: failed to send metrics to http://x: 400 Bad Request"),
		errors.New("failed to send metrics to http://x: 401 Unauthorized (body: 400 )"),
		errors.New("failed to send metrics to http://x: 500 Internal Server Error (body: http://x: 400 )"),
		context.DeadlineExceeded,
	} {
		exporter := &answeringExporter{answer: func([]metricdata.Metrics) error { return answer }}
		batch := second(counter("a", 1), counter("b", 2))
		require.ErrorIs(t, newSink(t, exporter).Write(t.Context(), batch), answer)
		require.Equal(t, 1, exporter.exports, "%v", answer)
		require.Zero(t, batch.Acknowledged())
		_, dropped := batch.Dropped(0)
		require.False(t, dropped, "%v", answer)
	}
}

// If a server calls each request invalid, as VictoriaMetrics does for a wrong path, no point is lost. The buffer
// delivers them once the configuration is mended.
func TestEachRequestIsInvalid(t *testing.T) {
	for name, startReceiver := range transports {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := startReceiver(t)
			receiver.refuse = func(*collector.ExportMetricsServiceRequest) error {
				return status.Error(codes.InvalidArgument, "unsupported path requested")
			}
			b := metricsbuffer.Must(metricsbuffer.New(
				metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(0))))
			for i := range 100 {
				b.IncrCounter(fmt.Sprint("c", i), 1)
			}
			require.ErrorContains(t, b.Flush(t.Context()), "unsupported path requested")
			require.EqualValues(t, 100, b.Stats().Sinks[0].Pending.Increments)
			require.Empty(t, b.Stats().Sinks[0].Drops)
			require.Equal(t, 2, receiver.exports)
			receiver.refuse = nil
			require.NoError(t, b.Close())
			require.Len(t, receiver.totals, 100)
		})
	}
}

// A jostledExporter notices exports at the same time.
type jostledExporter struct {
	sdk.Exporter
	inside, met atomic.Int64
}

func (*jostledExporter) Shutdown(context.Context) error { return nil }

func (e *jostledExporter) Export(context.Context, *metricdata.ResourceMetrics) error {
	if e.inside.Add(1) > 1 {
		e.met.Add(1)
	}
	time.Sleep(time.Millisecond)
	e.inside.Add(-1)
	return nil
}

// TestTwoBuffersExportInTurn: exporters are not safe for concurrent use.
func TestTwoBuffersExportInTurn(t *testing.T) {
	exporter := new(jostledExporter)
	sink := newSink(t, exporter)
	var writers sync.WaitGroup
	for range 2 {
		b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink))
		require.NoError(t, err)
		writers.Go(func() {
			for range 20 {
				b.IncrCounter("requests", 1)
				if err := b.Flush(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
		defer func() { _ = b.Close() }()
	}
	writers.Wait()
	require.Zero(t, exporter.met.Load())
}
