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
	{"drained without a wait", "flush.go", "Counters", []string{
		"\tf.shards.each(func(s *shard) { s.gate.Await(drained) })\n", "",
	}},
	{"the common gate is not awaited", "flush.go", "LongCommit", []string{"\tcommon.Await(drained)", "\t"}},
	{"the common gate is awaited after the shards are flipped", "flush.go", "Shards", []string{
		"\tcommon.Await(drained)", "\t", "\tfence.Process()\n", "\tcommon.Await(drained)\n\tfence.Process()\n",
	}},
	{"a shard begins with bank 0", "shard.go", "Shards", []string{"\tmade.gate.Flip(bank)\n", ""}},
	{"common chunks have banks of their own", "shard.go", "Commit", []string{
		"\tif chunk := s.common.distributions.at(number); chunk != nil {\n\t\treturn chunk.cell(in.bank, slot), commonStep",
		"\tif chunk := s.common.distributions.at(number); chunk != nil {\n\t\treturn chunk.cell(s.common.gate.Active(), slot), commonStep",
	}},
	{"not zeroed", "flush.go", "Counters", []string{"owner.Clear(words)", "_ = owner.Clear[owner.Word]"}},
	{"a chunk that was taken away is forgotten", "flush.go", "Demotion", []string{"\tf.drainDropped()\n", ""}},
	{"of a chunk that was taken away one bank is drained", "flush.go", "Demotion", []string{
		"for bank := range uint32(2) {", "for bank := range uint32(1) {",
	}},
	{"a promoted chunk takes the place of another", "shard.go", "Promotion", []string{
		"if in.shard != nil && in.shard.counters.at(number).CompareAndSwap(nil, chunk) {",
		"if in.shard.counters.at(number).Store(chunk); true {",
	}},
	{"a long commit does not look a second time", "internal/owner/gate.go", "LongCommit", []string{
		"if g.active.Load() == bank {", "if true {",
	}},
}

var mutantsOfExclusive = []mutant{
	{"no wait", "internal/owner/gate_exclusive.go", "Counters", []string{"passed%2 == 1 &&", "false &&"}},
	{"no wait", "internal/owner/gate_exclusive.go", "Timers", []string{"passed%2 == 1 &&", "false &&"}},
	{"the bank is loaded before the gate is odd", "internal/owner/gate_exclusive.go", "Counters", []string{
		"func (g *Gate) Enter() (bank uint32) {\n",
		"func (g *Gate) Enter() (bank uint32) {\n\tearly := g.active.Load()\n",
		"return g.active.Load()", "return early",
	}},
}

var mutantsOfShared = []mutant{
	{"no wait", "internal/owner/gate.go", "Counters", []string{"inside.Load() != 0", "false"}},
	{"no second look", "internal/owner/gate.go", "Counters", []string{"if g.active.Load() == bank {", "if true {"}},
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
	mutated := filepath.Join(directory, filepath.Base(file))
	require.NoError(t, os.WriteFile(mutated, []byte(text), 0o600))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	require.NoError(t, err)
	description = filepath.Join(directory, "overlay.json")
	require.NoError(t, os.WriteFile(description, replace, 0o600))
	return description
}
