// Package e2e tests that one buffer serves all sinks at the same time. Each receiver ends with the same totals, and
// writers do not become slower. It is a module of its own because of the sinks' dependencies.
package e2e

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A total is a value that a receiver must have in the end.
type total struct {
	name  string
	label string // the value of the tag "label"; "" if there is none
	part  string // "", or "count" or "sum" of a timer or histogram
	value float64
}

// TestAllSinks records millions of updates from many goroutines. Every sink has an interval of its own, and one
// receiver is stopped for a while. In the end all receivers have the recorded totals.
func TestAllSinks(t *testing.T) {
	endpoints := startAll(t)
	buffer, err := metricsbuffer.New(options(endpoints, 7*time.Millisecond)...)
	require.NoError(t, err)
	crowd := startCrowd(buffer)
	batches := func() (all []int64) {
		for _, sink := range buffer.Stats().Sinks {
			all = append(all, sink.Batches)
		}
		return all
	}
	everySinkDelivers := func(but int) {
		t.Helper()
		before := batches()
		require.Eventually(t, func() bool {
			for i, now := range batches() {
				if i != but && now < before[i]+3 {
					return false
				}
			}
			return true
		}, time.Minute, 10*time.Millisecond, "some sink does not deliver")
	}

	everySinkDelivers(-1)
	endpoints.otlp.stop()
	require.Eventually(t, func() bool { return buffer.Stats().Sinks[endpoints.stoppable].Failures > 0 },
		time.Minute, 10*time.Millisecond)
	everySinkDelivers(endpoints.stoppable)
	endpoints.otlp.start()
	everySinkDelivers(-1)

	want := crowd.stop()
	require.Eventually(t, func() bool { return buffer.Flush(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	requireTotals(t, endpoints, want)
	require.NoError(t, buffer.Close())
	requireTotals(t, endpoints, want)

	stats := buffer.Stats()
	t.Logf("recorded %+v", stats.Recorded)
	for i, sink := range stats.Sinks {
		t.Logf("%-60s %5d batches, %3d failures", sink.Name, sink.Batches, sink.Failures)
		require.Zero(t, sink.Pending, sink.Name)
		if endpoints.list[i].counts(total{name: "size", part: "count"}) {
			require.Equal(t, stats.Recorded, sink.Acknowledged, sink.Name)
		} else {
			require.Equal(t, stats.Recorded.Observations, sink.Acknowledged.Observations+sink.Dropped.Observations, sink.Name)
		}
	}
}

// A crowd is a group of goroutines that record until they are stopped, but at least millions of times.
type crowd struct {
	buffer  *metricsbuffer.Buffer
	stopped atomic.Bool
	writers sync.WaitGroup
	mu      sync.Mutex
	totals  map[total]float64 // without values
}

func startCrowd(buffer *metricsbuffer.Buffer) *crowd {
	const writers, atLeast = 16, 100_000
	c := &crowd{buffer: buffer, totals: make(map[total]float64)}
	for w := range writers {
		c.writers.Go(func() {
			label := fmt.Sprint(w % 5)
			tag := metricsbuffer.Tag{Key: "label", Value: label}
			plain := buffer.Counter("plain")
			latency := buffer.Timer("latency", tag)
			size := buffer.Histogram("size", "bytes")
			updates, sum := int64(0), int64(0)
			for ; updates < atLeast || !c.stopped.Load(); updates++ {
				plain.Inc()
				buffer.IncrCounter("jobs", 2, tag)
				latency.Observe(time.Duration(updates))
				size.Observe(updates)
				sum += updates
				if updates%1024 == 0 {
					runtime.Gosched() // there are more writers than processors: others need not wait for a preemption
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.totals[total{name: "plain"}] += float64(updates)
			c.totals[total{name: "jobs", label: label}] += 2 * float64(updates)
			c.totals[total{name: "latency", label: label, part: "count"}] += float64(updates)
			c.totals[total{name: "latency", label: label, part: "sum"}] += float64(sum)
			c.totals[total{name: "size", part: "count"}] += float64(updates)
			c.totals[total{name: "size", part: "sum"}] += float64(sum)
		})
	}
	return c
}

// stop ends the crowd and returns the recorded totals.
func (c *crowd) stop() (all []total) {
	c.stopped.Store(true)
	c.writers.Wait()
	c.buffer.SetGauge("depth", 42.5)
	c.totals[total{name: "depth"}] = 42.5
	for series, value := range c.totals {
		series.value = value
		all = append(all, series)
	}
	return all
}

// requireTotals waits until each receiver has exactly the wanted totals, except those that it cannot take.
func requireTotals(t *testing.T, endpoints *endpoints, want []total) {
	t.Helper()
	for _, endpoint := range endpoints.list {
		var wrong string
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			wrong = ""
			got := endpoint.read()
			for _, w := range want {
				if value := got[endpoint.call(w)]; endpoint.counts(w) && value != w.value {
					wrong += fmt.Sprintf("%s is %.3f, not %.3f\n", endpoint.call(w), value, w.value)
				}
			}
			if wrong == "" {
				break
			}
		}
		require.Empty(t, wrong, endpoint.name)
	}
}
