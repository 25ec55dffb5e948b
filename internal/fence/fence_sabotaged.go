//go:build metricsbuffer_nofence

package fence

// This twin claims a fence and has none. It exists so that a test can show that the stress test fails without one.

const name = "sabotaged"

const available = true

func system() bool { return true }
