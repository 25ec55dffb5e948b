package metricstest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
)

// Each failure shows the wanted and the recorded values.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name   string
		do     func(t testing.TB, buffer *metricsbuffer.Buffer)
		output string
	}{
		{"misspelt counter", func(t testing.TB, buffer *metricsbuffer.Buffer) {
			metricstest.Count(t, buffer, "request", tag("route", "/a"))
			t.Errorf("not reached")
		}, "metricstest: counter request{route=/a} was not recorded; of 6 series, the nearest: " +
			"counter requests{route=/a,status=200}, counter requests{route=/a,status=500}"},
		{"another kind", func(t testing.TB, buffer *metricsbuffer.Buffer) { metricstest.Gauge(t, buffer, "latency") },
			"metricstest: gauge latency was not recorded; of 6 series, the nearest: timer latency"},
		{"another unit", func(t testing.TB, buffer *metricsbuffer.Buffer) {
			metricstest.Histogram(t, buffer, "size", "byte")
		},
			"metricstest: histogram size[byte] was not recorded; of 6 series, the nearest: " +
				"histogram size[bytes], histogram size[rows]"},
		{"no such timer", func(t testing.TB, buffer *metricsbuffer.Buffer) { metricstest.Timer(t, buffer, "x") },
			"metricstest: timer x was not recorded; of 6 series, none with a similar name: timer latency, gauge queue, " +
				"counter requests{route=/a,status=200}, counter requests{route=/a,status=500}, histogram size[bytes], …"},
		{"nil buffer", func(t testing.TB, _ *metricsbuffer.Buffer) { metricstest.Count(t, nil, "x") },
			"metricstest: the buffer is nil: make one with metricstest.New"},
		{"foreign buffer", func(t testing.TB, _ *metricsbuffer.Buffer) {
			metricstest.Count(t, new(metricsbuffer.Buffer), "x")
		},
			"metricstest: the buffer is not one of metricstest.New, or its test is over: make one by metricstest.New(t)"},
		{"Equal", func(t testing.TB, buffer *metricsbuffer.Buffer) {
			metricstest.Equal(t, buffer, `
				counter requests{route=/a,status=200} 3
				counter errors 1
				gauge queue 2.5
				timer latency 2
				histogram size[bytes] 1`)
		}, `metricstest: the recorded series are not the wanted ones (- wanted, + recorded):
	- counter errors 1
	- counter requests{route=/a,status=200} 3
	+ counter requests{route=/a,status=200} 2
	+ counter requests{route=/a,status=500} 1
	  gauge queue 2.5
	  histogram size[bytes] 1
	+ histogram size[rows] 1
	  timer latency 2
`},
		{"Contains", func(t testing.TB, buffer *metricsbuffer.Buffer) {
			metricstest.Contains(t, buffer, "timer latency 3")
		}, `metricstest: a wanted line was not recorded (- wanted, + recorded):
	  counter requests{route=/a,status=200} 2
	  counter requests{route=/a,status=500} 1
	  gauge queue 2.5
	  histogram size[bytes] 1
	  histogram size[rows] 1
	- timer latency 3
	+ timer latency 2
`},
		{"Contains without a kind", func(t testing.TB, buffer *metricsbuffer.Buffer) {
			metricstest.Contains(t, buffer, "latency 2")
		}, `metricstest: the wanted line "latency 2" does not begin with counter, timer, gauge or histogram: ` +
			`write it like counter requests{status=200} 3metricstest: a wanted line was not recorded (- wanted, + recorded):
	  counter requests{route=/a,status=200} 2
	  counter requests{route=/a,status=500} 1
	  gauge queue 2.5
	  histogram size[bytes] 1
	  histogram size[rows] 1
	- latency 2
	  timer latency 2
`},
		{"Contains zero", func(t testing.TB, buffer *metricsbuffer.Buffer) {
			metricstest.Contains(t, buffer, "counter errors 0")
		}, `metricstest: a wanted line was not recorded (- wanted, + recorded):
	- counter errors 0
	  counter requests{route=/a,status=200} 2
	  counter requests{route=/a,status=500} 1
	  gauge queue 2.5
	  histogram size[bytes] 1
	  histogram size[rows] 1
	  timer latency 2
`},
		{"Contains nothing", func(t testing.TB, buffer *metricsbuffer.Buffer) { metricstest.Contains(t, buffer, "\n") },
			"metricstest: Contains was given no line"},
		{"None", func(t testing.TB, buffer *metricsbuffer.Buffer) { metricstest.None(t, buffer, "requests") },
			`metricstest: nothing was to be recorded as "requests" (+ recorded):
	+ counter requests{route=/a,status=200} 2
	+ counter requests{route=/a,status=500} 1
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.output, outputOf(func(t testing.TB) {
				buffer := metricstest.New(t)
				record(buffer)
				test.do(t, buffer)
			}))
		})
	}
}

// Nothing recorded is a state of its own.
func TestNothingRecorded(t *testing.T) {
	buffer := metricstest.New(t)
	metricstest.Equal(t, buffer, "")
	metricstest.None(t, buffer, "anything")
	require.Equal(t, "metricstest: nothing was recorded in the buffer",
		outputOf(func(t testing.TB) { metricstest.Count(t, metricstest.New(t), "c") }))
}

// A diff of a large test shows the differences only.
func TestManySeries(t *testing.T) {
	buffer := metricstest.New(t)
	var lines strings.Builder
	for i := range 100 {
		buffer.IncrCounter("c", 1, tag("i", fmt.Sprint(i)))
		fmt.Fprintf(&lines, "counter c{i=%d} 1\n", i)
	}
	buffer.IncrCounter("c", 1, tag("i", "50"))
	require.Equal(t, `metricstest: the recorded series are not the wanted ones (- wanted, + recorded):
	- counter c{i=50} 1
	+ counter c{i=50} 2
	  … and 99 series without a difference
`, outputOf(func(t2 testing.TB) { metricstest.Equal(t2, buffer, lines.String()) }))
}

// Hostile names keep to their line.
func TestHostileNames(t *testing.T) {
	buffer := metricstest.New(t)
	buffer.IncrCounter("c\ncounter d 1", 1, tag("", "\x1b[2J"))
	metricstest.Equal(t, buffer, `counter "c\ncounter d 1"{""="\x1b[2J"} 1`)
}
