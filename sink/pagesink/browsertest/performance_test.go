package browsertest

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

var figures = flag.Bool("figures", false, "fail if 10,000 series are slower than promised; for an idle machine")

// The page stays fluent with 10,000 series that all change each second. The test prints the figures.
func TestManySeries(t *testing.T) {
	const series = 10_000
	l := open(t, 1280, 800)
	counters := make([]*metricsbuffer.Counter, series/2)
	timers := make([]*metricsbuffer.Timer, series/2)
	for i := range counters {
		tags := []metricsbuffer.Tag{{Key: "route", Value: fmt.Sprint("/api/v1/orders/", i)}, {Key: "status", Value: "200"}}
		counters[i] = l.buffer.Counter("http.server.requests", tags...)
		timers[i] = l.buffer.Timer("http.server.duration", tags...)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			for i := range counters {
				counters[i].Add(int64(i%10) + 1)
				timers[i].Observe(time.Duration(i%1000+n) * 10 * time.Microsecond)
				timers[i].Observe(time.Duration(i%100+1) * time.Millisecond)
			}
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	defer func() { close(stop); <-stopped }()

	l.start()
	paint := read[float64](l, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	l.until(`document.getElementById("shown").textContent === "10,000 series"`)
	loaded := read[float64](l, `performance.now()`)
	first := read[[][2]float64](l, `longTasks`)
	l.eval(`longTasks.length = 0`)

	// While it updates: nothing, then sorted by a figure, with charts open, and scrolled through.
	watch := 3 * time.Second
	time.Sleep(watch)
	quiet := read[[][2]float64](l, `longTasks.splice(0)`)
	l.click("#head .rate button")
	l.click(".row")
	time.Sleep(watch)
	sorted := read[[][2]float64](l, `longTasks.splice(0)`)
	l.eval(`(() => { const step = () => { grid.scrollTop += 400; window.steps = (window.steps ?? 0) + 1;
		if (window.steps < 120) requestAnimationFrame(step); }; step(); })()`)
	l.until(`window.steps === 120`)
	scrolled := read[[][2]float64](l, `longTasks.splice(0)`)
	rows := read[int](l, `document.querySelectorAll(".row").length`)
	require.Less(t, rows, 60, "only the rows in sight are in the document")

	t.Logf("%d series: first paint after %.0f ms, all rows after at most %.0f ms; longest task at the begin %.0f ms, "+
		"while updating %.0f ms, sorted by rate with charts %.0f ms, scrolling %.0f ms (0: less than 50 ms); "+
		"%d rows in the document, memory of the scripts %.0f MB",
		series, paint, loaded, longest(first), longest(quiet), longest(sorted), longest(scrolled), rows,
		read[float64](l, `performance.memory.usedJSHeapSize / 1e6`))
	if *figures {
		require.Less(t, paint, 1000.)
		require.Less(t, max(longest(quiet), longest(sorted), longest(scrolled)), 100.)
	}
	l.shoot("many")
	l.clean()
}

func longest(tasks [][2]float64) (most float64) {
	for _, task := range tasks {
		most = max(most, task[1])
	}
	return most
}
