package instructions

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bounds were counted when an operation was last changed on purpose, with this version of Go, on amd64. If an
// operation takes fewer instructions, lower its bound. If it must take more, raise the bound in the same commit and say
// why. Operations that look a series up have some room, because hashes, and the length of a search, differ between
// runs.
const recordedWith = "go1.26"

var bounds = []struct {
	operation string // as hotloop knows it
	most      float64
}{
	{"Counter.Add", 56},
	{"Timer.Observe", 119},
	{"IncrCounter", 160},
	{"IncrCounter, two tags", 490},
	{"IncrCounter of a scope", 1200},
	{"IncrTimer", 280},
	{"Record", 284},
	{"Gauge.Set", 22},
	{"Vec.With", 400},
}

func TestInstructionsPerOperation(t *testing.T) {
	switch {
	case runtime.GOOS != "linux" || runtime.GOARCH != "amd64":
		t.Skip("the bounds are for linux/amd64")
	case !strings.HasPrefix(runtime.Version(), recordedWith+".") && runtime.Version() != recordedWith:
		t.Skipf("the bounds are for the code that %s generates, this is %s", recordedWith, runtime.Version())
	}
	if _, err := exec.LookPath("valgrind"); err != nil {
		t.Skip("valgrind is missing, which counts the instructions: install it (Debian: apt-get install valgrind)")
	}
	program := filepath.Join(t.TempDir(), "hotloop")
	output, err := exec.Command("go", "build", "-o", program, "./hotloop").CombinedOutput()
	require.NoError(t, err, "%s", output)

	for _, bound := range bounds {
		t.Run(bound.operation, func(t *testing.T) {
			functions := perOperation(t, program, bound.operation)
			total := 0.0
			for name, n := range functions {
				t.Logf("%4.0f %s", n, name)
				total += n
			}
			t.Logf("%4.0f in all", total)
			require.Positive(t, total, "no instruction of this library was counted")
			require.LessOrEqual(t, total, bound.most, "instructions per operation")
			if total < bound.most*.9 {
				t.Logf("better than recorded: lower the bound from %v to %v", bound.most, total)
			}
		})
	}
}

// perOperation counts the whole instructions of an operation in each function. It subtracts a short run from a long
// one, because both contain the start of the program.
func perOperation(t *testing.T, program, operation string) map[string]float64 {
	const short, more = "1000", 50_000
	before, after := count(t, program, operation, short), count(t, program, operation, "51000")
	functions := make(map[string]float64)
	for name, n := range after {
		// An operation does the same every time; a fraction is an allocation of the runtime now and then.
		if each := math.Round(float64(n-before[name]) / more); each >= 1 && counts(name) {
			functions[name] = each
		}
	}
	return functions
}

// counts says whether a function is part of an operation. The rest of the runtime is left out: its garbage collector
// and its scheduler run when they like.
func counts(name string) bool {
	for _, helper := range []string{
		"github.com/metricsbuffer/", "github.com/puzpuzpuz/", "hash/maphash", "runtime.procPin", "runtime.procUnpin",
		"runtime.memequal", "memeqbody", "runtime.memhash", "runtime.strhash", "runtime.typehash", "aeshashbody",
		"runtime.memmove", "runtime.mallocgc",
	} {
		if strings.HasPrefix(name, helper) {
			return true
		}
	}
	return false
}

// count runs the program under callgrind, and returns the instructions executed in each function itself.
func count(t *testing.T, program, operation, n string) map[string]int64 {
	out := filepath.Join(t.TempDir(), "callgrind.out")
	var output []byte
	var err error
	for range 5 { // valgrind itself dies now and then from the signals by which Go's runtime preempts goroutines
		command := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file="+out, program, operation, n)
		command.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
		if output, err = command.CombinedOutput(); err == nil {
			break
		}
	}
	require.NoError(t, err, "%s", output)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	functions, err := parse(string(text))
	require.NoError(t, err)
	return functions
}

func TestParse(t *testing.T) {
	functions, err := parse(`# callgrind format
positions: line
events: Ir
fl=(1) a.go
fn=(1) main.main
5 10
+1 2
cfn=(2) main.hot
calls=1000 20
* 3000
+2 7
fn=(2)
fi=(2) inlined.go
20 2000
fe=(1)
21 1000
fn=(3) main.hot'2
20 500
fn=(1)
9 1
`)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"main.main": 20, "main.hot": 3500}, functions)
}
