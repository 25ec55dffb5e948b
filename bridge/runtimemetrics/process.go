package runtimemetrics

import "time"

// A usage is what the operating system tells about this process.
type usage struct {
	started        time.Time
	user, system   time.Duration // of processors, since the start
	threads        float64
	resident       float64 // bytes
	virtual        float64 // bytes
	maxVirtual     float64 // bytes
	descriptors    float64 // that are open
	maxDescriptors float64
}
