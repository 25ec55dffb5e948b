//go:build !unix

package consolesink

import "os"

// defaultSignals is empty: this system has no signal that programs are free to use.
var defaultSignals []os.Signal

var uncatchable = []os.Signal{os.Kill}
