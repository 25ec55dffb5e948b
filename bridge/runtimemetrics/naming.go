package runtimemetrics

import "github.com/metricsbuffer/metricsbuffer"

// A naming has all series that are recorded, with their names.
type naming struct {
	ofRuntime    group
	ofProcess    group // if the system tells them
	descriptions []description
}

// A description is for all series with the name.
type description struct{ name, unit, help string }

// A group has some series of a naming.
type group struct {
	gauges   []gauge
	counters []counter
	timers   []timer
}

type gauge struct {
	name  string
	tags  []metricsbuffer.Tag
	value func(*reading) float64
}

type counter struct {
	name  string
	tags  []metricsbuffer.Tag
	total func(*reading) int64 // since the process was started
}

// A timer has the observations of a source that is a histogram.
type timer struct {
	name   string
	source source
}

func tagged(key, value string) []metricsbuffer.Tag {
	return []metricsbuffer.Tag{{Key: key, Value: value}}
}
