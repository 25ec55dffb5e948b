// Package verify has rooms for everything that proves something about this library; see README.md. It tests the script
// that runs the proofs.
package verify

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// checks stand in for .ci/checks.
const checks = `
all=(good slow)
on_request=(loud)
check_good() { echo "ok  	example.org/good"; }
check_bad() { echo "-- in .: silent"; echo "ok  	example.org/good"; false; echo "not reached"; }
check_said() { echo "said why"; return 3; }
check_slow() { echo started; touch started; sleep 3600 & echo $! >child; wait; }
check_loud() { echo "a result to look at"; }
`

// ci returns the command .ci/run with those checks.
func ci(t *testing.T, args ...string) *exec.Cmd {
	if runtime.GOOS != "linux" {
		t.Skip(".ci/run needs Linux")
	}
	script, err := os.ReadFile("../../.ci/run")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".ci"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".ci/run"), script, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".ci/checks"), []byte(checks), 0o600))
	command := exec.Command(filepath.Join(dir, ".ci/run"), args...)
	command.Dir = dir
	return command
}

func TestOneLineForEachCheck(t *testing.T) {
	output, err := ci(t, "good", "bad", "said", "good").Output()
	require.Error(t, err)
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	require.Len(t, lines, 8, string(output)) // the version of Go, four checks, one line of a failure, the time, the count
	require.Contains(t, lines[1], "good           passed")
	require.Contains(t, lines[2], "bad            FAILED")
	require.Contains(t, lines[3], "said           FAILED")
	require.Equal(t, "    said why", lines[4])
	require.Equal(t, "2 passed, 2 failed", lines[len(lines)-1])
}

func TestResultsToLookAtAreShown(t *testing.T) {
	output, err := ci(t, "loud").Output()
	require.NoError(t, err)
	require.Contains(t, string(output), "a result to look at")
}

func TestInterruptedRunSaysSo(t *testing.T) {
	// A signal that this process was told to ignore, as a job in the background is, would be ignored by the script, too.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(caught)
	for _, sent := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		command := ci(t)
		var output strings.Builder
		command.Stdout = &output
		require.NoError(t, command.Start())
		child := filepath.Join(command.Dir, "child")
		require.Eventually(t, func() bool {
			pid, _ := os.ReadFile(child)
			return len(pid) > 0
		}, time.Minute, 10*time.Millisecond)
		require.NoError(t, command.Process.Signal(sent))

		var exit *exec.ExitError
		require.ErrorAs(t, command.Wait(), &exit)
		require.Equal(t, 128+int(sent), exit.ExitCode())
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		require.Contains(t, lines[len(lines)-1], "INTERRUPTED")
		require.Contains(t, lines[len(lines)-1], "at check slow: 1 of 2 checks were done, 1 passed, 0 failed")
		pid, err := os.ReadFile(child)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := os.Stat("/proc/" + strings.TrimSpace(string(pid)))
			return errors.Is(err, os.ErrNotExist)
		}, time.Minute, 10*time.Millisecond, "the check's child process goes on")
	}
}
