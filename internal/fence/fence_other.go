//go:build !linux && !windows && !metricsbuffer_nofence

package fence

const name = "none"

func available() bool { return false }

// Process does nothing: this system has no call for it, so [Writers] is true.
func Process() {}
