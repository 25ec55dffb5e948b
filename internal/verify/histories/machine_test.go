package histories

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/metricsbuffer/metricsbuffer"
)

// A total is the model's state of a series: all values, in the order in which they were recorded.
type total struct {
	kind   metricsbuffer.Kind
	values []int64
	gauge  float64
	set    bool
}

// add merges later values.
func (t total) add(later total) total {
	t.kind = later.kind
	t.values = append(t.values[:len(t.values):len(t.values)], later.values...)
	if later.set {
		t.gauge, t.set = later.gauge, true
	}
	return t
}

func (t total) isEmpty() bool {
	sum := int64(0)
	for _, v := range t.values {
		sum += v
	}
	return !t.set && (len(t.values) == 0 || t.kind == metricsbuffer.KindCounter && sum == 0)
}

// A machine is a buffer and its model.
type machine struct {
	b       *metricsbuffer.Buffer
	local   *metricsbuffer.Local
	many    []*metricsbuffer.Timer // more than are committed in one pinned section, and than a P has seats for
	sinks   []*modelSink
	locals  map[string]total
	values  map[string]float64 // of gauges
	known   map[string]bool    // series that exist, or have existed
	all     metricsbuffer.Totals
	closing bool
	closed  bool

	expiring     bool
	descriptions int // that were given
}

// at returns the buffer or one of its scopes, and the prefix of its names.
func (m *machine) at(t *rapid.T) (b *metricsbuffer.Buffer, prefix string) {
	if rapid.Bool().Draw(t, "scope") {
		return m.b.WithPrefix("s").With(metricsbuffer.T("k", "v")).WithPrefix("."), "s."
	}
	return m.b, ""
}

// A modelSink is a sink that follows a plan, with the updates that the model has pending for it.
type modelSink struct {
	m        *machine
	plan     int
	at       int
	pending  map[string]total
	begun    map[string]bool // series that are new to it: they have to be in its next batch, also if they are zero
	ended    map[string]bool // series that have expired: they may come back as new ones, which the model cannot foresee
	refused  bool            // it failed with a batch without points, which the model cannot foresee either
	dropped  metricsbuffer.Totals
	got      metricsbuffer.Totals
	mistakes []string
}

// The plans of a Write.
const (
	succeeds = iota
	fails
	panics
	meanwhile // fails after an update was recorded and collected
	half      // acknowledges some and fails
	drops     // drops one and succeeds
	plans
)

func key(kind metricsbuffer.Kind, name string) string { return fmt.Sprint(kind, " ", name) }

// Write compares the batch with the model, and follows the plan.
func (s *modelSink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	want, begun := maps.Clone(s.pending), maps.Clone(s.begun)
	for _, p := range batch.Ended {
		s.ended[key(p.Kind, p.Name)] = true
	}
	for _, p := range batch.Points {
		k := key(p.Kind, p.Name)
		mistake := compare(p, want[k], s.m.values[k])
		if want[k].isEmpty() && !begun[k] && !s.ended[k] {
			mistake = "is in the batch and not pending"
		}
		if mistake != "" {
			s.mistakes = append(s.mistakes, k+": "+mistake)
		}
		delete(want, k)
		delete(begun, k)
	}
	for k := range want {
		s.mistakes = append(s.mistakes, k+": is pending and not in the batch")
	}
	for k := range begun {
		s.mistakes = append(s.mistakes, k+": is new and not in the batch")
	}
	forget := func(i int, into *metricsbuffer.Totals) {
		p := batch.Points[i]
		count(into, s.pending[key(p.Kind, p.Name)])
		delete(s.pending, key(p.Kind, p.Name))
		delete(s.begun, key(p.Kind, p.Name))
	}
	n := len(batch.Points)
	if n == 0 {
		if s.refused = s.plan != succeeds && s.plan != drops; s.refused {
			return errors.New("injected")
		}
		return nil
	}
	at := s.at % n
	switch s.plan {
	case fails:
		return errors.New("injected")
	case meanwhile:
		// The command waits for this Write, so the model may change. With several sinks, other Writes may be under way.
		if len(s.m.sinks) == 1 && !s.m.closing {
			v := int64(s.at) + 1
			s.m.b.IncrCounter("a", v)
			s.m.note(metricsbuffer.KindCounter, "a", total{values: []int64{v}})
			s.m.b.Stats()
		}
		return errors.New("injected")
	case panics:
		panic("injected")
	case half:
		batch.Acknowledge(at)
		for i := range at {
			forget(i, &s.got)
		}
		return errors.New("injected, half-way")
	case drops:
		batch.Drop(at, "planned")
		forget(at, &s.dropped)
	}
	for i := range n {
		if _, dropped := batch.Dropped(i); !dropped {
			forget(i, &s.got)
		}
	}
	return nil
}

func count(totals *metricsbuffer.Totals, t total) {
	switch t.kind {
	case metricsbuffer.KindCounter:
		for _, v := range t.values {
			totals.Increments += v
		}
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		totals.Observations += int64(len(t.values))
	}
}

// compare returns how a point differs from the model, or "".
func compare(p metricsbuffer.Point, want total, value float64) string {
	sum, least, greatest := int64(0), int64(0), int64(0)
	for i, v := range want.values {
		sum += v
		if i == 0 {
			least, greatest = v, v
		}
		least, greatest = min(least, v), max(greatest, v)
	}
	switch {
	case p.Kind == metricsbuffer.KindGauge && p.Value != value:
		return fmt.Sprintf("has the value %v, not %v", p.Value, value)
	case p.Kind == metricsbuffer.KindCounter && p.Count != sum:
		return fmt.Sprintf("has the count %d, not %d", p.Count, sum)
	case p.Kind == metricsbuffer.KindTimer || p.Kind == metricsbuffer.KindHistogram:
		if p.Count != int64(len(want.values)) || p.Sum != sum || p.Min != least || p.Max != greatest {
			return fmt.Sprintf("has %d, sum %d, from %d to %d; not %v", p.Count, p.Sum, p.Min, p.Max, want.values)
		}
		n := uint64(0)
		for bucket := range p.Buckets.All() {
			n += bucket.Count
		}
		if n != uint64(p.Count) {
			return fmt.Sprintf("has %d observations in its buckets, not %d", n, p.Count)
		}
	}
	return ""
}

// exist notes that there is a series. It is new, unless it existed before.
func (m *machine) exist(kind metricsbuffer.Kind, name string) {
	if k := key(kind, name); !m.known[k] && !m.closed {
		m.known[k] = true
		for _, s := range m.sinks {
			s.begun[k] = true
		}
	}
}

// note applies an update to the model.
func (m *machine) note(kind metricsbuffer.Kind, name string, t total) {
	t.kind = kind
	k := key(kind, name)
	m.exist(kind, name)
	if m.closed {
		if kind == metricsbuffer.KindGauge {
			return
		}
		for _, s := range m.sinks {
			count(&s.dropped, t)
		}
	} else {
		for _, s := range m.sinks {
			if merged := s.pending[k].add(t); merged.isEmpty() {
				delete(s.pending, k)
			} else {
				s.pending[k] = merged
			}
		}
	}
	count(&m.all, t)
}

type labels struct {
	Label string `tag:"-"`
}

func TestStateMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{locals: make(map[string]total), values: make(map[string]float64), known: make(map[string]bool)}
		options := []metricsbuffer.Option{metricsbuffer.WithInterval(0)}
		if rapid.Bool().Draw(t, "constant tags") {
			options = append(options, metricsbuffer.WithTags(metricsbuffer.T("host", "h")))
		}
		if m.expiring = rapid.Bool().Draw(t, "expiring"); m.expiring {
			options = append(options, metricsbuffer.WithIdleExpiry(10*time.Microsecond))
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "sinks") {
			s := &modelSink{
				m: m, pending: make(map[string]total), begun: make(map[string]bool), ended: make(map[string]bool),
			}
			m.sinks = append(m.sinks, s)
			options = append(options, metricsbuffer.WithSink(s, metricsbuffer.SinkName(fmt.Sprint(i))))
		}
		var err error
		m.b, err = metricsbuffer.New(options...)
		require.NoError(t, err)
		defer m.b.Close()
		m.local = m.b.Local()
		for i := range 100 {
			m.many = append(m.many, m.b.Timer(fmt.Sprint("many.", i)))
			m.exist(metricsbuffer.KindTimer, fmt.Sprint("many.", i))
		}
		t.Repeat(m.commands())
		m.check(t)
	})
}

const burst = 160 // updates in a row: a promotion takes 128

var (
	names3  = rapid.SampledFrom([]string{"a", "b", "c"})
	deltas  = rapid.Int64Range(-3, 100)
	lengths = rapid.Int64Range(0, 1<<40)
)

// commands returns the commands of the state machine. Each command draws all its values before it acts, so that rapid
// can shrink it.
func (m *machine) commands() map[string]func(*rapid.T) {
	one := func(v int64) total { return total{values: []int64{v}} }
	return map[string]func(*rapid.T){
		"counter": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), deltas.Draw(t, "delta")
			b, prefix := m.at(t)
			switch rapid.IntRange(0, 2).Draw(t, "way") {
			case 0:
				b.Counter(name).Add(v)
			case 1:
				b.IncrCounter(name, v)
			case 2:
				vec, err := metricsbuffer.NewCounterVec[labels](b, name)
				require.NoError(t, err)
				vec.With(labels{"x"}).Add(v)
			}
			m.note(metricsbuffer.KindCounter, prefix+name, one(v))
		},
		"fraction": func(t *rapid.T) {
			name, v := names3.Draw(t, "name")+".fraction", deltas.Draw(t, "delta")
			m.b.FractionCounter(name, 2).Add(float64(v) / 100)
			m.note(metricsbuffer.KindCounter, name, one(v))
		},
		"timer": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), lengths.Draw(t, "duration")
			b, prefix := m.at(t)
			n := rapid.IntRange(1, 3).Draw(t, "times")
			switch {
			case n > 1:
				b.Timer(name).ObserveN(time.Duration(v), int64(n))
			case rapid.Bool().Draw(t, "by name"):
				b.IncrTimer(name, time.Duration(v))
			default:
				b.Timer(name).Observe(time.Duration(v))
			}
			m.note(metricsbuffer.KindTimer, prefix+name, total{values: slices.Repeat([]int64{v}, n)})
		},
		"histogram": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), lengths.Draw(t, "value")
			m.b.Histogram(name, "bytes").Observe(v)
			m.note(metricsbuffer.KindHistogram, name, one(v))
		},
		"gauge": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), float64(deltas.Draw(t, "value"))
			b, prefix := m.at(t)
			if rapid.Bool().Draw(t, "by name") {
				b.SetGauge(name, v)
			} else {
				b.Gauge(name).Set(v)
			}
			m.values[key(metricsbuffer.KindGauge, prefix+name)] = v
			m.note(metricsbuffer.KindGauge, prefix+name, total{gauge: v, set: true})
		},
		"local": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), lengths.Draw(t, "value")
			m.local.Counter(m.b.Counter(name)).Add(v)
			m.local.Timer(m.b.Timer(name)).Observe(time.Duration(v))
			for _, kind := range []metricsbuffer.Kind{metricsbuffer.KindCounter, metricsbuffer.KindTimer} {
				m.exist(kind, name)
				m.locals[key(kind, name)] = m.locals[key(kind, name)].add(total{kind: kind, values: []int64{v}})
			}
		},
		// So many updates make a chunk the P's own. The first and the last of many compete for a seat: their chunks are 32
		// apart.
		"burst": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), deltas.Draw(t, "delta")
			counter := m.b.Counter(name)
			for range burst {
				counter.Add(v)
			}
			m.note(metricsbuffer.KindCounter, name, one(burst*v))
		},
		"burst of a timer": func(t *rapid.T) {
			i, v := rapid.SampledFrom([]int{0, 1, 2, 96, 97, 98}).Draw(t, "timer"), lengths.Draw(t, "duration")
			for range burst {
				m.many[i].Observe(time.Duration(v))
			}
			m.note(metricsbuffer.KindTimer, fmt.Sprint("many.", i), total{values: slices.Repeat([]int64{v}, burst)})
		},
		// So many collections without an update take chunks away.
		"rest": func(*rapid.T) {
			for range 40 {
				m.b.Stats()
			}
		},
		"record": func(t *rapid.T) {
			name, v := names3.Draw(t, "name"), lengths.Draw(t, "value")
			metricsbuffer.Record(m.b.Counter(name).Delta(v), m.b.Timer(name).Took(time.Duration(v)),
				m.b.Histogram(name, "bytes").Size(v), m.b.Gauge(name).Level(float64(v)))
			m.note(metricsbuffer.KindCounter, name, one(v))
			m.note(metricsbuffer.KindTimer, name, one(v))
			m.note(metricsbuffer.KindHistogram, name, one(v))
			m.values[key(metricsbuffer.KindGauge, name)] = float64(v)
			m.note(metricsbuffer.KindGauge, name, total{gauge: float64(v), set: true})
		},
		"many": func(t *rapid.T) {
			v, record := lengths.Draw(t, "value"), rapid.Bool().Draw(t, "by Record")
			local := m.b.Local()
			var updates []metricsbuffer.Update
			for i, timer := range m.many {
				if record {
					updates = append(updates, timer.Took(time.Duration(v)))
				} else {
					local.Timer(timer).Observe(time.Duration(v))
				}
				m.note(metricsbuffer.KindTimer, fmt.Sprint("many.", i), one(v))
			}
			metricsbuffer.Record(updates...)
			local.Commit()
		},
		// All series of the name are in the next batch then. The model does not know which of them have expired.
		"describe": func(t *rapid.T) {
			if m.expiring {
				t.Skip("series expire")
			}
			name := names3.Draw(t, "name")
			b, prefix := m.at(t)
			m.descriptions++
			b.Describe(name, fmt.Sprint("Help ", m.descriptions), "")
			if m.closed {
				return
			}
			for kind := range metricsbuffer.KindHistogram + 1 {
				if k := key(kind, prefix+name); m.known[k] {
					for _, s := range m.sinks {
						s.begun[k] = true
					}
				}
			}
		},
		"commit": func(t *rapid.T) {
			m.local.Commit()
			for k, v := range m.locals {
				m.note(v.kind, k[len(v.kind.String())+1:], v)
			}
			clear(m.locals)
		},
		"flush": func(t *rapid.T) {
			fail := m.told(t)
			err := m.b.Flush(context.Background())
			if m.closed {
				require.ErrorIs(t, err, metricsbuffer.ErrClosed)
				return
			}
			m.require(t, err, fail)
		},
		"close": func(t *rapid.T) {
			if m.closed || rapid.IntRange(0, 9).Draw(t, "now") > 0 {
				t.Skip("not now")
			}
			fail := m.told(t)
			m.closing = true
			m.require(t, m.b.Close(), fail)
			m.closed = true
			for _, s := range m.sinks {
				for _, left := range s.pending {
					count(&s.dropped, left)
				}
				clear(s.pending)
				clear(s.begun)
			}
		},
		"stats": m.check, // not after every command, because it collects the recorded updates
		"": func(t *rapid.T) {
			for i, s := range m.sinks {
				require.Empty(t, s.mistakes, "sink %d", i)
			}
		},
	}
}

// told gives every sink a plan for the next batch, and returns whether a sink that gets a batch fails.
func (m *machine) told(t *rapid.T) (fail bool) {
	for _, s := range m.sinks {
		s.plan, s.at = rapid.IntRange(0, plans-1).Draw(t, "plan"), rapid.IntRange(0, 8).Draw(t, "at")
		s.refused = false
		fail = fail || len(s.pending)+len(s.begun) > 0 && s.plan != succeeds && s.plan != drops
	}
	return fail
}

func (m *machine) require(t *rapid.T, err error, fail bool) {
	for _, s := range m.sinks {
		fail = fail || s.refused
	}
	if fail {
		require.Error(t, err)
	} else {
		require.NoError(t, err)
	}
}

// check compares the stats of the buffer with the model.
func (m *machine) check(t *rapid.T) {
	stats := m.b.Stats()
	require.Equal(t, m.all, stats.Recorded)
	for i, s := range m.sinks {
		var pending metricsbuffer.Totals
		for _, p := range s.pending {
			count(&pending, p)
		}
		got := stats.Sinks[i]
		require.Equal(t, s.got, got.Acknowledged, "sink %d", i)
		require.Equal(t, s.dropped, got.Dropped, "sink %d", i)
		require.Equal(t, pending, got.Pending, "sink %d", i)
	}
}
