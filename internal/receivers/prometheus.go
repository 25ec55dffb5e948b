package receivers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Prometheus is a running Prometheus. It scrapes one address ten times a second, and stores native histograms and
// exemplars.
type Prometheus struct {
	process
	url string
}

// StartPrometheus starts the Prometheus that METRICSBUFFER_PROMETHEUS names, or else the one in PATH. It is killed when
// the test ends. It scrapes http://target/metrics.
func StartPrometheus(t testing.TB, target string) *Prometheus {
	t.Helper()
	binary := find(t, "METRICSBUFFER_PROMETHEUS", "prometheus")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"scrape_configs: [{job_name: test, scrape_interval: 100ms, scrape_timeout: 100ms, "+
			"static_configs: [{targets: [%q]}]}]\n", target), 0o600))
	web := freeAddress(t)
	p := &Prometheus{url: "http://" + web}
	p.process = process{t: t, argv: []string{
		binary, "--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + web, "--enable-feature=native-histograms,exemplar-storage",
	}, ready: func() bool {
		response, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}}
	t.Cleanup(p.Stop)
	p.Start()
	return p
}

// Query returns the values of an instant query. The keys are the series' labels as JSON, without job and instance.
func (p *Prometheus) Query(query string) map[string]float64 {
	p.t.Helper()
	response, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(query))
	require.NoError(p.t, err)
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // time and value
			}
		}
	}
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Empty(p.t, answer.Error)
	values := make(map[string]float64)
	for _, result := range answer.Data.Result {
		delete(result.Metric, "instance")
		delete(result.Metric, "job")
		labels, err := json.Marshal(result.Metric) // sorted by key
		require.NoError(p.t, err)
		value, err := strconv.ParseFloat(fmt.Sprint(result.Value[1]), 64)
		require.NoError(p.t, err)
		values[string(labels)] = value
	}
	return values
}

// Exemplars returns the values of the exemplars of the series that a query names, by their labels as JSON.
func (p *Prometheus) Exemplars(query string) map[string]float64 {
	p.t.Helper()
	now := time.Now().Unix()
	response, err := http.Get(fmt.Sprintf("%s/api/v1/query_exemplars?query=%s&start=%d&end=%d",
		p.url, url.QueryEscape(query), now-3600, now+60))
	require.NoError(p.t, err)
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  []struct {
			Exemplars []struct {
				Labels map[string]string
				Value  string
			}
		}
	}
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Empty(p.t, answer.Error)
	values := make(map[string]float64)
	for _, series := range answer.Data {
		for _, e := range series.Exemplars {
			labels, err := json.Marshal(e.Labels) // sorted by key
			require.NoError(p.t, err)
			values[string(labels)], err = strconv.ParseFloat(e.Value, 64)
			require.NoError(p.t, err)
		}
	}
	return values
}

// Promtool returns the path of promtool: METRICSBUFFER_PROMTOOL, or else the one in PATH.
func Promtool(t testing.TB) string {
	t.Helper()
	return find(t, "METRICSBUFFER_PROMTOOL", "promtool")
}

// find returns the path of a program. It skips the test if there is none.
func find(t testing.TB, variable, program string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		var err error
		if path, err = exec.LookPath(program); err != nil {
			t.Skipf("%s does not name %s, and PATH has none%s", variable, program, howToInstall)
		}
	}
	return path
}
