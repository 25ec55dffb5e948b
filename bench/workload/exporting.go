package workload

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

// exporting returns the workloads that flush, collect or scrape.
func exporting() []Workload {
	return []Workload{{
		Name: "export-all", Title: "Export, every series touched", Main: "ms", Once: true,
		Description: "One report of 100,000 counters (20,000 with -quick) to text in memory, all of them " +
			"incremented since the last.",
		run: func(c contender.Contender, s Setting) (Values, error) { return export(c, s, 1) },
	}, {
		Name: "export-1%", Title: "Export, 1 % of the series touched", Main: "ms", Once: true,
		Description: "The same when only every hundredth was incremented since the last report. Libraries that " +
			"export totals write all of them again.",
		run: func(c contender.Contender, s Setting) (Values, error) { return export(c, s, 100) },
	}, {
		Name: "page-all", Title: "A page for Prometheus, every series touched", Main: "ms", Needs: "page", Once: true,
		Description: "One page of 100,000 counters (20,000 with -quick) in the classic text format, uncompressed, all of " +
			"them incremented since the last. They have one name, and differ by a label.",
		run: func(c contender.Contender, s Setting) (Values, error) { return page(c, s, true) },
	}, {
		Name: "page-idle", Title: "A page for Prometheus, no series touched", Main: "ms", Needs: "page", Once: true,
		Description: "The same when nothing was incremented since the last.",
		run:         func(c contender.Contender, s Setting) (Values, error) { return page(c, s, false) },
	}, {
		Name: "flush", Title: "A flush while others run", Main: "µs",
		Description: "One report of a single counter while every goroutine but the one that reports increments " +
			"it. It is the cost of a flush by itself.",
		run: flush,
	}}
}

// export measures a report of which one in every so many series was touched.
func export(c contender.Contender, s Setting, every int) (Values, error) {
	instance, err := c.Open(nil)
	if err != nil {
		return nil, err
	}
	loop, orders := instance.Counters(names(s.Series)), everything(s.CPU, s.Series)
	through(loop, orders)
	if c.OpenPeriodic == nil { // else there is only one: when it is closed
		if err := instance.Export(io.Discard); err != nil {
			return nil, err
		}
		var touched []uint32
		for i := 0; i < s.Series; i += every {
			touched = append(touched, uint32(i))
		}
		through(loop, repeat(touched, s.CPU))
	}
	var text counting
	begin := time.Now()
	err = instance.Export(&text)
	elapsed := time.Since(begin)
	if err != nil {
		return nil, err
	}
	return Values{"ms": elapsed.Seconds() * 1e3, "MB": float64(text.bytes) / 1e6}, instance.Close()
}

// page measures the second page that is asked for, the first of which writes out all series.
func page(c contender.Contender, s Setting, touched bool) (Values, error) {
	instance, offered, err := open[contender.Page](c)
	if err != nil {
		return nil, err
	}
	loop, handler := offered.Page(names(s.Series))
	orders := everything(s.CPU, s.Series)
	request, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, errors.Join(err, instance.Close())
	}
	through(loop, orders)
	handler.ServeHTTP(&client{header: make(http.Header)}, request)
	if touched {
		through(loop, orders)
	}
	runtime.GC() // the garbage of the first page
	text := client{header: make(http.Header)}
	begin := time.Now()
	handler.ServeHTTP(&text, request)
	elapsed := time.Since(begin)
	if text.status >= http.StatusBadRequest {
		err = fmt.Errorf("the page has the status %d", text.status)
	}
	return Values{"ms": elapsed.Seconds() * 1e3, "MB": float64(text.bytes) / 1e6}, errors.Join(err, instance.Close())
}

// A client takes a page and counts its bytes.
type client struct {
	counting
	header http.Header
	status int
}

func (c *client) Header() http.Header    { return c.header }
func (c *client) WriteHeader(status int) { c.status = status }

// counting counts the bytes that are written to it.
type counting struct{ bytes int }

func (c *counting) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}

func flush(c contender.Contender, s Setting) (Values, error) {
	instance, err := c.Open(nil)
	if err != nil {
		return nil, err
	}
	loop := instance.Counters(names(1))
	loop(0, []uint32{0})
	stop := background(loop, s.CPU-1)
	begin, flushes := time.Now(), 0
	for ; time.Since(begin) < s.Duration && err == nil; flushes++ {
		err = instance.Export(io.Discard)
	}
	elapsed := time.Since(begin)
	stop()
	if err != nil {
		return nil, err
	}
	return Values{"µs": elapsed.Seconds() * 1e6 / float64(flushes)}, instance.Close()
}

// background has workers increment series 0 until they are stopped. Worker 0 is left to the caller.
func background(loop contender.Loop, workers int) (stop func()) {
	stopping, done := make(chan struct{}), make(chan struct{})
	for worker := 1; worker <= workers; worker++ {
		go func() {
			order := make([]uint32, chunk)
			for {
				select {
				case <-stopping:
					done <- struct{}{}
					return
				default:
					loop(worker, order)
				}
			}
		}()
	}
	return func() {
		close(stopping)
		for range workers {
			<-done
		}
	}
}
