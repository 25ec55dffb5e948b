//go:build !linux && !windows && !metricsbuffer_nofence

package fence

const name = "stop-the-world"

const available = false

func system() bool { return false }
