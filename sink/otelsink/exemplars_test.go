package otelsink_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/metricsbuffer/metricsbuffer"
)

// exemplarsOf returns the exemplars of the latest exported point of a histogram.
func exemplarsOf(r *receiver, name string) (latest []*otlp.Exemplar) {
	for _, m := range metricsOf(r.exported()) {
		for _, p := range m.GetExponentialHistogram().GetDataPoints() {
			if m.Name == name {
				latest = p.Exemplars
			}
		}
	}
	return latest
}

// Exemplars arrive with their ids, value and time: from a Sink those of the batch, from a Producer the latest ones.
func TestExemplars(t *testing.T) {
	receiver, exporter := startGRPC(t)
	reader, readExporter := startGRPC(t)
	producer := newProducer(t)
	provider := periodic(readExporter, producer)
	defer func() { _ = provider.Shutdown(t.Context()) }()
	buffer, err := metricsbuffer.New(metricsbuffer.WithInterval(0),
		metricsbuffer.WithSink(newSink(t, exporter)), metricsbuffer.WithSink(producer))
	require.NoError(t, err)
	latency := buffer.Timer("latency")
	begin := time.Now()
	span := metricsbuffer.TraceContext{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3, 7: 4}}
	latency.ObserveExemplar(5, span)
	latency.ObserveExemplar(1000, metricsbuffer.TraceContext{TraceID: span.TraceID})
	require.NoError(t, buffer.Flush(t.Context()))
	got := exemplarsOf(receiver, "latency")
	require.Len(t, got, 2)
	require.Equal(t, span.TraceID[:], got[0].TraceId)
	require.Equal(t, span.SpanID[:], got[0].SpanId)
	require.EqualValues(t, 5, got[0].GetAsInt())
	require.WithinRange(t, time.Unix(0, int64(got[0].TimeUnixNano)), begin.Round(0), time.Now())
	require.Empty(t, got[1].SpanId)
	require.EqualValues(t, 1000, got[1].GetAsInt())

	latency.ObserveExemplar(6, span)
	require.NoError(t, buffer.Close())
	require.NoError(t, provider.ForceFlush(t.Context()))
	got = exemplarsOf(receiver, "latency")
	require.Len(t, got, 1)
	require.EqualValues(t, 6, got[0].GetAsInt())
	got = exemplarsOf(reader, "latency")
	require.Len(t, got, 2)
	require.EqualValues(t, 6, got[0].GetAsInt())
	require.EqualValues(t, 1000, got[1].GetAsInt())
}

// A due is the content of the next point of a timer.
type due struct {
	count     uint64
	sum       int64
	exemplars map[int]string // by octave
}

func (d *due) observe(v int64) {
	d.count++
	d.sum += v
}

// keep says that the exemplar is the latest one of its octave.
func (d *due) keep(v int64, trace, span []byte) {
	if d.exemplars == nil {
		d.exemplars = make(map[int]string)
	}
	d.exemplars[bits.Len64(uint64(v-1))] = fmt.Sprintf("%d %x %x", v, trace, span)
}

// Many timers in many requests, some of which fail: each point has all that was observed since the last point of its
// timer that arrived, and the latest exemplar of each octave.
func TestExemplarsOfManyTimers(t *testing.T) {
	for name, startReceiver := range transports {
		t.Run(name, func(t *testing.T) {
			receiver, exporter := startReceiver(t)
			requests := 0
			receiver.refuse = func(request *collector.ExportMetricsServiceRequest) error {
				switch requests++; {
				case requests%7 == 0:
					return status.Error(codes.Unavailable, "later")
				case proto.Size(request) > 64<<10:
					return status.Error(codes.ResourceExhausted, "grpc: received message larger than max")
				}
				return nil
			}
			b := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithErrorHandler(func(error) {}),
				metricsbuffer.WithSink(newSink(t, exporter), metricsbuffer.SinkInterval(0))))
			timers, dues := make([]*metricsbuffer.Timer, 1000), make(map[string]*due)
			for i := range timers {
				timers[i] = b.Timer(fmt.Sprint("timer", i))
			}
			inPart, merged := 0, 0
			flush := func() error {
				before := len(receiver.exported())
				err := b.Flush(t.Context())
				arrived := 0
				for _, m := range metricsOf(receiver.exported()[before:]) {
					for _, p := range m.GetExponentialHistogram().GetDataPoints() {
						got := due{count: p.Count, sum: int64(p.GetSum())}
						for _, e := range p.Exemplars {
							got.keep(e.GetAsInt(), e.TraceId, e.SpanId)
						}
						require.Len(t, p.Exemplars, len(got.exemplars), "two of one octave")
						require.Equal(t, dues[m.Name], &got, m.Name)
						if got.count > 5 {
							merged++
						}
						delete(dues, m.Name)
						arrived++
					}
				}
				if err != nil && arrived > 0 {
					inPart++
				}
				return err
			}
			recorded := int64(0)
			for round := range int64(6) {
				for i, timer := range timers {
					name := fmt.Sprint("timer", i)
					d := dues[name]
					if d == nil {
						d = new(due)
						dues[name] = d
					}
					for n, octave := range []int64{4 + (int64(i)+round)%8, 20 + (int64(i)*round)%4} {
						var span metricsbuffer.TraceContext
						binary.BigEndian.PutUint64(span.TraceID[:], uint64(i+1))
						binary.BigEndian.PutUint64(span.SpanID[:], uint64(2*round+int64(n)+1))
						kept := int64(1)<<octave - round%3
						timer.ObserveExemplar(time.Duration(kept), span)
						d.observe(kept)
						d.keep(kept, span.TraceID[:], span.SpanID[:])
						span.TraceID[15] = 1 // its octave has an exemplar already
						timer.ObserveExemplar(time.Duration(kept-1), span)
						d.observe(kept - 1)
					}
					timer.Observe(3)
					d.observe(3)
					recorded += 5
				}
				_ = flush()
			}
			for attempt := 0; flush() != nil && attempt < 10; attempt++ { // six of seven requests succeed
			}
			require.Empty(t, slices.Collect(maps.Keys(dues)), "timers with updates that have not arrived")
			require.Positive(t, inPart, "no flush was acknowledged in part")
			require.Positive(t, merged, "no point had the updates of several flushes")
			stats := b.Stats()
			require.Equal(t, recorded, stats.Recorded.Observations)
			require.Equal(t, recorded, stats.Sinks[0].Acknowledged.Observations)
			require.NoError(t, b.Close())
		})
	}
}
