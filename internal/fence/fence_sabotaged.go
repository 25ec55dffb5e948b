//go:build metricsbuffer_nofence

package fence

// This twin claims a fence and has none. It exists so that a test can show that the stress test fails without one.

const name = "sabotaged"

func available() bool { return true }

// Process does nothing, which is wrong on purpose.
func Process() {}
