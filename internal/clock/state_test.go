package clock

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A machine has a counter and a runtime's clock that do as they are told. Each reading takes some nanoseconds.
type machine struct {
	clock

	now    int64   // nanoseconds
	rate   float64 // ticks per nanosecond, since the moment from
	from   int64
	offset int64 // ticks at the moment from
}

func newMachine(rate float64) *machine {
	m := &machine{now: int64(time.Hour), rate: rate, offset: 1e12}
	m.from = m.now
	m.counter = func() int64 { m.now += 9; return m.ticks() }
	m.runtime = func() int64 { m.now += 23; return m.now }
	m.state.Store(begin(m.sample()))
	return m
}

// calibrated returns a machine whose counter is in use.
func calibrated(t *testing.T, rate float64) *machine {
	m := newMachine(rate)
	m.pass(firstBaseline)
	require.Equal(t, counting, m.check().phase)
	return m
}

func (m *machine) ticks() int64 { return m.offset + int64(m.rate*float64(m.now-m.from)) }

func (m *machine) pass(d time.Duration) { m.now += int64(d) }

// changeRate makes the counter faster or slower, from now on.
func (m *machine) changeRate(factor float64) {
	m.offset, m.from = m.ticks(), m.now
	m.rate *= factor
}

// set sets the counter to a value.
func (m *machine) set(ticks int64) { m.offset, m.from = ticks, m.now }

// read and elapsed are Now and Since for this machine.
func (m *machine) read() Reading {
	if m.state.Load().counts() {
		return Reading(m.counter())
	}
	return m.nowByRuntime()
}

func (m *machine) elapsed(start Reading) time.Duration {
	if s := m.state.Load(); int64(start) >= s.first {
		if ticks := m.counter() - int64(start); uint64(ticks) < s.second {
			return s.duration(ticks)
		}
	}
	return m.sinceSlow(start)
}

// A watch is a stopwatch, and the moment at which it was started.
type watch struct {
	start Reading
	began int64
}

func (m *machine) start() watch { return watch{m.read(), m.now} }

// requireRight stops a watch, and compares the duration with the true one.
func (m *machine) requireRight(t *testing.T, w watch, slack time.Duration) {
	t.Helper()
	d := m.elapsed(w.start)
	truth := m.now - w.began
	require.InDelta(t, truth, int64(d), float64(truth)/tolerance+float64(slack))
}

// reading is the time that the readings of one check take on the machine.
const reading = time.Microsecond

func TestStartsOnTheRuntimesClock(t *testing.T) {
	m := newMachine(2.6)
	early := m.start()
	require.Negative(t, early.start)
	m.pass(firstBaseline - time.Millisecond)
	require.Negative(t, m.read(), "not calibrated yet")
	m.pass(time.Millisecond)
	require.Negative(t, m.read(), "the reading that calibrates")
	late := m.start()
	require.Positive(t, late.start)
	m.pass(time.Millisecond)
	m.requireRight(t, early, reading)
	m.requireRight(t, late, 50)
}

func TestError(t *testing.T) {
	for _, rate := range []float64{1.0001, 2.596, 5.7} {
		for d := time.Microsecond; d <= 10*time.Second; d *= 10 {
			for _, checked := range []bool{false, true} {
				t.Run(fmt.Sprint(rate, d, checked), func(t *testing.T) {
					m := calibrated(t, rate)
					if checked {
						m.pass(10 * time.Second)
						m.check()
					}
					w := m.start()
					m.pass(d)
					m.requireRight(t, w, 50)
					require.Equal(t, counting, m.state.Load().phase)
				})
			}
		}
	}
}

func TestFollowsSmallChanges(t *testing.T) {
	m := calibrated(t, 2.6)
	long := m.start()
	for range 100 {
		m.changeRate(1 + 50e-6) // by 0.5 % in the end
		m.pass(10 * time.Second)
		require.Equal(t, counting, m.check().phase)
		w := m.start()
		m.pass(time.Second / 2)
		m.requireRight(t, w, 50)
	}
	d := m.elapsed(long.start)
	require.InEpsilon(t, m.now-long.began, int64(d), 0.006, "the last ratio holds for all of it")
}

func TestDriftFallsBack(t *testing.T) {
	for _, factor := range []float64{0.8, 0.999, 0.9998, 1.0002, 1.001, 1.25} {
		t.Run(fmt.Sprint(factor), func(t *testing.T) {
			m := calibrated(t, 2.6)
			m.pass(time.Minute)
			before := m.start()
			m.pass(time.Minute)
			m.check()
			m.changeRate(factor)
			same := m.start()
			m.pass(7 * time.Second)
			within := m.start()
			m.pass(3 * time.Second)
			require.Equal(t, fallen, m.check().phase)
			after := m.start()
			require.Negative(t, after.start)
			m.pass(time.Millisecond)
			for _, w := range []watch{before, same, within, after} {
				m.requireRight(t, w, reading)
			}
			m.pass(time.Hour)
			require.Equal(t, fallen, m.check().phase, "for good")
			require.Negative(t, m.read())
			m.requireRight(t, before, reading)
		})
	}
}

// A goroutine may have read the state before the counter fell, and the counter after that.
func TestStartsWhileItFalls(t *testing.T) {
	m := calibrated(t, 2.6)
	m.changeRate(1.001)
	m.pass(10 * time.Second)
	require.Equal(t, fallen, m.check().phase)
	m.pass(20 * time.Millisecond)
	w := watch{Reading(m.counter()), m.now}
	m.pass(time.Second)
	m.requireRight(t, w, 30*time.Microsecond)
}

// A counter is set when a virtual machine moves, or goes on during a suspension.
func TestSetCounterIsFoundOut(t *testing.T) {
	day := int64(24 * time.Hour)
	for name, to := range map[string]func(ticks int64) int64{
		"forwards by a day":     func(ticks int64) int64 { return ticks + day },
		"forwards by 2 seconds": func(ticks int64) int64 { return ticks + 2*26e8 },
		"backwards":             func(ticks int64) int64 { return ticks - 26e8 },
		"to zero":               func(int64) int64 { return 0 },
	} {
		for _, longAgo := range []time.Duration{100 * time.Microsecond, time.Hour} {
			t.Run(fmt.Sprint(name, longAgo), func(t *testing.T) {
				m := calibrated(t, 2.6)
				m.pass(2 * time.Hour)
				m.check()
				w := m.start()
				m.pass(longAgo)
				if longAgo > time.Minute {
					m.check()
				}
				within := m.start()
				m.pass(time.Millisecond)
				m.set(to(m.ticks()))
				m.pass(time.Millisecond)
				m.requireRight(t, within, reading)
				require.Equal(t, fallen, m.state.Load().phase)
				m.requireRight(t, w, reading)
				m.requireRight(t, m.start(), reading)
			})
		}
	}
}

// A check finds a counter that was set, too; moments before and after that are converted, each by its own sample.
func TestWatchStartedAfterTheCounterWasSet(t *testing.T) {
	for _, by := range []int64{-26e8, 26e9, 26e12} {
		m := calibrated(t, 2.6)
		m.pass(time.Hour)
		m.check()
		m.pass(400 * time.Millisecond)
		before := m.start()
		m.set(m.ticks() + by)
		after := m.start()
		m.pass(100 * time.Millisecond)
		require.Equal(t, fallen, m.check().phase)
		m.pass(time.Second)
		m.requireRight(t, before, 50*time.Microsecond) // 20 ppm of the time since the last sample, and reading
		m.requireRight(t, after, 50*time.Microsecond)
	}
}

func TestCoresOutOfStep(t *testing.T) {
	m := calibrated(t, 2.6)
	m.pass(time.Second)
	m.check()
	require.Equal(t, time.Nanosecond, m.elapsed(Reading(m.ticks()+20_000)), "8 µs")
	require.Equal(t, counting, m.state.Load().phase)

	// After ten seconds a core that is 100 µs behind is within the tolerance of a check, but shows by its sign.
	m.pass(10 * time.Second)
	w := m.start()
	m.set(m.ticks() - 260_000)
	m.requireRight(t, w, 110*time.Microsecond)
	require.Equal(t, fallen, m.state.Load().phase)
}

func TestZeroReadingIsNoMoment(t *testing.T) {
	for _, m := range []*machine{newMachine(2.6), calibrated(t, 2.6)} {
		require.Zero(t, m.elapsed(0))
		m.giveUp()
		require.Zero(t, m.elapsed(0))
	}
}

func TestCountersThatAreNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(*machine){
		"stands still":           func(m *machine) { m.rate = 0 },
		"goes backwards":         func(m *machine) { m.rate = -1 },
		"is too slow":            func(m *machine) { m.rate = 0.9 / (1 << tickShift) },
		"is too fast":            func(m *machine) { m.rate = 1e5 },
		"has no room in Reading": func(m *machine) { m.offset = runtimeOffset },
		"is negative":            func(m *machine) { m.offset = math.MinInt64 },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(2.6)
			spoil(m)
			m.state.Store(begin(m.sample()))
			m.pass(time.Minute)
			require.Equal(t, off, m.check().phase)
			w := m.start()
			require.Negative(t, w.start)
			m.pass(time.Millisecond)
			m.requireRight(t, w, reading)
		})
	}
}

// A thread that is preempted at each reading tells little. The counter is neither used nor given up because of it.
func TestPreemptedSamples(t *testing.T) {
	m := newMachine(2.6)
	undisturbed := m.runtime
	m.runtime = func() int64 { m.pass(time.Millisecond); now := undisturbed(); m.pass(time.Millisecond); return now }
	m.pass(firstBaseline)
	require.Equal(t, calibrating, m.check().phase)
	m.runtime = undisturbed
	m.pass(firstBaseline)
	m.check()
	m.pass(time.Minute)
	s := m.check()
	require.Equal(t, counting, s.phase)
	m.runtime = func() int64 { m.pass(time.Millisecond); now := undisturbed(); m.pass(time.Millisecond); return now }
	m.pass(2 * time.Second)
	require.Same(t, s, m.check())
}

// Goroutines start and stop watches while others check the counter, and one gives it up.
func TestConcurrently(t *testing.T) {
	epoch := time.Now()
	var c clock
	c.start(func() int64 { return int64(time.Since(epoch))*3 + 1 }, true)
	defer c.useCounter()()
	m := &machine{}
	m.counter, m.runtime = c.counter, c.runtime
	m.state.Store(c.state.Load())
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 2000 {
				outer := m.runtime()
				start := m.read()
				inner := m.runtime()
				if worker == 0 && i == 1000 {
					m.giveUp()
				}
				if worker == 1 {
					m.check()
				}
				low := m.runtime() - inner
				d := m.elapsed(start)
				high := m.runtime() - outer
				if int64(d) < low-low/1000-100 || int64(d) > high+high/1000+100 {
					t.Errorf("%v is not between %v and %v", d, time.Duration(low), time.Duration(high))
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, fallen, m.state.Load().phase)
}
