package interleave

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// A variable is shared memory of the test programs.
type variable struct{ v int64 }

func (v *variable) mark(r *Run, kind yield.Kind) {
	r.Access(kind, uintptr(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

func (v *variable) load(r *Run) int64     { v.mark(r, yield.Reads); return v.v }
func (v *variable) store(r *Run, n int64) { v.mark(r, yield.Writes); v.v = n }
func (v *variable) add(r *Run, n int64)   { v.mark(r, yield.Adds); v.v += n }

// outcomes explores a program and returns how often each outcome came.
func outcomes(t *testing.T, every bool, program func(r *Run) (outcome func() string)) (map[string]int, Result) {
	seen := make(map[string]int)
	result, err := Explore(func(r *Run) func() error {
		outcome := program(r)
		return func() error { seen[outcome()]++; return nil }
	}, Options{Every: every, Exclusive: true})
	require.NoError(t, err)
	return seen, result
}

func TestEveryOrderOfTwoIncrements(t *testing.T) {
	program := func(r *Run) func() string {
		x := new(variable)
		for range 2 {
			r.Go("thread", func() { x.store(r, x.load(r)+1) })
		}
		return func() string { return fmt.Sprint(x.v) }
	}
	seen, result := outcomes(t, true, program)
	require.Equal(t, Result{Orders: 6, Steps: 4}, result)
	require.Equal(t, map[string]int{"1": 4, "2": 2}, seen)
	seen, result = outcomes(t, false, program)
	require.Less(t, result.Orders, 6)
	require.Len(t, seen, 2)
}

// TestReductionLosesNothing explores random programs with the reduction and in all orders, and compares the outcomes.
// An outcome has all values that the threads have read, and the memory at the end. So it differs between orders that
// differ in more than steps that can be swapped.
func TestReductionLosesNothing(t *testing.T) {
	all, reduced := 0, 0
	for seed := range uint64(150) {
		program := randomProgram(seed)
		want, a := outcomes(t, true, program)
		got, b := outcomes(t, false, program)
		require.Equal(t, keys(want), keys(got), "program %d", seed)
		all, reduced = all+a.Orders, reduced+b.Orders+b.Cut
	}
	require.Less(t, reduced, all/4, "reduction is worth something")
	t.Logf("%d orders, reduced to %d", all, reduced)
}

func keys(m map[string]int) map[string]bool {
	set := make(map[string]bool)
	for k := range m {
		set[k] = true
	}
	return set
}

// randomProgram has three threads that do two things each with three variables, some of them in a locked section.
func randomProgram(seed uint64) func(r *Run) func() string {
	return func(r *Run) func() string {
		random := rand.New(rand.NewPCG(seed, 0))
		variables := make([]variable, 3)
		read := make([][]int64, 3)
		for id := range read {
			var steps []func()
			for range 2 {
				v, n := &variables[random.IntN(3)], int64(1+random.IntN(3))
				switch random.IntN(6) {
				case 0, 1:
					steps = append(steps, func() { read[id] = append(read[id], v.load(r)) })
				case 2:
					steps = append(steps, func() { v.mark(r, yield.Writes); v.v = 10*v.v + n })
				case 3:
					steps = append(steps, func() { v.add(r, 100*n) })
				case 4:
					steps = append(steps, func() {
						r.Pin()
						old := v.load(r)
						v.store(r, old+1000)
						r.Unpin()
					})
				case 5:
					steps = append(steps, func() {
						if v.load(r) == 0 && id == 0 {
							return
						}
						v.add(r, 1)
					})
				}
			}
			r.Go(fmt.Sprint(id), func() {
				for _, step := range steps {
					step()
				}
			}, 0)
		}
		return func() string { return fmt.Sprint(read, variables) }
	}
}

// TestWait has a thread that polls a variable until another thread has set it to 2. There is only one outcome.
func TestWait(t *testing.T) {
	program := func(r *Run) func() string {
		flag, data := new(variable), new(variable)
		got := int64(0)
		r.Go("reader", func() {
			for n := flag.load(r); n < 2; n = flag.v {
				flag.mark(r, yield.Waits)
			}
			got = data.load(r)
		})
		r.Go("writer", func() {
			flag.store(r, 1)
			data.store(r, 7)
			flag.store(r, 2)
		})
		return func() string { return fmt.Sprint(got) }
	}
	for _, every := range []bool{true, false} {
		seen, _ := outcomes(t, every, program)
		require.Equal(t, map[string]bool{"7": true}, keys(seen))
	}
}

func TestDeadlock(t *testing.T) {
	_, err := Explore(func(r *Run) func() error {
		both := func(first, second string) func() {
			return func() { r.Lock(first); r.Lock(second); r.Unlock(second); r.Unlock(first) }
		}
		r.Go("one", both("a", "b"))
		r.Go("other", both("b", "a"))
		return func() error { return nil }
	}, Options{})
	require.ErrorContains(t, err, "deadlock")
}

func TestFailureCanBeReplayed(t *testing.T) {
	errTorn := errors.New("torn")
	program := func(r *Run) func() error {
		x, y := new(variable), new(variable)
		Name(r, x, "x")
		var a, b int64
		r.Go("writer", func() { x.store(r, 1); y.store(r, 1) })
		r.Go("reader", func() { b = y.load(r); a = x.load(r) })
		r.Go("bystander", func() { x.load(r) })
		return func() error {
			if a == 1 && b == 0 {
				return errTorn
			}
			return nil
		}
	}
	_, err := Explore(program, Options{})
	require.ErrorIs(t, err, errTorn)
	require.ErrorContains(t, err, "reader reads x\n")
	_, order, _ := strings.Cut(err.Error(), "replay: ")
	result, err := Explore(program, Options{Replay: order})
	require.ErrorIs(t, err, errTorn)
	require.Equal(t, 1, result.Orders)
	_, err = Explore(program, Options{Replay: "0*2 1*2"})
	require.NoError(t, err)
	_, err = Explore(program, Options{Replay: "0 1"})
	require.ErrorContains(t, err, "not like 0*12")
}

func TestPanicAndLimit(t *testing.T) {
	_, err := Explore(func(r *Run) func() error {
		r.Go("a", func() { panic("oh") })
		return func() error { return nil }
	}, Options{})
	require.ErrorContains(t, err, "a panicked: oh")
	_, err = Explore(func(r *Run) func() error {
		x := new(variable)
		for range 3 {
			r.Go("a", func() { x.store(r, 1) })
		}
		return func() error { return nil }
	}, Options{Limit: 2})
	require.ErrorContains(t, err, "not done after 2 runs")
}
