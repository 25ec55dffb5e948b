package promises

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/clock"
)

// TestFlushesTakeTheCounterIntoUse: a program's stopwatches measure by the processor's counter, where it is sound, once
// the flusher has compared the clocks. A test always measures by the runtime's clock, so another program has to tell.
func TestFlushesTakeTheCounterIntoUse(t *testing.T) {
	restore, sound := clock.UseCounter()
	restore()
	if !sound {
		t.Skip("the processor's counter is not sound here")
	}
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	out, err := exec.Command(path, "run", "./testdata/counter").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, []string{"tsc", "cntvct"}, strings.TrimSpace(string(out)))
}
