//go:build metricsbuffer_yield

package metricsbuffer

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// A mutant is the library with one mistake in it.
type mutant struct {
	name   string
	file   string
	tests  string   // that must find it
	change []string // what is replaced, and by what
}

var mutantsOfBoth = []mutant{
	{"drained before the wait", "flush.go", "Counters", []string{
		"\t\ts.await(drained[i])\n", "\t\t_, _ = i, s\n",
		"\t\tf.drain(drained[i])\n", "\t\tf.drain(drained[i])\n\t\ts.await(drained[i])\n",
	}},
	{"flipped by a load and a store", "flush.go", "Flips", []string{
		"if s.bank.CompareAndSwap(old, s.spare) {", "if s.bank.Store(s.spare); true {",
	}},
	{"not zeroed", "flush.go", "Counters", []string{"\t\tclear(chunk[:])\n", ""}},
}

var mutantsOfExclusive = []mutant{
	{"no wait", "shard_exclusive.go", "Counters", []string{"passed%2 == 1 &&", "false &&"}},
	{"no wait", "shard_exclusive.go", "Timers", []string{"passed%2 == 1 &&", "false &&"}},
	{"the bank is loaded before the gate is odd", "shard_exclusive.go", "Counters", []string{
		"func (s *shard) enter() *bank {\n",
		"func (s *shard) enter() *bank {\n\tyield.Read(&s.bank)\n\tearly := s.bank.Load()\n",
		"return s.bank.Load()", "return early",
	}},
}

var mutantsOfShared = []mutant{
	{"no wait", "shard_shared.go", "Counters", []string{"old.visitors.n.Load() != 0", "false"}},
	{"no second look", "shard_shared.go", "Counters", []string{"if s.bank.Load() == bank {", "if true {"}},
}

// TestMutantsOfInterleavings makes the mistakes that the protocol is built to avoid, and expects each to be found.
func TestMutantsOfInterleavings(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once for each mutant: run without -short")
	}
	tags, mutants := "metricsbuffer_yield", append(mutantsOfBoth, mutantsOfExclusive...)
	if !owner.Exclusive {
		tags, mutants = tags+",purego", append(mutantsOfBoth, mutantsOfShared...)
	}
	for _, m := range mutants {
		t.Run(m.name+", "+m.tests, func(t *testing.T) {
			text, err := os.ReadFile(m.file)
			require.NoError(t, err)
			mutated := string(text)
			for i := 0; i < len(m.change); i += 2 {
				require.Equal(t, 1, strings.Count(mutated, m.change[i]),
					"%s has changed: bring the mutant up to date, it replaces %q", m.file, m.change[i])
				mutated = strings.Replace(mutated, m.change[i], m.change[i+1], 1)
			}
			out, err := exec.Command("go", "test", "-overlay", overlay(t, m.file, mutated), "-vet", "off", "-count", "1",
				"-tags", tags, "-run", "^TestInterleavingsOf"+m.tests+"$", ".").CombinedOutput()
			require.Error(t, err, "nothing was found")
			require.Contains(t, string(out), "replay: ", "it failed for another reason")
			t.Logf("%s", out)
		})
	}
}

// overlay has the go command see other text in a file.
func overlay(t *testing.T, file, text string) (description string) {
	directory := t.TempDir()
	path, err := filepath.Abs(file)
	require.NoError(t, err)
	mutated := filepath.Join(directory, file)
	require.NoError(t, os.WriteFile(mutated, []byte(text), 0o600))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	require.NoError(t, err)
	description = filepath.Join(directory, "overlay.json")
	require.NoError(t, os.WriteFile(description, replace, 0o600))
	return description
}
