package losses

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryLossHasATest(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var source []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		source = append(source, text...)
	}
	for _, loss := range All {
		require.Contains(t, string(source), "func "+loss.Test+"(t *testing.T)", loss.Description)
	}
}

// patience is how long a loss that depends on timing is tried for. All show within a second on two cores.
const patience = 3 * time.Minute

// until repeats try until it returns true.
func until(t *testing.T, try func() bool) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; {
		if try() {
			return
		}
	}
	t.Fatalf("not seen in %v: if the library has fixed it, the entry in All can go", patience)
}

// together runs f on that many goroutines, which begin at the same time, and waits for them.
func together(n int, f func(goroutine int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

// numbered returns that many names.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "requests_" + strconv.Itoa(i)
	}
	return names
}
