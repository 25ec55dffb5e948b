package clock

import (
	"flag"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "measure durations of up to 10 s against the runtime's clock, not only 50 ms")

// useCounter takes the processor's counter into use, even if the kernel says nothing for it, as in an emulator.
func useCounter(t *testing.T) {
	if counterName == "none" {
		t.Skip("there is no counter in this build")
	}
	t.Cleanup(process.useCounter())
	require.Equal(t, counterName, Name())
}

// slack returns 50 ns. An emulator's counter may move in longer steps, which no kernel would use for a clock: then it
// is two of them, after the ratio has been measured over a second.
func slack() int64 {
	step := int64(math.MaxInt64)
	for range 10 {
		before := counter()
		after := counter()
		for ; after == before; after = counter() {
		}
		step = min(step, process.state.Load().nanos(after-before))
	}
	if step <= 50 {
		return 50
	}
	time.Sleep(refineBaseline)
	Check()
	return 2 * step
}

func TestErrorAgainstTheRuntimesClock(t *testing.T) {
	useCounter(t)
	slack := slack()
	durations := []time.Duration{time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond,
		10 * time.Millisecond, 50 * time.Millisecond}
	if *long {
		durations = append(durations, time.Second/2, time.Second, 3*time.Second, 10*time.Second)
	}
	for _, wanted := range durations {
		t.Run(wanted.String(), func(t *testing.T) {
			for range max(3, min(1000, int(20*time.Millisecond/wanted))) {
				outer := process.runtime()
				start := Now()
				inner := process.runtime()
				if wanted < time.Millisecond {
					for process.runtime()-inner < int64(wanted) {
					}
				} else {
					time.Sleep(wanted)
				}
				low := process.runtime() - inner
				d := int64(Since(start))
				high := process.runtime() - outer
				require.GreaterOrEqual(t, d, low-low/tolerance-slack, fmt.Sprint("at most ", high))
				require.LessOrEqual(t, d, high+high/tolerance+slack, fmt.Sprint("at least ", low))
				if wanted > time.Second {
					break
				}
			}
		})
	}
	require.Zero(t, Fallbacks())
}

func TestNoAllocation(t *testing.T) {
	measure := func() { Since(Now()) }
	require.Zero(t, testing.AllocsPerRun(1000, measure))
	useCounter(t)
	require.Zero(t, testing.AllocsPerRun(1000, measure))
}

func TestFallback(t *testing.T) {
	useCounter(t)
	before := process.runtime()
	start := Now()
	after := process.runtime()
	require.Positive(t, start)
	process.giveUp()
	require.Equal(t, "runtime", Name())
	require.EqualValues(t, 1, Fallbacks())
	require.Negative(t, Now())
	time.Sleep(10 * time.Millisecond)
	low := process.runtime() - after
	d := int64(Since(start))
	high := process.runtime() - before
	require.GreaterOrEqual(t, d, low-1e6)
	require.LessOrEqual(t, d, high+1e6)
}

// In a binary of "go test", of which this is one, the counter is not used: a bubble has a clock of its own.
func TestBubble(t *testing.T) {
	time.Sleep(2 * firstBaseline)
	Check()
	synctest.Test(t, func(t *testing.T) {
		start := Now()
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, Since(start))
		Check()
		start = Now()
		time.Sleep(50 * 365 * 24 * time.Hour)
		require.Equal(t, 50*365*24*time.Hour, Since(start))
	})
	require.Equal(t, "runtime", Name())
}

func TestUseCounter(t *testing.T) {
	restore, ok := UseCounter()
	require.Equal(t, sound(), ok)
	if ok {
		require.Equal(t, counterName, Name())
	}
	restore()
	require.Equal(t, "runtime", Name())
}
