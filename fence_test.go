package metricsbuffer

import (
	"os/exec"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// TestTheFenceMatters builds the package with a fence that does nothing, and expects the stress test to fail. A stress
// test that passes says something only if it can fail.
func TestTheFenceMatters(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("builds the package once more")
	case !owner.Exclusive:
		t.Skip("this build uses atomic words and needs no fence")
	case fence.Mode() != "membarrier":
		t.Skipf("the fence of this build is %q", fence.Mode())
	case runtime.NumCPU() < 2:
		t.Skip("one core keeps the order by itself")
	}
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	torn := regexp.MustCompile(`inconsistent banks|after they were drained|recorded and drained`)
	for range 3 {
		arguments := []string{"test", "-tags", "metricsbuffer_nofence", "-run", "^TestStressFlip$", "-count", "1", "."}
		out, err := exec.Command(path, arguments...).CombinedOutput()
		if err == nil {
			continue // once in a while nothing happens in the second that it runs
		}
		require.Regexp(t, torn, string(out), "it failed for another reason")
		return
	}
	t.Error("the stress test passes without the fence")
}
