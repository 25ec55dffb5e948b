package main

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// A served is a route and the status of its answer.
type served struct{ route, status string }

// All ways count the same requests by route and status, and time them.
func TestWaysCountTheSame(t *testing.T) {
	want := map[served]uint64{
		{"/orders/{id}", "200"}: 3, {"/orders/{id}", "500"}: 1, {"/healthz", "200"}: 1, {"/", "404"}: 2,
	}
	for name, labels := range map[string]struct{ route, status string }{
		"metricsbuffer":   {"http_route", "http_response_status_code"},
		"client_golang":   {"route", "code"},
		"VictoriaMetrics": {"route", "code"},
	} {
		t.Run(name, func(t *testing.T) {
			handler, stop := ways[name](routes())
			server := httptest.NewServer(handler)
			defer server.Close()
			for _, path := range []string{
				"/orders/1", "/orders/2", "/orders/3", "/orders/lost", "/healthz", "/nowhere", "/favicon.ico",
			} {
				get(t, server.URL+path)
			}
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(get(t, server.URL+"/metrics")))
			require.NoError(t, err)
			got, seconds := make(map[served]uint64), 0.
			each(families, func(m *dto.Metric, count uint64, sum float64) {
				var of served
				for _, label := range m.GetLabel() {
					switch label.GetName() {
					case labels.route:
						of.route = label.GetValue()
					case labels.status:
						of.status = label.GetValue()
					}
				}
				got[of] += count
				seconds += sum
			})
			require.Equal(t, want, got)
			require.Positive(t, seconds)
			require.NoError(t, stop())
		})
	}
}

// each calls do with the count and the sum of each series of durations. The pages of VictoriaMetrics have no types:
// there they are series of their own.
func each(families map[string]*dto.MetricFamily, do func(m *dto.Metric, count uint64, sum float64)) {
	const name = "http_server_request_duration_seconds"
	for _, m := range families[name].GetMetric() {
		do(m, m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum())
	}
	for _, m := range families[name+"_count"].GetMetric() {
		do(m, uint64(m.GetUntyped().GetValue()), 0)
	}
	for _, m := range families[name+"_sum"].GetMetric() {
		do(m, 0, m.GetUntyped().GetValue())
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return body
}

// Without a port in the address no server starts.
func TestWrongArguments(t *testing.T) {
	noWay := "there is no way %q: the ways are VictoriaMetrics, client_golang, metricsbuffer, nothing"
	for want, args := range map[string][]string{
		`unexpected argument "surplus": -h shows the options`: {"surplus"},
		`unexpected argument "nothing": -h shows the options`: {"-with", "nothing", "nothing"},
		fmt.Sprintf(noWay, ""):                                {"-with", ""},
		fmt.Sprintf(noWay, "surplus"):                         {"-with=surplus"},
	} {
		require.EqualError(t, serve(append([]string{"-listen", "nowhere"}, args...)), want)
	}
}

// The imports are among the lines.
func TestFewLines(t *testing.T) {
	beyond := func(file string) int { return lines(t, file) - lines(t, "plain.go") }
	ours, client, victoria := beyond("metricsbuffer.go"), beyond("clientgolang.go"), beyond("victoriametrics.go")
	t.Logf("lines beyond net/http: metricsbuffer %d, client_golang %d, VictoriaMetrics %d", ours, client, victoria)
	require.LessOrEqual(t, ours, 15)
	require.Less(t, ours, min(client, victoria))
}

// lines counts the lines with code.
func lines(t *testing.T, file string) int {
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	var code scanner.Scanner
	files, at := token.NewFileSet(), make(map[int]bool)
	of := files.AddFile(file, -1, len(source))
	code.Init(of, source, nil, 0) // without comments
	for {
		position, tok, _ := code.Scan()
		if tok == token.EOF {
			return len(at)
		}
		at[of.Line(position)] = true
	}
}
