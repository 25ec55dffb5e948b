package losses

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/puzpuzpuz/xsync/v4"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"
)

func TestPrometheusDeletedWhileHeld(t *testing.T) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests"}, []string{"topic"})
	held := requests.WithLabelValues("events")
	requests.DeleteLabelValues("events") // because it has been idle, say
	held.Inc()
	require.Zero(t, testutil.ToFloat64(requests.WithLabelValues("events")))
}

// In a program another goroutine counts between the two calls. Here the same one does, so that the loss shows every
// time.
func TestGoMetricsCountAndClear(t *testing.T) {
	requests := metrics.NewCounter()
	requests.Inc(1)
	reported := requests.Count()
	requests.Inc(1) // by another goroutine
	requests.Clear()
	reported += requests.Count()
	require.EqualValues(t, 1, reported, "of 2")
}

func TestXsyncValueAndReset(t *testing.T) {
	requests := xsync.NewCounter()
	requests.Inc()
	reported := requests.Value()
	requests.Inc() // by another goroutine
	requests.Reset()
	reported += requests.Value()
	require.EqualValues(t, 1, reported, "of 2")
}
