package promsink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
	"github.com/metricsbuffer/metricsbuffer/sink/promsink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// The tests here hold the pages of openmetricssink against client_golang and its parsers, which are no dependencies of
// the root module.

func page(t testing.TB, handler http.Handler, accept expfmt.Format) string {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", string(accept))
	handler.ServeHTTP(answer, request)
	require.Equal(t, http.StatusOK, answer.Code)
	got := answer.Header().Get("Content-Type")
	require.Equal(t, accept.FormatType(), expfmt.Format(got).FormatType(), got)
	return answer.Body.String()
}

// decodeFamilies returns the families of a protobuf page.
func decodeFamilies(page string) (families []*dto.MetricFamily, err error) {
	decoder := expfmt.NewDecoder(strings.NewReader(page), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		family := new(dto.MetricFamily)
		switch err := decoder.Decode(family); {
		case errors.Is(err, io.EOF):
			return families, nil
		case err != nil:
			return nil, err
		}
		slices.SortFunc(family.Metric, func(a, b *dto.Metric) int {
			return slices.CompareFunc(a.Label, b.Label, func(a, b *dto.LabelPair) int {
				return strings.Compare(a.GetName()+"\xff"+a.GetValue(), b.GetName()+"\xff"+b.GetValue())
			})
		})
		families = append(families, family)
	}
}

func TestPageConformsAsProtobuf(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		sink, err := openmetricssink.New()
		require.NoError(t, err)
		return sinktest.Subject{
			Sink: sink,
			Received: func() ([]metricsbuffer.Point, error) {
				families, err := decodeFamilies(page(t, sink, expfmt.NewFormat(expfmt.TypeProtoDelim)))
				if err != nil {
					return nil, err
				}
				return pointsOf(slices.Values(families))
			},
		}
	})
}

// Both sinks serve the same series, samples and buckets in every format, whether the buckets are chosen or not.
func TestPageIsPromsinks(t *testing.T) {
	for _, chosen := range []bool{false, true} {
		var ourOptions []openmetricssink.Option
		var theirOptions []promsink.Option
		if chosen {
			seconds := []float64{1e-6, 0.25, 1}
			ourOptions = append(ourOptions, openmetricssink.WithBuckets("seconds", seconds...),
				openmetricssink.WithBuckets("rows"))
			theirOptions = append(theirOptions, promsink.WithBuckets("seconds", seconds...), promsink.WithBuckets("rows"))
		}
		ours, err := openmetricssink.New(ourOptions...)
		require.NoError(t, err)
		require.NoError(t, ours.Attach(func(context.Context) error { return nil }))
		theirs := detached(t, theirOptions...)
		recorded := recordedBatch(t)
		require.NoError(t, theirs.Write(t.Context(), recorded))
		require.NoError(t, ours.Write(t.Context(), recorded))

		want, err := theirs.Gather()
		require.NoError(t, err)

		got, err := decodeFamilies(page(t, ours, expfmt.NewFormat(expfmt.TypeProtoDelim)))
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i, family := range got {
			if family.GetType() == dto.MetricType_HISTOGRAM && family.Unit != nil {
				require.True(t, strings.HasSuffix(family.GetName(), "_"+family.GetUnit()))
				want[i].Unit = family.Unit // a registry has no units
			}
			require.True(t, proto.Equal(want[i], family), "want %v\ngot %v", want[i], family)
		}

		var text, open bytes.Buffer
		for _, family := range want {
			_, err := expfmt.MetricFamilyToText(&text, family)
			require.NoError(t, err)
			_, err = expfmt.MetricFamilyToOpenMetrics(&open, family, expfmt.WithCreatedLines())
			require.NoError(t, err)
		}
		_, err = expfmt.FinalizeOpenMetrics(&open)
		require.NoError(t, err)
		require.Equal(t, lines(t, text.String()), lines(t, page(t, ours, expfmt.NewFormat(expfmt.TypeTextPlain))))
		require.Equal(t, lines(t, open.String()), lines(t, page(t, ours, expfmt.NewFormat(expfmt.TypeOpenMetrics))))

		parser := expfmt.NewTextParser(model.LegacyValidation)
		parsed, err := parser.TextToMetricFamilies(strings.NewReader(page(t, ours, expfmt.NewFormat(expfmt.TypeTextPlain))))
		require.NoError(t, err)
		require.Len(t, parsed, len(want))
	}
}

// lines returns the lines in order, with their values in one spelling.
func lines(t testing.TB, page string) []string {
	t.Helper()
	all := strings.Split(page, "\n")
	for i, line := range all {
		if end, exemplar, found := strings.Cut(line, "} "); found && strings.Contains(exemplar, " # ") {
			fields := strings.Split(exemplar, " ") // count # {labels} value time
			require.Len(t, fields, 5, line)
			value, err := strconv.ParseFloat(fields[3], 64)
			require.NoError(t, err, line)
			fields[3] = strconv.FormatFloat(value, 'g', 15, 64)
			line = end + "} " + strings.Join(fields, " ")
		}
		if space := strings.LastIndexByte(line, ' '); space > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(line[space+1:], 64)
			require.NoError(t, err, line)
			if value == 0 {
				value = 0 // client_golang has no sign there
			}
			all[i] = line[:space+1] + strconv.FormatFloat(value, 'g', 15, 64)
		}
	}
	slices.Sort(all)
	return all
}

// recordedBatch returns a batch of all kinds, as a buffer delivers it.
func recordedBatch(t testing.TB) *metricsbuffer.Batch {
	t.Helper()
	recorder := new(sinktest.Recorder)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(recorder), metricsbuffer.WithInterval(0))
	require.NoError(t, err)
	for i := range 40 {
		k := tag{Key: "k", Value: strconv.Itoa(i) + "\\\"\n"}
		buffer.IncrCounter("jobs.done", int64(i), k)
		buffer.SetGauge("depth", math.Sqrt(float64(i)), k, tag{Key: "le", Value: "x"})
		for j := range 20 {
			span := metricsbuffer.TraceContext{TraceID: [16]byte{byte(i), 1}, SpanID: [8]byte{byte(j / 2)}}
			buffer.Timer("latency", k, tag{Key: "le", Value: "x"}).ObserveExemplar(1<<(i+j)>>3, span)
			buffer.Histogram("size", "rows", k).ObserveExemplar(int64(j), span)
			buffer.Histogram("size", "rows", k).Observe(int64(j*j*j) << i)
			buffer.Histogram("fan.out", "").Observe(int64(i * j))
		}
	}
	buffer.SetGauge("infinite", math.Inf(1))
	buffer.SetGauge("negative", math.Inf(-1))
	buffer.SetGauge("none", math.Copysign(0, -1))
	buffer.SetGauge("large", 1e300)
	require.NoError(t, buffer.Close())
	batch := recorder.Batches()[0]
	batch.Start = start // client_golang writes times as a float64: others may differ in the last digit
	for _, p := range batch.Points {
		for i := range p.Exemplars {
			p.Exemplars[i].Time = start.Add(time.Duration(i) * time.Second / 8)
		}
	}
	return &batch
}
