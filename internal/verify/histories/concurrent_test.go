package histories

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// Every update of a history adds another power of two, so that a sum says which updates are in it.
const (
	writers = 4
	each    = 10
	names   = 3
	sinks   = 2
)

// A receiver is a sink that decodes the updates in its batches.
type receiver struct {
	t      *testing.T
	h      *history
	number int
	random *rand.Rand // used by Write only
	named  *[writers * each]string
	fails  bool
}

// Write acknowledges all, some or no points, and records the acknowledged updates.
func (s *receiver) Write(_ context.Context, batch *metricsbuffer.Batch) (err error) {
	s.h.record(writers+3+s.number, "write", func(c *call) {
		c.Sink = s.number
		n := len(batch.Points)
		if s.fails && s.random.IntN(2) == 0 {
			n, err = s.random.IntN(n+1), errors.New("injected")
			batch.Acknowledge(n)
		}
		together := map[string]int64{}
		for i, p := range batch.Points {
			if p.Kind == metricsbuffer.KindTimer {
				together["timer"] = p.Count
				continue
			}
			if p.Name == "together" {
				together["counter"] = p.Count
				continue
			}
			for rest := uint64(p.Count); rest != 0; rest &= rest - 1 {
				if update := bits.TrailingZeros64(rest); update >= len(s.named) || s.named[update] != p.Name {
					s.t.Errorf("update %d is in counter %s", update, p.Name)
				}
			}
			if i < n {
				c.Updates |= uint64(p.Count)
			}
		}
		if n == len(batch.Points) && !s.fails && together["timer"] != together["counter"] {
			s.t.Errorf("a batch has %v of updates that were committed together", together)
		}
	})
	return err
}

func TestHistories(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	if text := os.Getenv("METRICSBUFFER_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		for range 1000 { // the seed does not determine when goroutines run
			runHistory(t, seed)
		}
		return
	}
	long := 2 * time.Second
	if text := os.Getenv("METRICSBUFFER_STRESS"); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	n, promotions, demotions := 0, int64(0), int64(0)
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); n++ {
		stats := runHistory(t, rand.Uint64())
		promotions, demotions = promotions+stats.Promotions, demotions+stats.Demotions
	}
	t.Logf("%d histories of %d updates and %d sinks, %d promotions, %d demotions", n, writers*each, sinks, promotions,
		demotions)
	require.NotZero(t, promotions)
	require.NotZero(t, demotions)
}

// runHistory runs a random program: writers with every way to add to a counter, two goroutines that flush, one that
// asks for stats. The second sink fails, and series expire.
func runHistory(t *testing.T, seed uint64) metricsbuffer.Stats {
	random := rand.New(rand.NewPCG(seed, 0))
	h, named := new(history), new([writers * each]string)
	options := []metricsbuffer.Option{metricsbuffer.WithIdleExpiry(10 * time.Microsecond)}
	options = append(options, metricsbuffer.WithInterval(time.Duration(random.IntN(2))*time.Millisecond))
	for i := range named {
		named[i] = fmt.Sprint("name ", random.IntN(names))
	}
	for i := range sinks {
		s := &receiver{t: t, h: h, number: i, named: named, fails: i > 0, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		options = append(options, metricsbuffer.WithSink(s, metricsbuffer.SinkName(strconv.Itoa(i))))
	}
	b, err := metricsbuffer.New(options...)
	require.NoError(t, err)
	var wait, resting sync.WaitGroup
	resting.Add(writers)
	for w := range writers {
		plan := make([]int, each)
		for i := range plan {
			plan[i] = random.IntN(6)
		}
		wait.Go(func() {
			write(b, h, w, 0, plan[:each/2], named)
			resting.Done()
			resting.Wait()
			for range 40 { // all rest: idle chunks are taken away
				b.Stats()
			}
			write(b, h, w, each/2, plan[each/2:], named)
		})
	}
	for f := range 2 {
		wait.Go(func() {
			for range 5 {
				h.record(writers+f, "flush", func(c *call) { c.Failed = failed(b.Flush(context.Background())) })
			}
		})
	}
	wait.Go(func() {
		for range 3 {
			h.record(writers+2, "stats", func(c *call) { c.Updates = recorded(t, b.Stats()) })
		}
	})
	wait.Wait()
	h.record(0, "flush", func(c *call) { c.Failed = failed(b.Flush(context.Background())) })
	h.record(0, "flush", func(c *call) { c.Failed = failed(b.Close()) })
	h.record(0, "stats", func(c *call) { c.Updates = recorded(t, b.Stats()) })
	check(t, h.calls, writers*each, sinks, seed)
	return b.Stats()
}

// write makes the updates of one writer from the given one on.
func write(b *metricsbuffer.Buffer, h *history, w, from int, plan []int, named *[writers * each]string) {
	local := b.Local()
	together, timer := b.Counter("together"), b.Timer("together")
	for range 400 {
		together.Add(0) // makes its chunk the P's own, and leaves no trace in a sum
	}
	for i, way := range plan {
		update := w*each + from + i
		name, delta := named[update], int64(1)<<update
		h.record(w, "record", func(c *call) {
			c.Updates = uint64(delta)
			switch way {
			case 0:
				b.IncrCounter(name, delta)
			case 1:
				b.Counter(name).Add(delta)
			case 2:
				local.Counter(b.Counter(name)).Add(delta)
				local.Commit()
			case 3:
				vec, err := metricsbuffer.NewCounterVec[struct{}](b, name)
				if err == nil {
					vec.With(struct{}{}).Add(delta)
				}
			case 5:
				b.FractionCounter(name, 2).Steps().Add(delta)
			case 4:
				metricsbuffer.Record(b.Counter(name).Delta(delta), together.Delta(1), timer.Took(time.Millisecond))
			}
		})
		local.Counter(together).Inc()
		local.Timer(timer).Observe(time.Millisecond)
		local.Commit()
	}
}

// failed returns the sinks that an error names, or all sinks if it names none.
func failed(err error) (set uint64) {
	if err == nil {
		return 0
	}
	for i := range sinks {
		if strings.Contains(err.Error(), fmt.Sprintf("sink %q", strconv.Itoa(i))) {
			set |= 1 << i
		}
	}
	if set == 0 {
		return 1<<sinks - 1
	}
	return set
}

// recorded returns the recorded updates, and checks that the stats add up. Each group of updates that belong together
// has one increment and one observation more. So the observations are subtracted.
func recorded(t *testing.T, stats metricsbuffer.Stats) uint64 {
	for _, s := range stats.Sinks {
		sum := s.Acknowledged.Increments + s.Pending.Increments + s.Dropped.Increments
		if sum != stats.Recorded.Increments {
			t.Errorf("sink %s: recorded %d, accounted for %d", s.Name, stats.Recorded.Increments, sum)
		}
	}
	return uint64(stats.Recorded.Increments - stats.Recorded.Observations)
}
