package scrape_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	victoria "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
)

const series = 100_000

// A contender is a page of counters: one name, with a label.
type contender struct {
	name  string
	touch func() // counts in every series
	page  http.Handler
}

func contenders(b testing.TB) []contender {
	queues := make([]string, series)
	for i := range queues {
		queues[i] = "queue-" + strconv.Itoa(i)
	}

	sink, err := openmetricssink.New()
	require.NoError(b, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink), metricsbuffer.WithMaxSeries(2*series))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, buffer.Close()) })

	registry := prometheus.NewRegistry()
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_done_total", Help: "The jobs."}, []string{"queue"})
	registry.MustRegister(vec)

	set := victoria.NewSet()

	ours, theirs, victorias := make([]*metricsbuffer.Counter, series), make([]prometheus.Counter, series),
		make([]*victoria.Counter, series)
	for i, queue := range queues {
		ours[i] = buffer.Counter("jobs.done", metricsbuffer.Tag{Key: "queue", Value: queue})
		theirs[i] = vec.WithLabelValues(queue)
		victorias[i] = set.NewCounter(fmt.Sprintf("jobs_done_total{queue=%q}", queue))
	}
	return []contender{
		{"metricsbuffer", func() {
			for _, c := range ours {
				c.Inc()
			}
		}, sink},
		{"client_golang", func() {
			for _, c := range theirs {
				c.Inc()
			}
		}, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})},
		{"VictoriaMetrics", func() {
			for _, c := range victorias {
				c.Inc()
			}
		}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { set.WritePrometheus(w) })},
	}
}

// A discard is a client that takes everything.
type discard struct {
	header http.Header
	n      int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(p []byte) (int, error) {
	d.n += len(p)
	return len(p), nil
}

// Each page is asked for in turn, in the classic text format, without compression. The medians are in nanoseconds per
// series. Idle: nothing was counted since the last scrape. Touched: every series was.
func BenchmarkScrape(b *testing.B) {
	all := contenders(b)
	for _, c := range all {
		c.touch()
		recorder := httptest.NewRecorder()
		c.page.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		require.Contains(b, recorder.Body.String(), `jobs_done_total{queue="queue-99999"} 1`+"\n", c.name)
	}
	for _, touched := range []bool{false, true} {
		b.Run(map[bool]string{false: "idle", true: "touched"}[touched], func(b *testing.B) {
			took := make(map[string][]time.Duration)
			for b.Loop() {
				for _, c := range all {
					if touched {
						c.touch()
					}
					runtime.GC() // nobody pays for another's garbage
					client := &discard{header: make(http.Header)}
					request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
					begin := time.Now()
					c.page.ServeHTTP(client, request)
					took[c.name] = append(took[c.name], time.Since(begin))
					require.Greater(b, client.n, 30*series)
				}
			}
			median := func(name string) float64 {
				slices.Sort(took[name])
				return float64(took[name][len(took[name])/2].Nanoseconds()) / series
			}
			for _, c := range all {
				b.ReportMetric(median(c.name), c.name+"-ns/series")
			}
			b.ReportMetric(median("metricsbuffer")/median("client_golang"), "of-client_golang")
			b.ReportMetric(median("metricsbuffer")/median("VictoriaMetrics"), "of-VictoriaMetrics")
			b.ReportMetric(0, "ns/op")
		})
	}
}
