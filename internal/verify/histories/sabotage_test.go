//go:build !race

// The tests that must fail are built without the race detector, whether this one is or not.

package histories

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sabotages are changes of the library, each with the tests that must fail on it.
var sabotages = []struct {
	name         string
	file         string
	before, with string
	noticed      []string
}{
	{
		"acknowledged before it is written", "deliver.go",
		"\tif d.err == nil && len(d.outcome.dropped) == 0 {", "\tif len(d.outcome.dropped) == 0 {",
		[]string{"TestStateMachine"},
	},
	{
		"a failed batch is lost where something new is pending", "pending.go",
		"\td.count += other.count\n\td.sum += other.sum\n", "\td.count = other.count\n\td.sum = other.sum\n",
		[]string{"TestStateMachine"},
	},
	{
		"a delta is lost on the first touch", "shard.go",
		"\t\tif word != nil {\n\t\t\tword.AddShared(delta)\n\t\t}\n\t\ts.leave(in)\n", "\t\ts.leave(in)\n",
		[]string{"TestStateMachine", "TestHistories"},
	},
	{
		"a flush that does not collect", "flush.go",
		"\tf.collect()\n\tfor _, o := range sinks {\n\t\tf.request(o, replies, last)\n\t}\n",
		"\tfor _, o := range sinks {\n\t\tf.request(o, replies, last)\n\t}\n\tf.collect()\n",
		[]string{"TestStateMachine", "TestHistories"},
	},
	{
		"a bank that is not zeroed", "flush.go", "\towner.Clear(words)\n", "\t_ = owner.Clear[owner.Word]\n",
		[]string{"TestStateMachine", "TestHistories"},
	},
	{
		"a new series waits for its first update", "flush.go", "\t\t\t\tf.drained.mark(in, slot)\n", "",
		[]string{"TestStateMachine"},
	},
	{
		"a failed batch forgets that a series is new", "pending.go",
		"\tif other.marked[storage].has(slot) {\n", "\tif storage == gauges && other.marked[storage].has(slot) {\n",
		[]string{"TestStateMachine"},
	},
	{
		"a candidate takes the seat of a chunk in use", "shard.go",
		"\tif s.at(i).Load() != nil {\n\t\treturn false\n\t}\n",
		"\tif s.votes[i%seatsPerShard].Load()%(1<<voteBits)+1 >= votesNeeded {\n\t\ts.at(i).Store(nil)\n\t}\n",
		[]string{"TestStateMachine"},
	},
	{
		"an own chunk is taken away before it is drained", "shard.go",
		"isIdle(&s.idle[i], drain(chunk)) {", "(true || isIdle(&s.idle[i], drain(chunk))) {",
		[]string{"TestStateMachine"},
	},
}

// TestSabotage breaks the library and expects the tests of this package to fail.
func TestSabotage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the library once for each sabotage: run without -short")
	}
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join("..", "..", "..", s.file))
			require.NoError(t, err)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(text), s.before), "%s has changed: update the sabotage", s.file)
			directory := t.TempDir()
			broken, overlay := filepath.Join(directory, s.file), filepath.Join(directory, "overlay.json")
			text = []byte(strings.Replace(string(text), s.before, s.with, 1))
			require.NoError(t, os.WriteFile(broken, text, 0o600))
			replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(overlay, replace, 0o600))
			command := exec.Command("go", "test", "-overlay", overlay, "-vet", "off", "-count", "1",
				"-run", "^("+strings.Join(s.noticed, "|")+")$", ".", "-rapid.nofailfile", "-rapid.checks=2000")
			command.Env = append(os.Environ(), "TMPDIR="+directory)
			out, err := command.CombinedOutput()
			require.Error(t, err, "nothing was noticed")
			for _, test := range s.noticed {
				require.Contains(t, string(out), "--- FAIL: "+test, "it was not noticed, or failed for another reason")
			}
			t.Logf("%.2000s", out)
		})
	}
}
