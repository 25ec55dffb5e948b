package statsdsink_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/receivers"
)

// A telegraf that is stopped and started again has the exact totals: none lost, none twice. Meanwhile many goroutines
// record millions of updates without a pause.
func TestTelegrafRestarted(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			telegraf := receivers.StartTelegraf(t)
			b := newBuffer(t, network, telegraf.Address, parts)
			crowd := startCrowd(b)
			acknowledged := func() metricsbuffer.Totals { return b.Stats().Sinks[0].Acknowledged }
			deliver := func() { // ten times, and until there was something in it
				before := acknowledged().Observations
				for i := 0; i < 10 || acknowledged().Observations < before+100_000; i++ {
					require.NoError(t, b.Flush(t.Context()))
				}
			}

			deliver()
			// A crash takes along the values that telegraf has in memory only, and no protocol of StatsD can tell. So
			// telegraf gets the time to write them down. Nothing is sent meanwhile: only this goroutine flushes.
			requireIn(t, func() map[string]float64 { return amounts(telegraf.Counters()) }, map[string]float64{
				"increments": float64(acknowledged().Increments), "observations": float64(acknowledged().Observations),
			})
			telegraf.Stop()
			for range 10 {
				require.Error(t, b.Flush(t.Context()))
			}
			telegraf.Start()
			deliver()

			want := crowd.stop()
			require.NoError(t, b.Flush(t.Context()))
			requireIn(t, telegraf.Counters, want)
			require.Empty(t, telegraf.Errors())
			stats := b.Stats()
			require.Equal(t, stats.Recorded, stats.Sinks[0].Acknowledged)
			require.GreaterOrEqual(t, stats.Sinks[0].Failures, int64(10))
		})
	}
}

// A crowd of goroutines records until it is stopped, and millions of times at least.
type crowd struct {
	stopped atomic.Bool
	writers sync.WaitGroup
	mu      sync.Mutex
	done    map[string]float64 // the totals of the goroutines that have ended, by telegraf's names
}

func startCrowd(b *metricsbuffer.Buffer) *crowd {
	const writers, atLeast = 16, 100_000
	c := &crowd{done: make(map[string]float64)}
	for w := range writers {
		c.writers.Go(func() {
			plain := b.Counter("plain")
			latency := b.Timer("callback.latency", tag("writer", fmt.Sprint(w)))
			queue := fmt.Sprint(w % 3)
			updates, total := int64(0), int64(0)
			for ; updates < atLeast || !c.stopped.Load(); updates++ {
				plain.Inc()
				latency.Observe(time.Duration(updates))
				b.IncrCounter("produce_status", 2, tag("status", "success"), tag("queue", queue))
				total += updates
				if updates%1024 == 0 {
					runtime.Gosched() // with more writers than processors, others would wait for theirs to be preempted
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.done["plain"] += float64(updates)
			c.done["produce_status;queue="+queue+";status=success"] += 2 * float64(updates)
			c.done[fmt.Sprintf("callback.latency.ns.count;writer=%d", w)] = float64(updates)
			c.done[fmt.Sprintf("callback.latency.ns.sum;writer=%d", w)] = float64(total)
		})
	}
	return c
}

// stop returns the recorded totals.
func (c *crowd) stop() map[string]float64 {
	c.stopped.Store(true)
	c.writers.Wait()
	return c.done
}

// amounts adds up the increments and the observations in the counters.
func amounts(counters map[string]float64) map[string]float64 {
	amounts := make(map[string]float64)
	for series, sum := range counters {
		switch {
		case strings.Contains(series, ".ns.count"):
			amounts["observations"] += sum
		case !strings.Contains(series, ".ns.sum"):
			amounts["increments"] += sum
		}
	}
	return amounts
}

// Every series is one series in telegraf, with its own name and tags, and nothing else arrives.
func TestNastySeriesInTelegraf(t *testing.T) {
	strange := append(slices.Clone(nasty), "c", "c.c", "T1", "#")
	random := rand.New(rand.NewPCG(1, 2)) // the same every time
	for range 500 {
		const alphabet = "_x20aAn.,-:;|#@=+/ \n\r\t\x00\x7f\xc3\xa9\xff"
		s := make([]byte, random.IntN(12))
		for i := range s {
			s[i] = alphabet[random.IntN(len(alphabet))]
		}
		strange = append(strange, string(s))
	}
	telegraf := receivers.StartTelegraf(t)
	b := newBuffer(t, "tcp", telegraf.Address)
	want := make(map[string]float64)
	count := func(name string, tags ...metricsbuffer.Tag) {
		b.IncrCounter(name, 1, tags...)
		want[fmt.Sprintf("%q", append([]metricsbuffer.Tag{{Key: name}}, tags...))]++
	}
	for _, s := range strange {
		count(s)
		count("value", tag("k", s))
		count("key", tag(s, "v"))
		count("both", tag("k", s), tag("k2", s))
	}
	require.NoError(t, b.Flush(t.Context()))
	requireIn(t, func() map[string]float64 { return readBack(telegraf.Counters()) }, want)
	require.Empty(t, telegraf.Errors())
}

var escape = regexp.MustCompile(`_x([0-9A-F]{2})?_`)

// readBack undoes the escaping, as the package's comment describes it.
func readBack(counters map[string]float64) map[string]float64 {
	original := func(s string) string {
		return escape.ReplaceAllStringFunc(s, func(match string) string {
			b, _ := hex.DecodeString(strings.Trim(match, "_x"))
			return string(b)
		})
	}
	all := make(map[string]float64)
	for series, sum := range counters {
		var parts []metricsbuffer.Tag
		for _, part := range strings.Split(series, ";") {
			key, value, _ := strings.Cut(part, "=")
			parts = append(parts, tag(original(key), original(value)))
		}
		all[fmt.Sprintf("%q", parts)] += sum
	}
	return all
}

// Telegraf 1.37.2 takes two pairs of series for one, and no sender can prevent it. It identifies a series by its tags
// and name without separators between them, and it uses the tag metric_type itself.
func TestWhatTelegrafFolds(t *testing.T) {
	telegraf := receivers.StartTelegraf(t)
	b := newBuffer(t, "tcp", telegraf.Address)
	b.IncrCounter("jobs", 1, tag("a", "1b"), tag("c", "2"))
	b.IncrCounter("jobs", 2, tag("a", "1"), tag("bc", "2"))
	b.IncrCounter("typed", 3)
	b.IncrCounter("typed", 4, tag("metric_type", "counter"))
	require.NoError(t, b.Flush(t.Context()))
	requireIn(t, func() map[string]float64 {
		sums := make(map[string]float64)
		for series, sum := range telegraf.Counters() {
			name, _, _ := strings.Cut(series, ";") // telegraf has the tags of the first one
			require.NotContains(t, sums, name)
			sums[name] = sum
		}
		return sums
	}, map[string]float64{"jobs": 3, "typed": 7})
}

func TestNegativeValuesInTelegraf(t *testing.T) {
	telegraf := receivers.StartTelegraf(t)
	b := newBuffer(t, "tcp", telegraf.Address)
	for _, v := range []float64{5, -5, -7.25, 3, -1e-9} {
		b.SetGauge("g", v, tag("k", "v"))
		require.NoError(t, b.Flush(t.Context()))
	}
	b.IncrCounter("jobs", -12)
	require.NoError(t, b.Flush(t.Context()))
	requireIn(t, telegraf.Gauges, map[string]float64{"g;k=v": -1e-9})
	requireIn(t, telegraf.Counters, map[string]float64{"jobs": -12})
	require.Empty(t, telegraf.Errors())
}

// requireIn waits until read returns exactly the wanted values, and reports the differences if it never does.
func requireIn(t *testing.T, read func() map[string]float64, want map[string]float64) {
	t.Helper()
	var differences []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		differences = differences[:0]
		got := read()
		for series := range want {
			if got[series] != want[series] {
				differences = append(differences, fmt.Sprintf("%s is %v, not %v", series, got[series], want[series]))
			}
		}
		for series := range got {
			if _, wanted := want[series]; !wanted {
				differences = append(differences, series+" is not wanted")
			}
		}
		if len(differences) == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	require.Empty(t, strings.Join(differences[:min(len(differences), 10)], "\n"))
}
