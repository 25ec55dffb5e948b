package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

func TestSoak(t *testing.T) {
	var out, log strings.Builder
	ok := soak(settings{length: 500 * time.Millisecond, seed: rand.Uint64(), buffers: 3}, &out, &log)
	require.True(t, ok, "%s%s", out.String(), log.String())
	require.Regexp(t, `(?m)^lost +0$`, out.String())
	require.Regexp(t, `(?m)^updates +[1-9]`, out.String())
	require.NotContains(t, log.String(), "PROBLEM")
}

// The auditor is what all depends on: it has to notice whatever a buffer could do wrong.

type audited struct {
	*sink
	log strings.Builder
}

func newAudited(t *testing.T) *audited {
	a := new(audited)
	a.sink = newSink(&report{log: &a.log}, newUniverse(false), &tempers[0], rand.New(rand.NewPCG(1, 2)))
	t.Cleanup(func() { require.Zero(t, a.inside.Load()) })
	return a
}

func (a *audited) write(t *testing.T, points ...metricsbuffer.Point) {
	t.Helper()
	require.NoError(t, a.Write(context.Background(), &metricsbuffer.Batch{Points: points}))
}

// observed returns the point of a timer in which its values were observed, each once.
func (a *audited) observed(name string) metricsbuffer.Point {
	p := metricsbuffer.Point{Name: name, Kind: timer, Buckets: new(metricsbuffer.Buckets)}
	values := a.u.items[a.u.id(timer, name)].values
	b, err := metricsbuffer.New(metricsbuffer.WithSink(metricsbuffer.SinkFunc(
		func(_ context.Context, batch *metricsbuffer.Batch) error {
			p = batch.Points[0]
			p.Buckets = p.Buckets.Clone()
			return nil
		})))
	if err != nil {
		panic(err)
	}
	for _, v := range values {
		b.IncrTimer(name, time.Duration(v))
	}
	if err := b.Close(); err != nil {
		panic(err)
	}
	return p
}

func TestAuditorAcceptsWhatIsRight(t *testing.T) {
	a := newAudited(t)
	p := a.observed("timer.1")
	p.Exemplars = append(p.Exemplars,
		metricsbuffer.Exemplar{TraceContext: spanOf(a.u.id(timer, "timer.1"), 0)},
		metricsbuffer.Exemplar{TraceContext: spanOf(a.u.id(timer, "timer.1"), p.Max), Value: p.Max})
	a.write(t, metricsbuffer.Point{Name: "counter.1", Kind: counter, Count: 5}, p,
		metricsbuffer.Point{Name: "metricsbuffer.flips", Kind: counter, Count: 3})
	a.write(t, metricsbuffer.Point{Name: "counter.1", Kind: counter, Count: 2})
	recorded := make([]int64, len(a.u.items))
	recorded[a.u.id(counter, "counter.1")] = 7
	recorded[a.u.id(timer, "timer.1")] = 5
	require.True(t, a.complete(recorded))
	a.exact(recorded)
	got, given := a.atMost(recorded)
	require.Equal(t, metricsbuffer.Totals{Increments: 10, Observations: 5}, got)
	require.Zero(t, given)
	require.True(t, a.report.ok(), a.log.String())
}

func TestAuditorNoticesWhatIsWrong(t *testing.T) {
	one := metricsbuffer.Point{Name: "counter.1", Kind: counter, Count: 1}
	for name, test := range map[string]struct {
		kind  breach
		wrong func(t *testing.T, a *audited)
	}{
		"lost": {lost, func(t *testing.T, a *audited) {
			a.write(t, one)
			recorded := make([]int64, len(a.u.items))
			recorded[a.u.id(counter, "counter.1")] = 2
			require.False(t, a.complete(recorded))
			a.exact(recorded)
		}},
		"doubled": {doubled, func(t *testing.T, a *audited) {
			a.write(t, one)
			a.exact(make([]int64, len(a.u.items)))
		}},
		"doubled, where some may be missing": {doubled, func(t *testing.T, a *audited) {
			a.write(t, one)
			a.atMost(make([]int64, len(a.u.items)))
		}},
		"a sum of other observations": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			p.Sum++
			a.write(t, p)
		}},
		"a count of other observations": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			p.Count--
			a.write(t, p)
		}},
		"an observation that is in the buckets only": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			p.Buckets.Zeros++
			a.write(t, p)
		}},
		"a value that nobody observed": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			p.Buckets.Offset++
			a.write(t, p)
		}},
		"a minimum of other observations": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			p.Min = 1
			a.write(t, p)
		}},
		"an exemplar of another series": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			e := metricsbuffer.Exemplar{TraceContext: spanOf(a.u.id(timer, "timer.2"), p.Max), Value: p.Max}
			p.Exemplars = append(p.Exemplars, e)
			a.write(t, p)
		}},
		"an exemplar without its observation": {torn, func(t *testing.T, a *audited) {
			p := a.observed("timer.1")
			e := metricsbuffer.Exemplar{TraceContext: spanOf(a.u.id(timer, "timer.1"), p.Max/2), Value: p.Max / 2}
			p.Exemplars = append(p.Exemplars, e)
			a.write(t, p)
		}},
		"half of a commit": {torn, func(t *testing.T, a *audited) {
			a.write(t, metricsbuffer.Point{Name: "together.0", Kind: counter, Count: 1})
		}},
		"a Record without its histogram": {torn, func(t *testing.T, a *audited) {
			a.write(t, a.observed("record.0"), metricsbuffer.Point{Name: "record.0", Kind: counter, Count: 5},
				metricsbuffer.Point{Name: "record.1", Kind: counter, Count: 5})
		}},
		"the last counter of a long commit": {torn, func(t *testing.T, a *audited) {
			a.write(t, metricsbuffer.Point{Name: "long.79", Kind: counter, Count: 1})
		}},
		"a Close in the middle of a Write": {wrong, func(t *testing.T, a *audited) {
			a.inside.Add(1)
			require.NoError(t, a.Close())
			a.inside.Add(-1)
		}},
		"a second Close": {wrong, func(t *testing.T, a *audited) {
			require.NoError(t, a.Close())
			require.NoError(t, a.Close())
		}},
		"a Write after Close": {wrong, func(t *testing.T, a *audited) {
			require.NoError(t, a.Close())
			a.write(t)
		}},
		"a series that nobody recorded": {wrong, func(t *testing.T, a *audited) {
			a.write(t, metricsbuffer.Point{Name: "unknown", Kind: counter, Count: 1})
		}},
		"a series twice": {wrong, func(t *testing.T, a *audited) { a.write(t, one, one) }},
		"a gauge that goes back": {wrong, func(t *testing.T, a *audited) {
			a.write(t, metricsbuffer.Point{Name: "gauge.added", Kind: gauge, Value: 2})
			a.write(t, metricsbuffer.Point{Name: "gauge.added", Kind: gauge, Value: 1})
		}},
		"a batch of a time that has been": {wrong, func(t *testing.T, a *audited) {
			now := time.Now()
			for range 2 {
				require.NoError(t, a.Write(context.Background(), &metricsbuffer.Batch{Start: now, End: now.Add(1)}))
			}
		}},
		"two writes at a time": {wrong, func(t *testing.T, a *audited) {
			a.inside.Add(1)
			a.write(t)
			a.inside.Add(-1)
		}},
		"an account that does not balance": {wrong, func(_ *testing.T, a *audited) {
			l := &life{report: a.report, sinks: []*sink{a.sink}}
			l.balance(&metricsbuffer.Stats{
				Recorded: metricsbuffer.Totals{Increments: 2},
				Sinks:    []metricsbuffer.SinkStats{{Acknowledged: metricsbuffer.Totals{Increments: 1}}},
			})
		}},
		"a flush that leaves something": {lost, func(_ *testing.T, a *audited) {
			l := &life{report: a.report, u: a.u, sinks: []*sink{a.sink}}
			l.settledBy(nil, 1, l.sinks)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudited(t)
			test.wrong(t, a)
			require.NotZero(t, a.report.breaches[test.kind].Load(), a.log.String())
			require.Contains(t, a.log.String(), "PROBLEM (seed 0)")
		})
	}
}

// TestFaults sees that every fault happens when it is chosen, and what it leads to.
func TestFaults(t *testing.T) {
	for i := range faults {
		t.Run(faults[i].name, func(t *testing.T) {
			a := newAudited(t)
			a.temper = &temper{often: 1, faults: []int{i}}
			timeout := time.Minute // which no Write needs on a busy machine either
			if waits := faults[i].waits; waits == long || waits == obeyed {
				timeout = 10 * time.Millisecond
			}
			b, err := metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(a,
				metricsbuffer.SinkTimeout(timeout)))
			require.NoError(t, err)
			recorded := make([]int64, len(a.u.items))
			for i := range handles {
				name := numbered("counter", int64(i))
				b.IncrCounter(name, 1)
				recorded[a.u.id(counter, name)]++
			}
			err = b.Flush(context.Background())
			if faults[i].waits != long { // which may well be short
				require.Equal(t, faults[i].ends != acknowledges, err != nil, err)
			}
			a.heal()
			for b.Flush(context.Background()) != nil {
				time.Sleep(time.Millisecond)
			}
			a.exact(recorded)
			require.NoError(t, b.Close())
			require.True(t, a.report.ok(), a.log.String())
			require.NotZero(t, a.report.faults[i].Load())
		})
	}
}
