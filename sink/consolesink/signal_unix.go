//go:build unix

package consolesink

import (
	"os"
	"syscall"
)

// defaultSignals are those of [DumpOnSignal].
var defaultSignals = []os.Signal{syscall.SIGUSR1}

var uncatchable = []os.Signal{syscall.SIGKILL, syscall.SIGSTOP}
